"""A memory costs the data that it holds, never its size."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sandbox.memory import PAGE, Pool, host

GIB = 1 << 30
FAR = 399 * GIB


def blocks(pool: Pool) -> int:
    """Bytes that the arena occupies."""
    return os.fstat(pool._arena.fd).st_blocks * 512


def test_400_gib_with_one_page_written_cost_one_page(arena: Pool) -> None:
    memory = arena.memory()
    view = memory.view(reserve=400 * GIB)
    assert view.grow(400 * GIB)
    view.write(FAR, b"one page")
    assert view.dirty() == [(FAR, PAGE)]
    assert view.commit() == PAGE
    assert memory.extents() == [(FAR, PAGE)]
    assert blocks(arena) == PAGE
    image, mark = memory.image(), arena.mark()
    view.write(FAR, b"new data")
    view.write(GIB, b"more")
    assert view.commit() == 2 * PAGE
    assert memory.changed_since(image) == [(GIB, PAGE), (FAR, PAGE)]
    assert image.extents() == [(FAR, PAGE)]
    fork = memory.fork(image)
    assert fork.extents() == [(FAR, PAGE)]
    mark.undo()
    assert memory.read(FAR, 8) == b"one page"
    assert memory.restore(image) == 0
    assert view.rollback()
    assert view.read(GIB, 4) == bytes(4)
    memory.resize(GIB)
    assert memory.changed_since(image) == [(FAR, PAGE)]
    assert memory.restore(image) == PAGE
    assert memory.read(FAR, 8) == b"one page"


def test_400_gib_on_disk_cost_one_page(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    memory = pool.memory()
    view = memory.view(reserve=400 * GIB)
    try:
        memory.resize(400 * GIB)
        memory.resize(0)
    except Exception:
        pytest.skip("this file system has no room for a sparse file of 400 GiB")
    view.rollback()
    view.grow(400 * GIB)
    view.write(FAR, b"one page")
    assert view.commit() == PAGE
    image = memory.image()
    view.write(GIB, b"more")
    view.commit()
    assert memory.fork(image).read(FAR, 8) == b"one page"
    assert memory.restore(image) == PAGE
    assert (tmp_path / memory.name).stat().st_blocks * 512 < 1 << 20


def test_space_comes_back(arena: Pool) -> None:
    memory = arena.memory(64 * PAGE)
    memory.write(0, b"\1" * 64 * PAGE)
    assert blocks(arena) == 64 * PAGE
    memory.resize(16 * PAGE)
    assert blocks(arena) == 16 * PAGE
    memory.close()
    assert blocks(arena) == 0
    memory = arena.memory(64 * PAGE)
    memory.write(0, b"\1" * PAGE)
    del memory
    assert blocks(arena) == 0
    view = arena.memory(PAGE).view(minimum=64 * PAGE)
    view.write(9 * PAGE, b"never committed")
    view.close()
    assert blocks(arena) <= PAGE


def test_zeros_that_are_kept_share_one_page(arena: Pool) -> None:
    memory = arena.memory(1000 * PAGE)
    image = memory.image()
    memory.write(0, b"\1" * 1000 * PAGE)
    assert len({id(page) for page in memory._history.since(image)[0].values()}) == 1
    assert image.extents() == []


def test_a_file_system_that_knows_no_holes(arena: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    seek = os.lseek

    def lseek(fd: int, offset: int, whence: int) -> int:
        if whence in (os.SEEK_DATA, os.SEEK_HOLE):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return seek(fd, offset, whence)

    monkeypatch.setattr(os, "lseek", lseek)
    monkeypatch.setattr(host, "punch", lambda *_: False)
    memory = arena.memory(64 * PAGE)
    view = memory.view(reserve=128 * PAGE)
    view.write(9 * PAGE, b"data")
    view.grow(128 * PAGE)
    view.write(100 * PAGE, b"more")
    assert view.commit() >= 2 * PAGE
    image = memory.image()
    memory.resize(PAGE)
    memory.resize(128 * PAGE)
    assert memory.read(0, memory.size) == bytes(memory.size)
    fork = memory.fork(image)
    assert memory.restore(image) >= 2 * PAGE
    assert fork.read(0, fork.size) == memory.read(0, memory.size) == image.read(0, image.size)
    assert memory.read(100 * PAGE, 4) == b"more"
    del fork
    memory.close()
    assert arena.memory(PAGE).read(0, PAGE) == bytes(PAGE)

"""A full disk: a clear error, and everything as it was."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import StateError
from sandbox.memory import PAGE, Memory, Pool


class Full:
    """Makes the n-th operation on files fail, leaving a write half done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...] = ("pwrite", "ftruncate")) -> None:
        self.left = -1
        for name in names:
            monkeypatch.setattr(os, name, self._wrap(getattr(os, name)))

    def _wrap(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                if len(args) == 3 and len(args[1]) > 100:
                    real(args[0], args[1][:100], args[2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args)

        return call


def failure_of(action: Callable[[], object]) -> str | None:
    """The text of the StateError that `action` ends with, if it does."""
    try:
        action()
    except StateError as error:
        return str(error)
    return None


def changes(memory: Memory) -> dict[str, Callable[[], object]]:
    """Ways to change a memory of 8 pages with an older image, `past`, of 6."""
    past = memory.image()
    memory.resize(5 * PAGE)
    memory.resize(8 * PAGE)
    memory.write(0, b"present" * 1000)
    memory.write(5 * PAGE, b"present" * 1000)

    def commit() -> None:
        view = memory.view(reserve=16 * PAGE)
        view.grow(16 * PAGE)
        for page in (0, 3, 5, 12, 13):
            view.write(page * PAGE, b"new" * 700)
        try:
            view.commit()
        except StateError:
            assert view.read(12 * PAGE, 3) == b"new"
            raise

    return {
        "commit": commit,
        "write": lambda: memory.write(PAGE - 7, b"new" * PAGE),
        "grow": lambda: memory.resize(16 * PAGE),
        "shrink": lambda: memory.resize(PAGE),
        "restore": lambda: memory.restore(past),
    }


@pytest.mark.parametrize("journalled", [False, True], ids=["plain", "journal"])
@pytest.mark.parametrize("change", ["commit", "write", "grow", "shrink", "restore"])
def test_a_change_that_fails_half_way_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, journalled: bool
) -> None:
    pool = Pool(tmp_path / "memories")
    memory = pool.memory(6 * PAGE)
    memory.write(0, b"".join(bytes([65 + page]) * PAGE for page in range(6)))
    act = changes(memory)[change]
    if journalled:
        pool.begin_journal(tmp_path / "journal")
    full = Full(monkeypatch)
    size, before = memory.size, memory.read(0, memory.size)
    image = memory.image()
    failures = 0
    for at in range(1, 50):
        full.left = at
        error = failure_of(act)
        if error is None:
            break
        assert "no space left" in error
        assert str(tmp_path) in error
        failures += 1
        assert memory.size == size
        assert memory.read(0, size) == before
        assert image.read(0, size) == before
        assert (tmp_path / "memories" / memory.name).stat().st_size == size
    assert failures
    full.left = -1
    assert memory.read(0, memory.size) != before or change in ("grow", "shrink")
    assert image.read(0, size) == before
    memory.restore(image)
    assert memory.read(0, memory.size) == before
    if journalled:
        pool.end_journal()


def test_direct_changes_of_an_anonymous_memory_are_all_or_nothing(arena: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = arena.memory(4 * PAGE)
    memory.write(0, b"before")
    full = Full(monkeypatch)
    full.left = 1
    with pytest.raises(StateError, match="writing: memory: no space left"):
        memory.write(0, b"after" * 2000)
    assert memory.read(0, 4 * PAGE) == b"before" + bytes(4 * PAGE - 6)
    full.left = 1
    with pytest.raises(StateError, match="no space left"):
        arena.memory(PAGE).write(0, b"x" * 200)
    assert memory.read(0, 6) == b"before"


def test_a_mark_that_cannot_be_undone_stays(disk: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = disk.memory(PAGE), disk.memory(PAGE)
    mark = disk.mark()
    one.write(0, b"x")
    other.write(0, b"x")
    full = Full(monkeypatch)
    full.left = 1
    with pytest.raises(StateError):
        mark.undo()
    assert {one.read(0, 1), other.read(0, 1)} == {b"x", b"\0"}
    mark.undo()
    assert one.read(0, 1) == other.read(0, 1) == b"\0"


def test_a_journal_that_cannot_end_can_be_ended_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(tmp_path / "memories")
    memory, gone = pool.memory(PAGE), pool.memory(PAGE)
    gone.close()
    del gone
    pool.begin_journal(tmp_path / "journal")
    memory.write(0, b"x")
    pool.prune({memory.name})
    full = Full(monkeypatch, ("fsync", "fdatasync", "rename", "unlink"))
    for at in range(1, 20):
        full.left = at
        error = failure_of(pool.end_journal)
        if error is None:
            break
        assert "ending a journal" in error
    else:
        pytest.fail("never ended")
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted([memory.name, "memories"])
    assert memory.read(0, 1) == b"x"


def test_no_address_space_is_a_clear_error(arena: Pool) -> None:
    memory = arena.memory(PAGE)
    with pytest.raises(StateError, match="opening a view"):
        memory.view(reserve=1 << 60)
    view = memory.view(reserve=PAGE, movable=True)
    assert not view.grow(1 << 50)
    assert view.size == PAGE
    with pytest.raises(StateError, match="resizing"):
        memory.resize(1 << 50)
    assert memory.size == PAGE

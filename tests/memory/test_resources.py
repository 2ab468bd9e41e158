"""Descriptors, address space and mappings are given back; a thousand canisters fit in one process."""

from __future__ import annotations

import gc
import os
import resource
import sys
from pathlib import Path

import pytest

from sandbox.memory import PAGE, Memory, Pool, View

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts what /proc shows")

GIB = 1 << 30


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def mappings() -> int:
    return Path("/proc/self/maps").read_bytes().count(b"\n")


def used(pool: Pool) -> list[object]:
    """A bit of everything."""
    memory = pool.memory(4 * PAGE)
    view = memory.view(reserve=4 * PAGE)
    mark = pool.mark()
    view.write(0, b"x")
    view.grow(64 * PAGE)
    view.write(32 * PAGE, b"x")
    view.commit()
    image = memory.image()
    memory.write(0, b"y")
    return [memory, view, mark, image, memory.fork(), memory.fork(image)]


def test_everything_is_released_when_it_is_forgotten(pool: Pool) -> None:
    gc.collect()
    gc.disable()
    try:
        used(pool)
        before = descriptors(), mappings()
        for _ in range(20):
            used(pool)
        assert (descriptors(), mappings()) == before, "without the help of the garbage collector"
    finally:
        gc.enable()


def test_a_pool_gives_everything_back(tmp_path: Path) -> None:
    used(Pool(tmp_path / "first"))
    used(Pool())
    gc.collect()
    before = descriptors(), mappings()
    for round in range(5):
        used(Pool(tmp_path / str(round)))
        used(Pool())
    gc.collect()
    assert (descriptors(), mappings()) == before


def test_growth_in_small_steps_leaves_few_mappings(pool: Pool) -> None:
    view = pool.memory().view(reserve=GIB)
    before = mappings()
    for step in range(200):
        view.grow((step + 1) * 16 * PAGE)
        view.write(step * 16 * PAGE, b"x")
        view.commit()
    assert mappings() < before + 10


@pytest.mark.parametrize("on_disk", [False, True], ids=["anonymous", "files"])
def test_a_thousand_canisters_fit_in_one_process(tmp_path: Path, on_disk: bool) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = descriptors(), mappings()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        pool = Pool(tmp_path if on_disk else None)
        kept: list[tuple[Memory, View]] = []
        for number in range(2000):
            memory = pool.memory(PAGE)
            view = memory.view(reserve=4 * GIB, guard=32 << 20)
            view.write(0, b"%d" % number)
            view.commit()
            kept.append((memory, view))
        for number, (memory, view) in enumerate(kept):
            view.write(4, b"again")
            assert view.commit() == PAGE
            assert memory.read(0, 9).rstrip(b"\0") == (b"%d" % number).ljust(4, b"\0") + b"again"
        assert descriptors() < before[0] + 200
        assert mappings() < before[1] + 5000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

"""Write protection: pages stay with the view, and only what was written is copied."""

from __future__ import annotations

import os
import random
import resource
from pathlib import Path

import pytest

from sandbox.memory import PAGE, Pool, host
from sandbox.memory.protect import Protect
from tests.memory.conftest import make

MIB = 1 << 20


@pytest.fixture(params=["anonymous", "files"])
def protecting(request: pytest.FixtureRequest, tmp_path: Path) -> Pool:
    return make("protect", tmp_path / "memories" if request.param == "files" else None)


def faults() -> int:
    """Pages that this thread has fetched so far."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt


def userfaultfds() -> int:
    """Descriptors of this process that protect pages."""
    return sum(
        os.path.realpath(link).endswith("[userfaultfd]")
        for link in Path("/proc/self/fd").iterdir()
        if link.is_symlink()
    )


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_nothing_is_dropped_at_the_end_of_a_message(
    protecting: Pool, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    view = protecting.memory(8 * PAGE).view()
    for _ in range(2):
        view.write(PAGE, b"first")
        view.write(5 * PAGE, b"first")
        view.commit()
    for wrong in ("drop_private", "map_private", "map_zeros"):
        monkeypatch.setattr(host, wrong, None)
    for number in range(3):
        view.write(PAGE, b"%d" % number)
        view.write(5 * PAGE, b"%d" % number)
        getattr(view, end)()
        assert view.dirty() == []
        assert view.read(PAGE, 5) == view.memory.read(PAGE, 5) == (b"%dirst" % number if end == "commit" else b"first")


def test_pages_that_were_only_read_are_never_found(protecting: Pool) -> None:
    memory = protecting.memory(8 * MIB)
    memory.write(0, random.Random(1).randbytes(memory.size))
    view = memory.view()
    chosen = random.Random(2)
    for _ in range(30):
        written = sorted({chosen.randrange(2048) for _ in range(5)})
        for page in written:
            view.write(page * PAGE, b"\1")
        for _ in range(20):
            view.read(chosen.randrange(2048) * PAGE, 1)
        assert view.dirty() == view.dirty() == host.page_runs(written)
        (view.commit if chosen.random() < 0.5 else view.rollback)()
        view.read(chosen.randrange(2048) * PAGE, 1)
        assert view.dirty() == []


def test_a_page_beside_the_old_end_is_found_once_it_is_written(protecting: Pool) -> None:
    view = protecting.memory(3 * PAGE).view(reserve=64 * PAGE)
    view.write(PAGE, b"x")
    view.commit()
    for size in range(4, 20):
        view.grow(size * PAGE)
        view.read((size - 1) * PAGE, 1)
        assert view.dirty() == []
        view.write((size - 1) * PAGE, b"y")
        assert view.dirty() == [((size - 1) * PAGE, PAGE)]
        view.commit()
        assert view.dirty() == []
        assert view.memory.read((size - 1) * PAGE, 1) == b"y"


def test_the_kernel_itself_may_write_to_a_protected_page(protecting: Pool, tmp_path: Path) -> None:
    view = protecting.memory(4 * PAGE).view()
    view.write(2 * PAGE, b"old")
    view.commit()
    (tmp_path / "bytes").write_bytes(b"read from a file")
    with (tmp_path / "bytes").open("rb", buffering=0) as file:
        file.readinto(view.bytes[2 * PAGE : 2 * PAGE + 16])
    assert view.dirty() == [(2 * PAGE, PAGE)]
    view.commit()
    assert view.memory.read(2 * PAGE, 16) == b"read from a file"


def test_a_view_that_missed_changes_keeps_its_other_pages(protecting: Pool) -> None:
    memory = protecting.memory(256 * PAGE)
    view = memory.view()
    for _ in range(2):
        for page in range(256):
            view.write(page * PAGE, b"%d" % page)
        view.commit()
    image = memory.image()
    view.write(7 * PAGE, b"seven")
    view.commit()
    memory.restore(image)
    view.write(9 * PAGE, b"mine")
    assert view.stale
    assert view.rollback()
    before = faults()
    for page in range(256):
        view.read(page * PAGE, 1)
    assert faults() - before < 100
    assert view.read(0, view.size) == memory.read(0, memory.size)
    assert view.dirty() == []


def test_more_changes_than_are_remembered_are_seen_too(protecting: Pool) -> None:
    memory = protecting.memory(256 * PAGE)
    view = memory.view()
    view.write(0, bytes(range(256)) * 256 * 16)
    view.commit()
    for number in range(200):
        memory.write(number * PAGE, b"changed")
    assert view.follow()
    assert view.read(0, view.size) == memory.read(0, memory.size)
    memory.patch([(page * PAGE, b"\7" * PAGE) for page in range(0, 256, 2)], memory.size)
    assert view.follow()
    assert view.read(0, view.size) == memory.read(0, memory.size)


def test_a_forked_child_gives_up_what_protects_its_parents_pages(protecting: Pool) -> None:
    view = protecting.memory(4 * PAGE).view()
    view.write(0, b"x")
    assert userfaultfds()
    child = os.fork()
    if not child:
        os._exit(userfaultfds())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert view.dirty() == [(0, PAGE)]
    view.commit()
    view.write(PAGE, b"y")
    assert view.dirty() == [(PAGE, PAGE)]


def test_a_search_that_is_interrupted_loses_no_page(protecting: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    view = protecting.memory(8 * PAGE).view()
    view.write(PAGE, b"first")
    view.commit()
    view.write(PAGE, b"again")
    view.write(5 * PAGE, b"new")
    with monkeypatch.context() as patched:
        patched.setattr(Protect, "_divided", interrupted)
        with pytest.raises(KeyboardInterrupt):
            view.dirty()
    view.write(6 * PAGE, b"later")
    view.commit()
    assert view.memory.read(0, 8 * PAGE) == view.read(0, 8 * PAGE)
    assert view.read(PAGE, 5) + view.read(5 * PAGE, 3) + view.read(6 * PAGE, 5) == b"againnewlater"


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_search_counts_what_an_earlier_one_found(protecting: Pool) -> None:
    view = protecting.memory(8 * PAGE).view()
    view.write(3 * PAGE, b"x")
    assert view.dirty() == [(3 * PAGE, PAGE)]
    view.write(PAGE, b"y")
    view.write(4 * PAGE, b"z")
    assert view.dirty() == [(PAGE, PAGE), (3 * PAGE, 2 * PAGE)]
    assert view.rollback()
    assert view.dirty() == []
    assert view.read(0, view.size) == bytes(view.size)

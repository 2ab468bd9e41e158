"""Views: what is written stays private until it is committed."""

from __future__ import annotations

import platform
import resource
from pathlib import Path

import pytest

from sandbox.errors import StateError, Unsupported
from sandbox.memory import PAGE, Pool, host, pagemap
from sandbox.memory.strategies import STRATEGIES

MIB = 1 << 20


def test_a_write_is_private_until_it_is_committed(pool: Pool) -> None:
    memory = pool.memory(8 * PAGE)
    view, other = memory.view(), memory.view()
    view.write(3 * PAGE - 2, b"abcd")
    assert memory.read(3 * PAGE - 2, 4) == other.read(3 * PAGE - 2, 4) == bytes(4)
    assert view.dirty() == [(2 * PAGE, 2 * PAGE)]
    assert view.commit() == 2 * PAGE
    assert memory.read(3 * PAGE - 2, 4) == view.read(3 * PAGE - 2, 4) == b"abcd"
    assert view.dirty() == []
    assert view.commit() == 0


def test_rollback_forgets_what_was_written(pool: Pool) -> None:
    memory = pool.memory(4 * PAGE)
    memory.write(0, b"kept")
    view = memory.view()
    view.write(0, b"lost")
    view.write(3 * PAGE, b"lost")
    assert view.rollback()
    assert view.read(0, 4) == b"kept"
    assert view.read(3 * PAGE, 4) == bytes(4)


def test_growth_belongs_to_the_message(pool: Pool) -> None:
    memory = pool.memory(PAGE)
    view = memory.view(reserve=16 * PAGE, movable=False)
    base = view.base
    assert view.grow(4 * PAGE)
    assert not view.grow(17 * PAGE)
    assert not view.grow(2 * PAGE)
    assert view.size == 4 * PAGE
    assert view.base == base
    view.write(3 * PAGE, b"grown")
    assert memory.size == PAGE
    assert not view.rollback(), "a view that has grown cannot shrink"
    view.close()
    view = memory.view(minimum=4 * PAGE)
    assert view.read(3 * PAGE, 5) == bytes(5), "growth that was not committed leaves nothing behind"
    view.write(3 * PAGE, b"again")
    assert view.commit() == PAGE
    assert memory.size == 4 * PAGE
    assert view.read(3 * PAGE, 5) == memory.read(3 * PAGE, 5) == b"again"


@pytest.mark.parametrize("grown", [False, True])
def test_a_grown_view_shows_what_another_has_committed_there(pool: Pool, grown: bool) -> None:
    memory = pool.memory(PAGE)
    one, other = memory.view(minimum=3 * PAGE), memory.view(minimum=(1 if grown else 3) * PAGE, reserve=8 * PAGE)
    other.grow(3 * PAGE)
    one.write(2 * PAGE, b"kept")
    one.commit()
    assert other.rollback()
    assert other.read(2 * PAGE, 4) == b"kept"


def test_growth_without_a_write_is_committed(pool: Pool) -> None:
    memory = pool.memory()
    view = memory.view(reserve=4 * PAGE)
    view.grow(2 * PAGE)
    assert view.commit() == 0
    assert memory.size == 2 * PAGE
    view.write(PAGE, b"x")
    assert view.dirty() == [(PAGE, PAGE)]


def test_a_view_that_outgrows_its_address_space_moves_with_what_was_written(pool: Pool) -> None:
    memory = pool.memory(2 * PAGE)
    memory.write(0, b"committed")
    view = memory.view(reserve=2 * PAGE)
    view.write(PAGE, b"private")
    base = view.base
    assert view.grow(64 * PAGE)
    assert view.base != base
    assert view.capacity >= 64 * PAGE
    assert view.read(0, 9) == b"committed"
    assert view.read(PAGE, 7) == b"private"
    assert view.dirty() == [(PAGE, PAGE)]
    view.write(63 * PAGE, b"far")
    assert view.commit() == 2 * PAGE
    assert memory.read(63 * PAGE, 3) == b"far"


def test_a_stale_view_cannot_commit_and_is_fresh_after_rollback(pool: Pool) -> None:
    memory = pool.memory(4 * PAGE)
    view, other = memory.view(), memory.view()
    view.write(0, b"mine")
    other.write(0, b"first")
    other.commit()
    assert view.stale
    assert not other.stale
    with pytest.raises(StateError, match="changed since"):
        view.commit()
    assert view.rollback()
    assert not view.stale
    assert view.read(0, 5) == b"first"


def test_a_view_without_writes_follows_its_memory_without_a_search(
    arena: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = arena.memory(4 * PAGE)
    view = memory.view()
    assert view.read(PAGE, 4) == bytes(4)
    view.write(0, b"mine")
    view.commit()
    memory.write(0, b"other")
    memory.write(PAGE, b"more")
    monkeypatch.setattr(type(memory.strategy), "dirty", None)
    if arena.strategy != "compare":  # which drops pages by mapping them anew
        monkeypatch.setattr(host, "map_private", None)
    assert view.stale
    assert view.follow()
    assert not view.stale
    assert view.read(0, 2 * PAGE) == memory.read(0, 2 * PAGE)
    assert view.follow()


def test_a_page_written_with_the_same_bytes_follows_too(pool: Pool) -> None:
    memory = pool.memory(4 * PAGE)
    memory.write(PAGE, b"same")
    view = memory.view()
    view.write(PAGE, b"same")
    view.commit()
    memory.write(PAGE, b"else")
    assert view.follow()
    assert view.read(PAGE, 4) == b"else"


def test_a_view_of_another_size_cannot_follow(pool: Pool) -> None:
    memory = pool.memory(4 * PAGE)
    view = memory.view()
    memory.resize(2 * PAGE)
    assert not view.follow()
    memory.resize(4 * PAGE)
    memory.write(3 * PAGE, b"new")
    assert view.follow()
    assert view.read(0, 4 * PAGE) == memory.read(0, 4 * PAGE)


def test_a_stale_view_drops_pages_over_what_became_a_hole(pool: Pool) -> None:
    memory = pool.memory(4 * PAGE)
    memory.write(3 * PAGE, b"data")
    view = memory.view()
    view.write(3 * PAGE, b"mine")
    memory.resize(PAGE)
    memory.resize(4 * PAGE)
    assert view.rollback()
    assert view.read(3 * PAGE, 4) == bytes(4)
    memory.write(3 * PAGE, b"new!")
    assert view.rollback()
    assert view.read(3 * PAGE, 4) == b"new!"


def test_reading_a_view_whose_memory_has_shrunk_is_no_fault(pool: Pool) -> None:
    memory = pool.memory(64 * PAGE)
    memory.write(63 * PAGE, b"x")
    view = memory.view()
    assert view.read(63 * PAGE, 1) == b"x"
    memory.resize(PAGE)
    view.read(0, 64 * PAGE)
    view.write(50 * PAGE, b"y")
    assert view.stale
    assert not view.rollback()


def test_growing_a_stale_view_stays_inside_its_mapping(pool: Pool) -> None:
    memory = pool.memory(PAGE)
    view = memory.view(reserve=PAGE)
    memory.resize(64 * PAGE)
    assert view.grow(2 * PAGE)
    assert not view.rollback()


def test_two_grown_views_do_not_disturb_each_other(pool: Pool) -> None:
    memory = pool.memory(PAGE)
    one, other = memory.view(minimum=4 * PAGE), memory.view(minimum=4 * PAGE)
    other.write(3 * PAGE, b"kept")
    one.write(2 * PAGE, b"lost")
    one.close()
    assert other.commit() == PAGE
    assert memory.read(2 * PAGE, 2 * PAGE) == bytes(PAGE) + b"kept" + bytes(PAGE - 4)


def test_commit_writes_what_was_written_and_no_more(pool: Pool) -> None:
    memory = pool.memory(64 * MIB)
    view = memory.view()
    for page in (1, 2, 3, 1000, 16_000):
        view.write(page * PAGE, b"\1")
    view.read(0, MIB)
    assert view.dirty() == [(PAGE, 3 * PAGE), (1000 * PAGE, PAGE), (16_000 * PAGE, PAGE)]
    assert view.commit() == 5 * PAGE
    assert sum(length for _, length in memory.extents()) <= 5 * PAGE + MIB


@pytest.mark.parametrize("pages", [3000, 4096, 5000, 70_000])
def test_more_runs_than_one_scan_returns(pages: int) -> None:
    pool = Pool()
    memory = pool.memory(2 * pages * PAGE)
    view = memory.view()
    for page in range(0, 2 * pages, 2):
        view.write(page * PAGE, b"\1")
    assert view.dirty() == [(page * PAGE, PAGE) for page in range(0, 2 * pages, 2)]
    assert view.commit() == pages * PAGE
    assert view.dirty() == []
    assert memory.read(2 * (pages - 1) * PAGE, 1) == b"\1"


def test_a_run_larger_than_one_system_call() -> None:
    view = Pool().memory(3 << 30).view()
    view.write((3 << 30) - 1, b"x")
    view.write(5, b"y")
    assert view.commit() == 2 * PAGE


def test_slow_searches_map_everything_anew(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.memory.view._SLOW", -1.0)
    monkeypatch.setattr("sandbox.memory.view._SLOW_RUN", 0.0)
    memory = pool.memory(16 * PAGE)
    view = memory.view()
    for step in range(40):
        view.write(step % 16 * PAGE, b"%d" % step)
        view.write(5 * PAGE + 100, b"%d" % step)
        assert view.commit() >= PAGE
        assert view.read(step % 16 * PAGE, 2) == memory.read(step % 16 * PAGE, 2)
        view.write(7 * PAGE + 9, b"lost")
        assert view.rollback()
        assert view.read(0, view.size) == memory.read(0, memory.size)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_many_writes_far_apart_leave_no_page_tables_to_search(end: str) -> None:
    if Pool().strategy not in ("protect", "scan"):
        pytest.skip("only the kernel's search can tell what mapping anew would forget")
    pool = Pool(strategy="scan")
    count, apart = 1000, 2 * MIB
    memory = pool.memory(count * apart)
    memory.write(0, b"kept")
    view = memory.view()
    before = _page_tables()
    for number in range(count):
        view.write(number * apart, b"%d" % number)
    assert _page_tables() - before > count * PAGE // 2
    getattr(view, end)()
    assert _page_tables() - before < count * PAGE // 2
    assert view.dirty() == []
    assert view.read(0, 4) == memory.read(0, 4) == (b"0ept" if end == "commit" else b"kept")
    assert view.read((count - 1) * apart, 3) == (b"999" if end == "commit" else bytes(3))


def test_many_writes_among_pages_that_are_read_leave_those_mapped() -> None:
    memory = Pool().memory(4096 * PAGE)
    memory.write(0, b"\1" * memory.size)
    view = memory.view()
    view.read(0, view.size)
    for page in range(0, 4096, 4):
        view.write(page * PAGE, b"\2")
    view.commit()
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for page in range(1, 4096, 4):
        view.read(page * PAGE, 1)
    assert resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before < 100


def _page_tables() -> int:
    """Bytes of this process's page tables."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmPTE:")]
    return int(line.split()[1]) << 10


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, PAGE + 1), (PAGE, 1), (1 << 64, 1), (0, -1)])
def test_ranges_are_checked(pool: Pool, offset: int, length: int) -> None:
    memory = pool.memory(PAGE)
    view, image = memory.view(reserve=4 * PAGE), memory.image()
    for reader in (memory, view, image):
        with pytest.raises(ValueError, match="not inside"):
            reader.read(offset, length)
    if length > 0:
        for writer in (memory, view):
            with pytest.raises(ValueError, match="not inside"):
                writer.write(offset, bytes(length))


def test_closed_things_say_so(pool: Pool) -> None:
    memory = pool.memory(PAGE)
    view, image = memory.view(), memory.image()
    closed = memory.view()
    closed.close()
    closed.close()
    with pytest.raises(StateError, match="view was closed"):
        closed.dirty()
    memory.close()
    memory.close()
    for use in (
        lambda: memory.read(0, 1),
        lambda: memory.write(0, b"x"),
        lambda: memory.resize(0),
        memory.image,
        memory.extents,
        memory.view,
        memory.fork,
        lambda: memory.restore(image),
        lambda: image.read(0, 1),
        image.extents,
        view.dirty,
        view.commit,
        view.rollback,
        view.follow,
        lambda: view.read(0, 1),
    ):
        with pytest.raises(StateError, match="closed"):
            use()
    view.close()


def test_sizes_are_whole_pages(pool: Pool) -> None:
    for size in (1, PAGE + 1, -PAGE):
        with pytest.raises(ValueError, match="page size"):
            pool.memory(size)
        with pytest.raises(ValueError, match="page size"):
            pool.memory().resize(size)


def test_a_strategy_must_exist_and_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no memory strategy 'magic'"):
        Pool(strategy="magic")
    for name in ("protect", "scan"):
        monkeypatch.setattr(STRATEGIES[name], "dirty", lambda *_: [])
        with pytest.raises(Unsupported, match=name):
            Pool(strategy=name)
    assert Pool().strategy in ("pagemap", "compare")
    monkeypatch.setattr(pagemap, "PATH", "/proc/self/no-such-file")
    assert Pool().strategy == "compare"


def test_without_userfaultfd_the_next_strategy_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "none that is known")
    with pytest.raises(Unsupported, match="protect"):
        Pool(strategy="protect")
    assert Pool().strategy in ("scan", "pagemap", "compare")


def test_a_fork_is_what_the_view_shows_in_a_memory_of_its_own(pool: Pool) -> None:
    memory = pool.memory(64 * PAGE)
    memory.write(0, b"kept")
    memory.write(40 * PAGE, b"overwritten")
    view = memory.view(reserve=128 * PAGE)
    view.write(40 * PAGE, b"private....")
    view.grow(100 * PAGE)
    view.write(99 * PAGE, b"grown")
    before = memory.generation
    fork = view.fork()
    assert fork.read(0, fork.size) == view.read(0, view.size)
    assert (fork.size, memory.size, memory.generation) == (100 * PAGE, 64 * PAGE, before)
    assert memory.read(40 * PAGE, 11) == b"overwritten"
    assert sum(length for _, length in fork.extents()) <= 16 * PAGE
    fork.write(0, b"fork")
    assert view.read(0, 4) == memory.read(0, 4) == b"kept"
    memory.write(0, b"else")
    with pytest.raises(StateError, match="changed since"):
        view.fork()

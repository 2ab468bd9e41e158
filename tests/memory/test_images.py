"""Images are values: free to take, never changed by anything later, gone with the last reference."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.memory import PAGE, Memory, Pool
from tests.conftest import operations


def saved(memory: Memory) -> int:
    """Pages that are held for images."""
    return sum(len(delta.pages) for delta in memory._history.deltas)


def filled(pool: Pool, pages: int) -> Memory:
    memory = pool.memory(pages * PAGE)
    memory.write(0, b"".join(bytes([page % 250 + 1]) * PAGE for page in range(pages)))
    return memory


def test_an_image_holds_only_what_was_overwritten(pool: Pool) -> None:
    memory = filled(pool, 1000)
    image = memory.image()
    assert saved(memory) == 0
    view = memory.view()
    for _ in range(3):
        view.write(7 * PAGE, b"new")
        view.commit()
    assert saved(memory) == 1
    assert image.read(7 * PAGE, 3) == b"\x08\x08\x08"
    assert memory.changed_since(image) == [(7 * PAGE, PAGE)]
    assert memory.restore(image) == PAGE
    assert saved(memory) == 0
    assert memory.restore(image) == 0
    assert memory.read(7 * PAGE, 3) == b"\x08\x08\x08"


def test_the_same_state_has_the_same_image(pool: Pool) -> None:
    memory = filled(pool, 2)
    image = memory.image()
    assert memory.image() is image
    assert image.same_as(memory.image())
    memory.write(0, b"x")
    other = memory.image()
    assert not other.same_as(image)
    memory.restore(image)
    assert not memory.image().same_as(other)


def test_nothing_is_kept_for_an_image_that_is_gone(pool: Pool) -> None:
    memory = filled(pool, 10)
    image = memory.image()
    memory.write(0, b"x")
    assert saved(memory) == 1
    del image
    assert memory._history.deltas == []
    memory.write(PAGE, b"x")
    assert saved(memory) == 0


def test_an_image_that_dies_leaves_its_pages_to_the_older_one(pool: Pool) -> None:
    memory = filled(pool, 4)
    first = memory.image()
    memory.write(0, b"a")
    second = memory.image()
    memory.write(0, b"b")
    memory.write(PAGE, b"b")
    del second
    gc.collect()
    assert saved(memory) == 2
    assert first.read(0, 2 * PAGE) == b"\1" * PAGE + b"\2" * PAGE


def test_an_image_inherits_nothing_from_past_its_own_end(pool: Pool) -> None:
    memory = filled(pool, 4)
    first = memory.image()
    memory.resize(PAGE)
    memory.resize(4 * PAGE)
    memory.write(3 * PAGE, b"later")
    second = memory.image()
    memory.write(3 * PAGE, b"after")
    memory.write(0, b"x")
    del second
    assert first.read(0, 4 * PAGE) == b"".join(bytes([n]) * PAGE for n in (1, 2, 3, 4))
    small = pool.memory(PAGE)
    before = small.image()
    small.resize(4 * PAGE)
    small.write(3 * PAGE, b"grown")
    middle = small.image()
    small.write(3 * PAGE, b"again")
    del middle
    assert before.read(0, PAGE) == bytes(PAGE)
    assert small.restore(before) == 0
    assert small.size == PAGE


@pytest.mark.parametrize("between", [False, True], ids=["one image", "inherited"])
def test_a_hole_that_was_cut_off_stays_zero_in_images(pool: Pool, between: bool) -> None:
    memory = pool.memory(4 * PAGE)
    memory.write(0, b"data")
    image = memory.image()
    if between:
        memory.write(PAGE, b"x")
        newer = memory.image()
    memory.resize(PAGE)
    memory.resize(4 * PAGE)
    memory.write(3 * PAGE, b"where a hole was")
    if between:
        del newer
    assert image.read(0, 4 * PAGE) == b"data" + bytes(4 * PAGE - 4)
    assert image.extents() == [(0, PAGE)]
    assert (3 * PAGE, PAGE) in memory.changed_since(image)
    memory.restore(image)
    assert memory.read(0, 4 * PAGE) == b"data" + bytes(4 * PAGE - 4)


def test_restoring_an_old_image_keeps_the_newer_ones(pool: Pool) -> None:
    memory = pool.memory(4 * PAGE)
    images = []
    for step in range(6):
        memory.resize((4 + step % 3) * PAGE)
        memory.write(step % 4 * PAGE, b"%d" % step)
        memory.write(memory.size - 9, b"%d" % step)
        images.append((memory.image(), memory.read(0, memory.size)))
    for pick in (0, 5, 2, 4, 1, 3, 0):
        memory.restore(images[pick][0])
        assert memory.read(0, memory.size) == images[pick][1]
        for image, data in images:
            assert image.read(0, image.size) == data


def test_changes_between_images_count_bytes_past_an_end_as_zeros(pool: Pool) -> None:
    memory = pool.memory(2 * PAGE)
    memory.write(0, b"x")
    first = memory.image()
    memory.resize(1000 * PAGE)
    assert memory.changed_since(first) == []
    memory.write(900 * PAGE, b"x")
    second = memory.image()
    assert second.changed_since(first) == [(900 * PAGE, PAGE)]
    assert first.changed_since(second) == [(900 * PAGE, PAGE)]
    memory.resize(PAGE)
    assert memory.changed_since(second) == [(900 * PAGE, PAGE)]
    assert memory.changed_since(first) == []
    assert not memory.image().same_as(first)


def test_an_image_of_another_memory_is_refused(pool: Pool) -> None:
    memory, other = pool.memory(PAGE), pool.memory(PAGE)
    with pytest.raises(ValueError, match="another memory"):
        memory.restore(other.image())
    with pytest.raises(ValueError, match="another memory"):
        memory.fork(other.image())
    assert not memory.image().same_as(other.image())


def test_a_fork_goes_its_own_way(pool: Pool) -> None:
    memory = filled(pool, 8)
    image = memory.image()
    memory.write(0, b"later")
    fork, past = memory.fork(), memory.fork(image)
    memory.write(PAGE, b"even later")
    fork.write(2 * PAGE, b"fork")
    assert fork.read(0, 5) == b"later"
    assert fork.read(PAGE, 2) == b"\2\2"
    assert past.read(0, 5) == b"\1" * 5
    assert memory.read(2 * PAGE, 4) == b"\3" * 4


def test_marks_take_everything_back(pool: Pool) -> None:
    one, other, untouched = filled(pool, 3), filled(pool, 3), filled(pool, 3)
    view = one.view()
    mark = pool.mark()
    assert saved(one) == 0
    view.write(PAGE, b"x")
    view.commit()
    other.resize(9 * PAGE)
    other.write(8 * PAGE, b"y")
    assert untouched._history.deltas == []
    mark.undo()
    assert one.read(0, one.size) == other.read(0, other.size) == untouched.read(0, untouched.size)
    assert one._history.deltas == []
    assert view.stale
    assert view.rollback()
    assert view.read(0, view.size) == one.read(0, one.size)


def test_marks_nest_and_end_in_any_order(pool: Pool) -> None:
    memory = pool.memory(PAGE)
    marks = []
    for step in range(5):
        marks.append(pool.mark())
        memory.write(0, b"%d" % step)
    marks[3].undo()
    assert memory.read(0, 1) == b"2"
    marks[1].release()
    marks[4].undo()
    assert memory.read(0, 1) == b"3"
    marks[2].undo()
    assert memory.read(0, 1) == b"1"
    marks[0].undo()
    assert memory.read(0, 1) == b"\0"
    assert memory._history.deltas == []
    for mark in marks:
        mark.undo()
        mark.release()
    assert memory.read(0, 1) == b"\0"


def test_a_forgotten_mark_costs_nothing(pool: Pool) -> None:
    memory = pool.memory(PAGE)
    pool.mark()
    memory.write(0, b"x")
    assert memory._history.deltas == []


def test_a_memory_closed_since_the_mark_stays_closed(pool: Pool) -> None:
    memory, other = pool.memory(PAGE), pool.memory(PAGE)
    mark = pool.mark()
    memory.write(0, b"x")
    other.write(0, b"x")
    memory.close()
    mark.undo()
    assert other.read(0, 1) == b"\0"


def test_few_pages_of_an_old_image_cost_what_was_written_to_them(pool: Pool) -> None:
    def reading(count: int) -> int:
        memory = pool.memory(64 * PAGE)
        images = []
        for number in range(count):
            memory.write(0, bytes([number % 251 + 1]))
            memory.write((number % 50 + 1) * PAGE, b"x")
            images.append(memory.image())
        assert all(image.read(0, 1) == bytes([n % 251 + 1]) for n, image in enumerate(images))
        return operations(lambda: images[0].together([(0, PAGE)]))

    assert reading(300) <= reading(30) + 5


@given(st.lists(st.tuples(st.sampled_from(["write", "size", "image"]), st.integers(0, 5), st.integers(1, 255))))
def test_pages_read_one_by_one_are_those_read_together(steps: list[tuple[str, int, int]]) -> None:
    memory = Pool().memory(3 * PAGE)
    taken = []
    for kind, place, value in steps:
        if kind == "write" and place * PAGE < memory.size:
            memory.write(place * PAGE + value, bytes([value]))
        elif kind == "size":
            memory.resize(place * PAGE)
        elif kind == "image":
            taken.append((memory.image(), memory.read(0, memory.size)))
    for image, expected in taken:
        pages = [image.read(start, PAGE) for start in range(0, image.size, PAGE)]
        assert b"".join(pages) == expected == b"".join(bytes(data) for _, data in image.pieces([(0, image.size)]))
        assert image.together([(start, PAGE) for start in range(0, image.size, PAGE)]) == expected

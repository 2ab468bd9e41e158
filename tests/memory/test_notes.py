"""Changes that are noted can be taken back, and a page is noted once, however often it changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox.memory import Memory, Pool
from sandbox.memory.host import PAGE

PAGES = 6
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, PAGES * PAGE), st.binary(min_size=1, max_size=3 * PAGE)),
        st.tuples(st.just("resize"), st.integers(0, 2 * PAGES), st.just(b"")),
    ),
    max_size=12,
)


def take(memory: Memory, step: tuple[str, int, bytes]) -> None:
    kind, number, data = step
    if kind == "resize":
        memory.resize(number * PAGE)
    elif number < memory.size:
        memory.write(number, data[: memory.size - number])


@given(before=STEPS, noted=STEPS)
def test_whatever_was_noted_is_taken_back(
    before: list[tuple[str, int, bytes]], noted: list[tuple[str, int, bytes]]
) -> None:
    pool = Pool()
    memory = pool.memory(PAGES * PAGE)
    for step in before:
        take(memory, step)
    size, content = memory.size, memory.read(0, memory.size)
    changes = pool.note_changes()
    for step in noted:
        take(memory, step)
    pool.take_back(changes)
    assert (memory.size, memory.read(0, memory.size)) == (size, content)
    memory.close()


def test_a_page_that_changes_a_thousand_times_is_noted_once() -> None:
    pool = Pool()
    memory, other = pool.memory(PAGES * PAGE), pool.memory(PAGE)
    changes = pool.note_changes()
    for number in range(1000):
        memory.write(PAGE + number, b"x")
        other.write(number, b"y")
    assert sum(len(old) for change in changes for _, old in change.parts) == 2 * PAGE
    pool.take_back(changes)
    assert not any(memory.read(0, memory.size) + other.read(0, PAGE))

"""Laws of what is read for a tree."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.pagestore.hash_tree import PAGE, Pages, Tree, blocks, page_keys
from sandbox.pagestore.memory_trees import whole_pages

RUNS = st.lists(st.tuples(st.integers(0, 9 * PAGE), st.integers(1, 3 * PAGE)), max_size=8)


@given(RUNS, st.integers(0, 12))
@example([(0, PAGE), (0, PAGE)], 0)
def test_whole_pages_are_those_that_runs_touch_inside_the_size(runs: list[tuple[int, int]], pages: int) -> None:
    touched = {page for offset, length in runs for page in range(offset // PAGE, (offset + length - 1) // PAGE + 1)}
    found = whole_pages(runs, pages * PAGE)
    assert [page for offset, length in found for page in range(offset // PAGE, (offset + length) // PAGE)] == sorted(
        page for page in touched if page < pages
    )
    assert all(offset % PAGE == length % PAGE == 0 < length for offset, length in found)
    assert all(first + length < second for (first, length), (second, _) in itertools.pairwise(found))


@given(st.lists(st.tuples(st.integers(0, 2100), st.sampled_from([b"", b"a", b"b"])), max_size=40))
def test_a_step_tells_what_it_made(changes: list[tuple[int, bytes]]) -> None:
    size, tree, content = 2101 * PAGE, Tree(None, 0), dict[int, bytes]()
    for at in range(0, len(changes), 7):
        some = dict(sorted(changes[at : at + 7]))
        content |= some
        data = bytearray(b"".join(value.ljust(PAGE, b"\0") for value in some.values()))
        pages = Pages.of([(page * PAGE, PAGE) for page in some], data)
        made = tree.step(size, pages.numbers, pages.keys)
        old = {number: node.key for number, node in blocks(tree.top)}
        new = {number: node.key for number, node in blocks(made.after.top)}
        told = {number: (node.key, before and before.key) for number, node, before, _ in made.blocks}
        assert told == {n: (key, old.get(n)) for n, key in new.items() if old.get(n) != key}
        assert bool(made.branches) == (made.after.top is not None and made.after.key != tree.key)
        tree = made.after
    whole = [(page * PAGE, value.ljust(PAGE, b"\0")) for page, value in sorted(content.items())]
    assert tree.root == Tree(None, 0).updated(size if changes else 0, *page_keys(whole)).root

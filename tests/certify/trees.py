"""Trees for the tests of this folder."""

from __future__ import annotations

from hypothesis import strategies as st

from sandbox.certify.forest import Content, build
from sandbox.certify.hash_tree import Empty, Fork, HashTree, Labeled, Leaf

LABELS = st.one_of(st.sampled_from([b"a", b"b", b"ab", b"c", b"", b"\xff"]), st.binary(max_size=3))
MAPS: st.SearchStrategy[dict[bytes, Content]] = st.recursive(
    st.dictionaries(LABELS, st.binary(max_size=4), max_size=5),
    lambda below: st.dictionaries(LABELS, st.one_of(st.binary(max_size=4), below), max_size=5),
    max_leaves=12,
)
PATHS = st.lists(st.lists(LABELS, max_size=3), max_size=4)


def _shaped(row: list[Labeled], draw: st.DrawFn) -> HashTree:
    """Any shape of forks over a row, with empty trees strewn in."""
    if len(row) > 1:
        at = draw(st.integers(1, len(row) - 1))
        tree: HashTree = Fork(_shaped(row[:at], draw), _shaped(row[at:], draw))
    else:
        tree = row[0] if row else Empty()
    match draw(st.integers(0, 5)):
        case 0:
            return Fork(tree, Empty())
        case 1:
            return Fork(Empty(), tree)
        case _:
            return tree


@st.composite
def any_shape(draw: st.DrawFn, content: st.SearchStrategy[dict[bytes, Content]] = MAPS) -> HashTree:
    """A well-formed tree of any shape, nothing pruned."""

    def shaped(value: Content) -> HashTree:
        if not isinstance(value, dict):
            return Leaf(value) if isinstance(value, bytes) else build(value)
        return _shaped([Labeled(label, shaped(value[label])) for label in sorted(value)], draw)

    return shaped(draw(content))


def every_path(content: Content) -> list[tuple[bytes, ...]]:
    """The paths of a nested map, inner ones too."""
    paths: list[tuple[bytes, ...]] = [()]
    if isinstance(content, dict):
        paths += [(label, *path) for label, below in content.items() for path in every_path(below)]
    return paths

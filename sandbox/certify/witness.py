"""Pruning: interface specification, "Certificate" ("the state tree can be pruned") and the example of "Encoding".

Promises: a witness has the digest of its tree, and every requested path has the same lookup in both. A path
that is absent is proven so by the labels next to it, whose content stays hidden. A path to a subtree reveals all of
it, as in the replica. A path below a leaf reveals the leaf, because nothing else proves it absent.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox.certify.hash_tree import Empty, Fork, HashTree, Labeled, Path, Pruned, gap, items_near


@dataclass(slots=True)
class _Wanted:
    """The part to reveal under one label."""

    whole: bool = False
    below: dict[bytes, _Wanted] = field(default_factory=dict)


def witness(tree: HashTree, paths: Iterable[Path]) -> HashTree:
    """Return the tree, pruned to the parts that the lookups of these paths need."""
    wanted = _Wanted()
    for path in paths:
        here = wanted
        for label in path:
            here = here.below.setdefault(label, _Wanted())
        here.whole = True
    return _reveal(tree, wanted)


def _reveal(tree: HashTree, wanted: _Wanted) -> HashTree:
    if wanted.whole:
        return tree
    if not wanted.below:
        return _prune(tree)
    if not isinstance(tree, Fork | Labeled):
        return tree
    keep: dict[bytes, _Wanted] = {}
    for label, below in wanted.below.items():
        near = items_near(tree, label)
        if any(isinstance(item, Labeled) and item.label == label for item in near):
            keep[label] = below
            continue
        for neighbour in gap(near, label) or ():
            keep.setdefault(neighbour.label, _Wanted())
    return _cut(tree, sorted(keep), keep)


def _cut(tree: HashTree, labels: list[bytes], keep: dict[bytes, _Wanted]) -> HashTree:
    """Return the tree with the items of these labels; others are pruned, as whole forks where possible."""
    if isinstance(tree, Labeled) and tree.label in labels:
        return Labeled(tree.label, _reveal(tree.tree, keep[tree.label]))
    if not labels or not isinstance(tree, Fork):
        return _prune(tree)
    left, right = tree.left, tree.right
    before = after = labels
    if right.first is not None:
        at = bisect_left(labels, right.first)
        before, after = labels[:at], labels[at:]
    elif left.last is not None:
        at = bisect_right(labels, left.last)
        before, after = labels[:at], labels[at:]
    halves = _cut(left, before, keep), _cut(right, after, keep)
    rest = [half for half in halves if not _without_items(half)]
    return Pruned(tree.digest) if rest and all(isinstance(half, Pruned) for half in rest) else Fork(*halves)


def _prune(tree: HashTree) -> HashTree:
    return tree if _without_items(tree) else Pruned(tree.digest)


def _without_items(tree: HashTree) -> bool:
    """Return whether a tree has no items: pruning it would hide nothing and break proofs of absence beside it."""
    if isinstance(tree, Fork):
        return tree.first is None and _without_items(tree.left) and _without_items(tree.right)
    return isinstance(tree, Empty)

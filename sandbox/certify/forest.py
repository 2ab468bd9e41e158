"""Construction and changes of hash trees: maps of label to subtree, as persistent values.

The specification leaves the shape of forks open. Here it follows from the set of labels alone (a treap: among the
borders between neighbours, the one whose right label hashes highest is the topmost fork). The root hash
therefore depends on the content alone, the depth is about 1.4 log2 n on average, and `put` and `remove` make that many
new nodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from sandbox.certify.failure import CertificateError
from sandbox.certify.hash_tree import Empty, Fork, HashTree, Labeled, Leaf

Content: TypeAlias = "HashTree | bytes | Mapping[bytes, Content]"


def build(content: Content) -> HashTree:
    """Return the tree of nested maps: bytes become a leaf, an empty map the empty tree; a tree is used unchanged."""
    if isinstance(content, bytes):
        return Leaf(content)
    if not isinstance(content, Mapping):
        return content
    row = [Labeled(label, build(content[label])) for label in sorted(content)]
    if len(row) < 2:
        return row[0] if row else Empty()
    return _grow(row, [_weight(item.label) for item in row], 0, len(row))


def put(tree: HashTree, label: bytes, below: HashTree) -> HashTree:
    """Return the map with this subtree under this label, added or replaced."""
    left, right = _split(tree, label)
    return _join(_join(left, Labeled(label, below)), _without(right, label))


def remove(tree: HashTree, label: bytes) -> HashTree:
    """Return the map without this label; the same map if it lacks the label."""
    left, right = _split(tree, label)
    rest = _without(right, label)
    return tree if rest is right else _join(left, rest)


def _weight(label: bytes) -> bytes:
    return hashlib.blake2b(label, digest_size=8).digest() + label


def _grow(row: Sequence[Labeled], weights: Sequence[bytes], start: int, end: int) -> HashTree:
    if end - start == 1:
        return row[start]
    top = max(range(start + 1, end), key=weights.__getitem__)
    return Fork(_grow(row, weights, start, top), _grow(row, weights, top, end))


def _first(tree: HashTree) -> bytes:
    """Return the first label of a map that has items."""
    if tree.first is None:
        raise CertificateError("a tree that is pruned or a leaf cannot be changed")
    return tree.first


def _fork(left: HashTree, right: HashTree) -> HashTree:
    if isinstance(left, Empty):
        return right
    return left if isinstance(right, Empty) else Fork(left, right)


def _split(tree: HashTree, label: bytes) -> tuple[HashTree, HashTree]:
    """Return the items below a label, and those at or above it."""
    if isinstance(tree, Fork):
        if label > _first(tree.right):
            left, right = _split(tree.right, label)
            return _fork(tree.left, left), right
        left, right = _split(tree.left, label)
        return left, _fork(right, tree.right)
    if isinstance(tree, Empty):
        return tree, tree
    return (tree, Empty()) if _first(tree) < label else (Empty(), tree)


def _without(tree: HashTree, label: bytes) -> HashTree:
    """Return the map without its first item if that has this label."""
    if isinstance(tree, Empty) or _first(tree) != label:
        return tree
    return _fork(_without(tree.left, label), tree.right) if isinstance(tree, Fork) else Empty()


def _join(left: HashTree, right: HashTree) -> HashTree:
    """Return the union of two maps; every label of the left is below every label of the right."""
    if isinstance(left, Empty) or isinstance(right, Empty):
        return _fork(left, right)
    here = _weight(_first(right))
    left_top = _weight(_first(left.right)) if isinstance(left, Fork) else b""
    right_top = _weight(_first(right.right)) if isinstance(right, Fork) else b""
    if isinstance(left, Fork) and left_top > max(here, right_top):
        return Fork(left.left, _join(left.right, right))
    if isinstance(right, Fork) and right_top > here:
        return Fork(_join(left, right.left), right.right)
    return Fork(left, right)

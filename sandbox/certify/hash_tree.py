"""Labelled hash trees: interface specification, "Certificate" (the tree and its digest) and "Lookup".

A tree is a frozen value with its digest, so a tree that shares most of its parts with an older one costs only its new
parts. The *items* of a tree are what remains when its forks are flattened: one leaf, or labelled subtrees in strictly
increasing order of labels (bytes), with pruned parts anywhere between.

Promises: `lookup` answers as the specification's `lookup_path` on every well-formed tree, in time that follows the
depth of the tree and not its size; `decode` gives only well-formed trees and raises nothing but `CertificateError`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Any, ClassVar, TypeAlias

from sandbox.certify import cbor
from sandbox.certify.failure import CertificateError

DIGEST_SIZE = 32
_EMPTY = hashlib.sha256(b"\x11ic-hashtree-empty").digest()
_FORK = b"\x10ic-hashtree-fork"
_LABELED = b"\x13ic-hashtree-labeled"
_LEAF = b"\x10ic-hashtree-leaf"

Path: TypeAlias = Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Empty:
    """A tree without items."""

    digest: ClassVar[bytes] = _EMPTY
    first: ClassVar[None] = None
    last: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class Fork:
    """The items of `left`, then those of `right`.

    `first` and `last` are the labels of the outermost items, None where that item is pruned, a leaf or missing.
    """

    left: HashTree
    right: HashTree
    digest: bytes = field(init=False, repr=False, compare=False)
    first: bytes | None = field(init=False, repr=False, compare=False)
    last: bytes | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        left, right = self.left, self.right
        put = object.__setattr__
        put(self, "digest", hashlib.sha256(_FORK + left.digest + right.digest).digest())
        put(self, "first", right.first if isinstance(left, Empty) else left.first)
        put(self, "last", left.last if isinstance(right, Empty) else right.last)


@dataclass(frozen=True, slots=True)
class Labeled:
    """One item: a subtree under its label."""

    label: bytes
    tree: HashTree
    digest: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(_LABELED + self.label + self.tree.digest).digest()
        object.__setattr__(self, "digest", digest)

    @property
    def first(self) -> bytes:
        return self.label

    @property
    def last(self) -> bytes:
        return self.label


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value."""

    value: bytes
    digest: bytes = field(init=False, repr=False, compare=False)
    first: ClassVar[None] = None
    last: ClassVar[None] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(_LEAF + self.value).digest())


@dataclass(frozen=True, slots=True)
class Pruned:
    """A pruned tree; only its digest is known."""

    digest: bytes
    first: ClassVar[None] = None
    last: ClassVar[None] = None


HashTree: TypeAlias = Empty | Fork | Labeled | Leaf | Pruned


@dataclass(frozen=True, slots=True)
class Found:
    """The value at a path."""

    value: bytes


class Missing(Enum):
    """Why a path has no value: it is proven absent, it may be pruned, or it leads to a subtree."""

    ABSENT = "absent"
    UNKNOWN = "unknown"
    ERROR = "error"


Lookup: TypeAlias = Found | Missing


def lookup(tree: HashTree, path: Path) -> Lookup:
    """Look up a path by the rules of `lookup_path`."""
    end = subtree(tree, path)
    match end:
        case Missing():
            return end
        case Leaf(value):
            return Found(value)
        case Pruned():
            return Missing.UNKNOWN
        case Empty():
            return Missing.ABSENT
        case _:
            return Missing.ERROR


def subtree(tree: HashTree, path: Path) -> HashTree | Missing:
    """Return the subtree under a path, or the reason why there is none."""
    for label in path:
        below = _find(tree, label)
        if isinstance(below, Missing):
            return below
        tree = below
    return tree


def items(tree: HashTree) -> Iterator[Labeled | Leaf | Pruned]:
    """Return the items of a tree in order: `flatten_forks`."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, Fork):
            pending += (node.right, node.left)
        elif not isinstance(node, Empty):
            yield node


def items_near(tree: HashTree, label: bytes) -> list[Labeled | Leaf | Pruned]:
    """Return items in order, enough of them to decide about a label as the whole row does.

    A half is left out when an item at the edge of the other half shows that the label cannot be in it, nor next to it.
    """
    pending, near = [tree], []
    while pending:
        node = pending.pop()
        if isinstance(node, Fork):
            left, right = node.left, node.right
            if right.first is not None and label >= right.first:
                pending.append(right)
            elif left.last is not None and label <= left.last:
                pending.append(left)
            else:
                pending += (right, left)
        elif not isinstance(node, Empty):
            near.append(node)
    return near


def gap(near: Sequence[Labeled | Leaf | Pruned], label: bytes) -> tuple[Labeled, ...] | None:
    """Return the neighbours (none to two) that prove a label absent from a row of items; None if it is not proven."""
    for before, after in pairwise([None, *near, None]):
        low = before is None or (isinstance(before, Labeled) and before.label < label)
        high = after is None or (isinstance(after, Labeled) and label < after.label)
        if low and high:
            return tuple(item for item in (before, after) if isinstance(item, Labeled))
    return None


def _find(tree: HashTree, label: bytes) -> HashTree | Missing:
    """Find a label: `find_label`."""
    near = items_near(tree, label)
    for item in near:
        if isinstance(item, Labeled) and item.label == label:
            return item.tree
    if gap(near, label) is not None or (len(near) == 1 and isinstance(near[0], Leaf)):
        return Missing.ABSENT
    return Missing.UNKNOWN


def encode(tree: HashTree) -> bytes:
    """Encode a tree as CBOR, untagged: interface specification, "Encoding of certificates"."""
    return cbor.dump(to_plain(tree))


def decode(data: bytes) -> HashTree:
    """Decode a tree from CBOR, tagged or not."""
    return from_plain(cbor.load(data, "hash tree"), len(data))


def to_plain(tree: HashTree) -> list[Any]:
    """Return the nested arrays of a tree for CBOR."""
    match tree:
        case Empty():
            return [0]
        case Fork(left, right):
            return [1, to_plain(left), to_plain(right)]
        case Labeled(label, below):
            return [2, label, to_plain(below)]
        case Leaf(value):
            return [3, value]
        case Pruned(digest):
            return [4, digest]


def from_plain(value: object, most_nodes: int) -> HashTree:
    """Return the well-formed tree in nested arrays.

    `most_nodes` is at least the number of bytes they came from: shared references of CBOR can make a few bytes stand
    for any number of nodes.
    """
    budget = iter(range(most_nodes))
    tree = _node(value, cbor.MAX_DEPTH, budget)
    _check_well_formed(tree)
    return tree


def _node(value: object, depth: int, budget: Iterator[int]) -> HashTree:
    if depth == 0 or next(budget, None) is None:
        raise CertificateError("not a hash tree: too deep or too large")
    match value:
        case [0]:
            return Empty()
        case [1, left, right]:
            return Fork(_node(left, depth - 1, budget), _node(right, depth - 1, budget))
        case [2, bytes(label), below]:
            return Labeled(label, _node(below, depth - 1, budget))
        case [3, bytes(content)]:
            return Leaf(content)
        case [4, bytes(digest)] if len(digest) == DIGEST_SIZE:
            return Pruned(digest)
        case _:
            raise CertificateError("not a hash tree: a node has another shape")


def _check_well_formed(tree: HashTree) -> None:
    """Check `well_formed`: labels strictly increase, and a leaf is the only item."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, Leaf):
            continue
        label: bytes | None = None
        for item in items(node):
            if isinstance(item, Leaf):
                raise CertificateError("not a hash tree: a leaf beside other items")
            if isinstance(item, Labeled):
                if label is not None and item.label <= label:
                    raise CertificateError("not a hash tree: labels that do not increase")
                label = item.label
                pending.append(item.tree)

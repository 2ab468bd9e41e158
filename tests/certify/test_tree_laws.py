"""Laws of hash trees that hold for every content, every shape and every input however broken."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.certify.certificate import read_certificate, verify_certificate
from sandbox.certify.failure import CertificateError
from sandbox.certify.forest import Content, build, put, remove
from sandbox.certify.hash_tree import (
    Empty,
    Fork,
    Found,
    HashTree,
    Labeled,
    Leaf,
    Lookup,
    Missing,
    Pruned,
    decode,
    encode,
    items,
    lookup,
)
from sandbox.certify.key import RootKey
from sandbox.certify.witness import witness
from tests.certify.trees import LABELS, MAPS, PATHS, any_shape, every_path

KEY = RootKey.from_seed(b"laws")


def plain_lookup(content: Content, path: Sequence[bytes]) -> Lookup:
    """The answer of the nested map itself."""
    for label in path:
        if not isinstance(content, dict) or label not in content:
            return Missing.ABSENT
        content = content[label]
    if isinstance(content, bytes):
        return Found(content)
    return Missing.ERROR if content else Missing.ABSENT


def flat_lookup(tree: HashTree, path: Sequence[bytes]) -> Lookup:
    """The rules of the specification, read aloud over all items."""
    if not path:
        match tree:
            case Leaf(value):
                return Found(value)
            case Pruned():
                return Missing.UNKNOWN
            case Fork() | Labeled():
                return Missing.ERROR
        return Missing.ABSENT
    row, label = list(items(tree)), path[0]
    for item in row:
        if isinstance(item, Labeled) and item.label == label:
            return flat_lookup(item.tree, path[1:])
    if not row or (len(row) == 1 and isinstance(row[0], Leaf)):
        return Missing.ABSENT
    if isinstance(row[0], Labeled) and label < row[0].label:
        return Missing.ABSENT
    if isinstance(row[-1], Labeled) and row[-1].label < label:
        return Missing.ABSENT
    for low, high in pairwise(row):
        if isinstance(low, Labeled) and isinstance(high, Labeled) and low.label < label < high.label:
            return Missing.ABSENT
    return Missing.UNKNOWN


def leaves(tree: HashTree) -> list[tuple[tuple[bytes, ...], bytes]]:
    """The revealed values and where they are."""
    found: list[tuple[tuple[bytes, ...], bytes]] = []
    for item in items(tree):
        if isinstance(item, Labeled):
            found += [((item.label, *path), value) for path, value in leaves(item.tree)]
        elif isinstance(item, Leaf):
            found.append(((), item.value))
    return found


@given(MAPS, PATHS)
def test_a_tree_says_what_its_content_says(content: dict[bytes, Content], paths: list[list[bytes]]) -> None:
    tree = build(content)
    for path in [*paths, *every_path(content)]:
        assert lookup(tree, path) == plain_lookup(content, path)


@given(any_shape(), PATHS, PATHS)
def test_lookup_follows_the_rules_in_every_shape_and_in_witnesses(
    tree: HashTree, paths: list[list[bytes]], others: list[list[bytes]]
) -> None:
    pruned = witness(tree, paths)
    for path in paths + others:
        assert lookup(tree, path) == flat_lookup(tree, path)
        assert lookup(pruned, path) == flat_lookup(pruned, path)


@given(any_shape(), PATHS)
def test_a_witness_keeps_the_digest_and_the_answers(tree: HashTree, paths: list[list[bytes]]) -> None:
    pruned = witness(tree, paths)
    assert pruned.digest == tree.digest
    for path in paths:
        assert lookup(pruned, path) == lookup(tree, path)


@given(any_shape(), PATHS, PATHS)
def test_a_witness_never_contradicts_its_tree(
    tree: HashTree, paths: list[list[bytes]], others: list[list[bytes]]
) -> None:
    pruned = witness(tree, paths)
    for path in others:
        assert lookup(pruned, path) in (lookup(tree, path), Missing.UNKNOWN)


@st.composite
def paths_and_some_of_them(draw: st.DrawFn) -> tuple[list[list[bytes]], list[list[bytes]]]:
    paths = draw(PATHS)
    return paths, draw(st.lists(st.sampled_from(paths), max_size=3)) if paths else []


def fork(*row: HashTree | bytes) -> HashTree:
    """Forks over two or more subtrees, the first of them on top; a label stands for itself with an empty leaf."""
    trees = [Labeled(item, Leaf(b"")) if isinstance(item, bytes) else item for item in row]
    return Fork(trees[0], trees[1]) if len(trees) == 2 else Fork(trees[0], fork(*trees[1:]))


@given(any_shape(), paths_and_some_of_them())
@example(fork(fork(b"", b"a"), fork(fork(b"ab", b"b"), Empty())), ([[b""], [b"b"]], [[b""]]))
@example(fork(fork(b"", fork(fork(b"a", b"ab"), Empty())), fork(b"b", Empty())), ([[b"b"], [b""]], [[b"b"]]))
@example(fork(fork(Empty(), fork(b"", b"a")), fork(b"b", b"c")), ([[b"c"], [b""]], [[b"c"]]))
@example(fork(fork(fork(fork(b"a", Empty()), b"ab"), Empty()), fork(b"b", b"c")), ([[b"c"], [b"a"]], [[b"c"]]))
def test_a_witness_of_a_witness_is_a_witness(
    tree: HashTree, asked: tuple[list[list[bytes]], list[list[bytes]]]
) -> None:
    paths, fewer = asked
    assert witness(witness(tree, paths), fewer) == witness(tree, fewer)


@given(any_shape(), PATHS)
def test_a_witness_reveals_no_value_that_was_not_asked_for(tree: HashTree, paths: list[list[bytes]]) -> None:
    for place, _value in leaves(witness(tree, paths)):
        asked = any(tuple(path[: len(place)]) == place or place[: len(path)] == tuple(path) for path in paths)
        assert asked


@given(any_shape(), PATHS)
def test_cbor_gives_the_same_tree_back(tree: HashTree, paths: list[list[bytes]]) -> None:
    for one in (tree, witness(tree, paths)):
        assert decode(encode(one)) == one


@given(st.lists(st.tuples(LABELS, st.none() | st.binary(max_size=3)), max_size=30))
def test_the_shape_follows_from_the_content_and_not_from_its_history(changes: list[tuple[bytes, bytes | None]]) -> None:
    content: dict[bytes, Content] = {}
    tree = build(content)
    for label, value in changes:
        if value is None:
            content.pop(label, None)
            tree = remove(tree, label)
        else:
            content[label] = value
            tree = put(tree, label, Leaf(value))
        assert tree == build(content)


@given(st.binary(max_size=60))
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    for read in (decode, read_certificate):
        with contextlib.suppress(CertificateError):
            read(data)


@given(any_shape(), st.data())
def test_broken_trees_raise_nothing_else(tree: HashTree, data: st.DataObject) -> None:
    raw = bytearray(encode(tree))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CertificateError):
        again = decode(bytes(raw))
        assert decode(encode(again)) == again


@given(st.binary(max_size=200), st.binary(max_size=140))
def test_random_certificates_and_keys_raise_nothing_else(data: bytes, key: bytes) -> None:
    with contextlib.suppress(CertificateError):
        verify_certificate(data, key)
    with contextlib.suppress(CertificateError):
        verify_certificate(b"\xa2\x64tree\x81\x00\x69signature\x58" + bytes([len(data)]) + data, KEY.public_key)

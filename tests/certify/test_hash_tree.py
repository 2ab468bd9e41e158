"""Interface specification, "Certificate", "Lookup" and the example of "Encoding of certificates"."""

from __future__ import annotations

import cbor2
import pytest

from sandbox.certify.failure import CertificateError
from sandbox.certify.forest import build, put, remove
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
    subtree,
)
from sandbox.certify.witness import witness

ABSENT, UNKNOWN, ERROR = Missing.ABSENT, Missing.UNKNOWN, Missing.ERROR

A = Labeled(b"a", Fork(Fork(Labeled(b"x", Leaf(b"hello")), Empty()), Labeled(b"y", Leaf(b"world"))))
LEFT = Fork(A, Labeled(b"b", Leaf(b"good")))
RIGHT = Fork(Labeled(b"c", Empty()), Labeled(b"d", Leaf(b"morning")))
EXAMPLE = Fork(LEFT, RIGHT)
EXAMPLE_CBOR = (
    "8301830183024161830183018302417882034568656c6c6f810083024179820345776f726c6483024162820344676f6f64"
    "8301830241638100830241648203476d6f726e696e67"
)
EXAMPLE_ROOT = "eb5c5b2195e62d996b84c9bcc8259d19a83786a2f59e0878cec84c811f669aa0"
PRUNED_CBOR = (
    "83018301830241618301820458201b4feff9bef8131788b0c9dc6dbad6e81e524249c879e9f10f71ce3749f5a638"
    "83024179820345776f726c6483024162820458207b32ac0c6ba8ce35ac82c255fc7906f7fc130dab2a090f80fe12f9c2cae83ba6"
    "830182045820ec8324b8a1f1ac16bd2e806edba78006479c9877fed4eb464a25485465af601d830241648203476d6f726e696e67"
)


def test_the_example_has_the_digest_and_the_encoding_of_the_specification() -> None:
    assert EXAMPLE.digest.hex() == EXAMPLE_ROOT
    assert encode(EXAMPLE).hex() == EXAMPLE_CBOR
    assert decode(bytes.fromhex(EXAMPLE_CBOR)) == EXAMPLE


def test_pruning_the_example_gives_the_tree_of_the_specification() -> None:
    pruned = witness(EXAMPLE, [[b"a", b"y"], [b"ax"], [b"d"]])
    assert encode(pruned).hex() == PRUNED_CBOR
    assert pruned.digest.hex() == EXAMPLE_ROOT


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ([b"a", b"a"], UNKNOWN),
        ([b"a", b"y"], Found(b"world")),
        ([b"aa"], ABSENT),
        ([b"ax"], ABSENT),
        ([b"b"], UNKNOWN),
        ([b"bb"], UNKNOWN),
        ([b"d"], Found(b"morning")),
        ([b"e"], ABSENT),
    ],
    ids=str,
)
def test_lookups_in_the_pruned_example(path: list[bytes], answer: Lookup) -> None:
    assert lookup(decode(bytes.fromhex(PRUNED_CBOR)), path) == answer


@pytest.mark.parametrize(
    ("tree", "path", "answer"),
    [
        (Empty(), [], ABSENT),
        (Leaf(b"v"), [], Found(b"v")),
        (Pruned(bytes(32)), [], UNKNOWN),
        (Labeled(b"l", Empty()), [], ERROR),
        (Fork(Empty(), Empty()), [], ERROR),
        (Empty(), [b"l"], ABSENT),
        (Leaf(b"v"), [b"l"], ABSENT),
        (Pruned(bytes(32)), [b"l"], UNKNOWN),
        (Fork(Empty(), Empty()), [b"l"], ABSENT),
        (Fork(Pruned(bytes(32)), Labeled(b"m", Empty())), [b"l"], UNKNOWN),
        (Fork(Pruned(bytes(32)), Labeled(b"m", Empty())), [b"n"], ABSENT),
        (Fork(Labeled(b"m", Empty()), Pruned(bytes(32))), [b"l"], ABSENT),
        (Fork(Labeled(b"m", Empty()), Pruned(bytes(32))), [b"n"], UNKNOWN),
        (Fork(Fork(Empty(), Empty()), Labeled(b"m", Empty())), [b"l"], ABSENT),
    ],
    ids=str,
)
def test_every_rule_of_lookup(tree: HashTree, path: list[bytes], answer: Lookup) -> None:
    assert lookup(tree, path) == answer


def test_a_path_to_a_subtree_gives_the_subtree() -> None:
    assert subtree(EXAMPLE, [b"a"]) == A.tree
    assert subtree(EXAMPLE, [b"ax"]) is ABSENT
    assert lookup(EXAMPLE, [b"a"]) is ERROR


def test_the_items_are_the_forks_flattened() -> None:
    assert [item.label for item in items(EXAMPLE) if isinstance(item, Labeled)] == [b"a", b"b", b"c", b"d"]


def test_a_witness_of_a_subtree_reveals_all_of_it() -> None:
    pruned = witness(EXAMPLE, [[b"a"]])
    assert subtree(pruned, [b"a"]) == A.tree
    assert b"morning" not in encode(pruned)


def test_a_witness_of_nothing_is_the_root_hash() -> None:
    assert witness(EXAMPLE, []) == Pruned(EXAMPLE.digest)


def test_a_path_below_a_leaf_is_proven_absent() -> None:
    pruned = witness(EXAMPLE, [[b"b", b"c"]])
    assert lookup(pruned, [b"b", b"c"]) is ABSENT
    assert b"world" not in encode(pruned)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [],
        [5],
        [0, 0],
        [1, [0]],
        [2, "text", [0]],
        [2, b"l"],
        [3, "text"],
        [4, b"short"],
        [1, [3, b"leaf"], [0]],
        [1, [2, b"b", [0]], [2, b"a", [0]]],
        [1, [2, b"a", [0]], [2, b"a", [0]]],
        [1, [2, b"b", [0]], [1, [4, bytes(32)], [2, b"a", [0]]]],
        [2, b"l", [1, [0], [3, b"leaf"]]],
    ],
    ids=str,
)
def test_what_is_no_well_formed_tree_is_refused(value: object) -> None:
    with pytest.raises(CertificateError, match="not a hash tree"):
        decode(cbor2.dumps(value))


def test_bytes_after_a_tree_are_refused() -> None:
    with pytest.raises(CertificateError, match="follow"):
        decode(encode(EXAMPLE) + b"\0")


def test_depth_is_bounded() -> None:
    deep = b"\x83\x02\x41l" * 5000 + b"\x81\x00"
    with pytest.raises(CertificateError):
        decode(deep)
    shallow = b"\x83\x02\x41l" * 100 + b"\x81\x00"
    assert encode(decode(shallow)) == shallow


def test_shared_references_cannot_blow_up() -> None:
    """A hundred forks whose halves are one and the same: few bytes, 2^100 nodes."""
    shared = bytes.fromhex("d81c8100")  # an empty tree, marked as shared number 0
    for number in range(1, 40):
        shared = b"\xd8\x1c\x83\x01" + shared + b"\xd8\x1d\x18" + bytes([40 - number])
    with pytest.raises(CertificateError):
        decode(shared)
    halves: list[object] = [0]
    for _ in range(60):
        halves = [1, halves, halves]
    with pytest.raises(CertificateError):
        decode(cbor2.dumps(halves, value_sharing=True))


def test_a_map_of_thousands_is_shallow_and_its_witness_small() -> None:
    tree = build({number.to_bytes(8, "big"): {b"v": bytes(100)} for number in range(5000)})
    proof = encode(witness(tree, [[(2500).to_bytes(8, "big"), b"v"], [b"absent"]]))
    assert len(proof) < 3000
    assert lookup(decode(proof), [b"absent"]) is ABSENT


def test_a_pruned_tree_cannot_be_changed() -> None:
    for tree in (Pruned(bytes(32)), Leaf(b""), witness(EXAMPLE, [[b"d"]])):
        with pytest.raises(CertificateError, match="cannot be changed"):
            put(tree, b"a", Empty())
        with pytest.raises(CertificateError, match="cannot be changed"):
            remove(tree, b"a")

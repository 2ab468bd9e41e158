"""Interface specification, "The system state tree"."""

from __future__ import annotations

from dataclasses import replace

import cbor2
import pytest

from sandbox.certify.hash_tree import Found, Labeled, Lookup, Missing, items, lookup, subtree
from sandbox.certify.state_tree import CanisterFacts, RequestFacts, StateTree, SubnetFacts
from sandbox.principal import Principal
from tests.certify import sample

CANISTER, EMPTY_ONE, SUBNET = bytes(sample.FIRST), bytes(sample.EMPTY_ONE), sample.SUBNET
TREE = sample.STATE.tree()


def leb128(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((b"time",), leb128(sample.TIME)),
        ((b"canister", CANISTER, b"module_hash"), sample.HASH),
        ((b"canister", CANISTER, b"certified_data"), b"data"),
        ((b"canister", CANISTER, b"metadata", b"candid:service"), b"service : {}"),
        ((b"canister", CANISTER, b"canister_creation_timestamp"), leb128(sample.TIME - 2)),
        ((b"canister", CANISTER, b"last_install_timestamp"), leb128(sample.TIME - 1)),
        ((b"canister", EMPTY_ONE, b"controllers"), bytes.fromhex("d9d9f780")),
        ((b"canister", EMPTY_ONE, b"canister_creation_timestamp"), leb128(sample.TIME - 3)),
        ((b"request_status", sample.REPLIED, b"status"), b"replied"),
        ((b"request_status", sample.REPLIED, b"reply"), b"DIDL\0\0"),
        ((b"request_status", sample.REJECTED, b"status"), b"rejected"),
        ((b"request_status", sample.REJECTED, b"reject_code"), b"\x05"),
        ((b"request_status", sample.REJECTED, b"reject_message"), b"no"),
        ((b"request_status", sample.REJECTED, b"error_code"), b"IC0503"),
        ((b"subnet", SUBNET, b"public_key"), sample.KEY.public_key),
        ((b"subnet", SUBNET, b"type"), b"system"),
        ((b"subnet", SUBNET, b"node", bytes(sample.NODE.node_id), b"public_key"), sample.NODE.public_key),
    ],
    ids=lambda value: "/".join(label.decode(errors="replace") for label in value) if isinstance(value, tuple) else "",
)
def test_every_value_is_where_the_specification_says(path: tuple[bytes, ...], value: bytes) -> None:
    assert lookup(TREE, path) == Found(value)


@pytest.mark.parametrize(
    "path",
    [
        (b"canister", EMPTY_ONE, b"module_hash"),
        (b"canister", EMPTY_ONE, b"certified_data"),
        (b"canister", EMPTY_ONE, b"last_install_timestamp"),
        (b"canister", EMPTY_ONE, b"metadata", b"candid:service"),
        (b"canister", CANISTER, b"metadata", b"absent"),
        (b"canister", b"absent"),
        (b"request_status", sample.REPLIED, b"reject_code"),
        (b"subnet", SUBNET, b"metrics"),
        (b"absent",),
    ],
    ids=str,
)
def test_what_is_not_there_is_absent(path: tuple[bytes, ...]) -> None:
    assert lookup(TREE, path) is Missing.ABSENT


def test_controllers_are_a_tagged_array_in_order() -> None:
    found = value_at(TREE_OF_MANY, (b"canister", CANISTER, b"controllers"))
    assert found.startswith(b"\xd9\xd9\xf7")
    assert list(cbor2.loads(found)) == [b"\x01", b"\x04", b"\x05"]


TREE_OF_MANY = StateTree.of(
    0, {sample.FIRST: CanisterFacts((Principal(b"\x05"), Principal(b"\x01"), Principal(b"\x04")))}, {}
).tree()


def value_at(tree: object, path: tuple[bytes, ...]) -> bytes:
    found: Lookup = lookup(tree, path)  # type: ignore[arg-type]
    assert isinstance(found, Found)
    return found.value


def test_ranges_are_at_both_places() -> None:
    flat = value_at(TREE, (b"subnet", SUBNET, b"canister_ranges"))
    assert flat.startswith(b"\xd9\xd9\xf7")
    ranges = [[bytes(sample.FIRST), bytes(sample.LAST)], [bytes(end) for end in sample.FAR]]
    assert [list(pair) for pair in cbor2.loads(flat)] == ranges
    assert value_at(TREE, (b"canister_ranges", SUBNET, bytes(sample.FIRST))) == flat


def test_a_shard_holds_five_ranges_and_is_named_after_its_first_canister() -> None:
    ranges = tuple((Principal.from_index(10 * n), Principal.from_index(10 * n + 5)) for n in range(12))
    facts = SubnetFacts(sample.KEY.subnet_id, sample.KEY.public_key, tuple(reversed(ranges)))
    below = subtree(StateTree.of(0, {}, {}, facts).tree(), (b"canister_ranges", SUBNET))
    assert not isinstance(below, Missing)
    shards = [item for item in items(below) if isinstance(item, Labeled)]
    assert [shard.label for shard in shards] == [bytes(ranges[start][0]) for start in (0, 5, 10)]
    lengths = [len(cbor2.loads(value_at(shard.tree, ()))) for shard in shards]
    assert lengths == [5, 5, 2]


def test_a_change_gives_the_tree_of_the_changed_facts() -> None:
    facts = replace(sample.FACTS, certified_data=b"other")
    status = RequestFacts("processing")
    changed = (
        sample.STATE.at(5)
        .with_canister(sample.FIRST, facts)
        .with_canister(sample.EMPTY_ONE, None)
        .with_request(sample.REJECTED, None)
        .with_request(b"new", status)
        .with_subnet(replace(sample.SUBNET_FACTS, kind="application"))
    )
    afresh = StateTree.of(
        5,
        {sample.FIRST: facts},
        {b"new": status, sample.REPLIED: RequestFacts.replied(b"DIDL\0\0")},
        replace(sample.SUBNET_FACTS, kind="application"),
    )
    assert changed == afresh
    assert changed.tree().digest == afresh.tree().digest != TREE.digest


def test_forgetting_what_is_not_there_changes_nothing() -> None:
    assert sample.STATE.with_canister(Principal(b"absent"), None) == sample.STATE
    assert sample.STATE.with_request(b"absent", None) == sample.STATE

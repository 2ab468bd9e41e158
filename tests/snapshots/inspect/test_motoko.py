"""What Motoko leaves in stable memory, against what the canister itself answers."""

from __future__ import annotations

import json

import pytest

from sandbox import Sandbox
from sandbox.candid import field_id
from sandbox.snapshots.inspect import Hints, InspectError, Plain, decode
from sandbox.snapshots.inspect.motoko.decode import ENHANCED, NOT_SAVED, SAVED
from sandbox.snapshots.inspect.motoko.stable_types import Declared, parse_stable_types
from sandbox.snapshots.inspect.motoko.tree import DecodeLimits
from sandbox.snapshots.inspect.value import Node, node_json, node_text
from tests.conftest import fixture
from tests.snapshots.inspect.images import (
    hints,
    motoko_people,
    motoko_region,
    new,
    part,
    saved,
    stable,
    variables,
    whole,
)


def test_saved_variables_are_what_the_canister_answers() -> None:
    canister = new("people_v1.classical")
    canister.call("fill", 100)
    canister.call("set_age", 7, 99)
    about = hints(canister)
    people, edits = canister.call("list", 0, 1000), canister.call("edit_count")
    decoded = decode(Plain(saved(canister)), about)
    assert decoded.facts == {"layout": "version 0: classical persistence, variables only"}
    assert decoded.notes == (SAVED,)
    found = variables(part(decoded, "variables"))
    assert found["edits"] == edits == 1
    blocks = found["people"]["blocks"]
    assert [person for block in blocks for person in block if person is not None] == people


def test_variables_have_the_types_that_were_declared() -> None:
    image, about = motoko_people()
    shown = {node_text(name): node_text(kind) for name, kind, _ in _nodes(image, about)}
    assert shown == {
        "edits": "var Nat",
        "people": "{var blockIndex : Nat__142896701; var blocks : [var [var ?Person__762770418]]; "
        "var elementIndex : Nat__142896701}",
    }


def test_values_are_printed_as_candid_with_var_before_what_is_mutable() -> None:
    image, about = motoko_people()
    shown = {node_text(name): value for name, _, value in _nodes(image, about)}
    assert node_text(shown["edits"]) == "0 : nat"
    assert "    var vec {\n      opt record {\n        id = 0 : nat;\n        age = 18 : nat;" in node_text(
        shown["people"]
    )
    json = node_json(shown["people"])
    assert isinstance(json, dict)
    person = {"id": 0, "name": "Person 0", "age": 18, "email": "person0@example.org", "tags": ["group-0", "even"]}
    assert json["blocks"][1] == [[person]]


def test_without_the_metadata_fields_have_their_numbers() -> None:
    image, _ = motoko_people()
    names = {node_text(name) for name, _, _ in _nodes(image, Hints())}
    assert names == {f"_{field_id('edits')}_", f"_{field_id('people')}_"}
    assert part(decode(Plain(image)), "variables").facts == {"types": "not named: no motoko:stable-types"}


def test_long_values_are_cut_and_all_variables_still_found() -> None:
    image, about = motoko_people()
    short = Hints(about.metadata, keep=DecodeLimits(items=2, depth=6, text=3))
    shown = {node_text(name): node_text(value) for name, _, value in _nodes(image, short)}
    assert shown["edits"] == "0 : nat"
    assert "more" in shown["people"]
    assert "..." in shown["people"]
    assert len(shown["people"]) < 400


def _nodes(image: bytes, about: Hints) -> list[tuple[Node, Node, Node]]:
    rows = []
    for row in part(decode(Plain(image), about), "variables").rows():
        name, kind, value = row
        assert isinstance(name, Node)
        assert isinstance(kind, Node)
        assert isinstance(value, Node)
        rows.append((name, kind, value))
    return rows


def test_a_running_classical_canister_says_where_its_variables_are() -> None:
    canister = new("people_v1.classical")
    canister.call("fill", 3)
    assert decode(stable(canister), hints(canister)).notes == ("There is no stable memory.", NOT_SAVED)
    canister.upgrade(fixture("people_v1.classical"))
    decoded = decode(stable(canister), hints(canister))
    assert decoded.notes == ("Stable memory is all zeros.", NOT_SAVED)  # post_upgrade has cleared it


def test_enhanced_persistence_says_that_the_heap_is_not_decoded() -> None:
    canister = new("people_v1.enhanced")
    canister.call("fill", 3)
    assert decode(stable(canister), hints(canister)).notes == ("There is no stable memory.", ENHANCED)


@pytest.mark.parametrize("persistence", ["classical", "enhanced"])
@pytest.mark.parametrize("when", ["running", "saved"])
def test_regions_hold_what_the_canister_wrote(persistence: str, when: str) -> None:
    running, left, about = motoko_region(persistence)
    decoded = decode(Plain(running if when == "running" else left), about)
    region = part(decoded, "region 16")
    assert region.facts == {"pages": 130, "blocks": 2}
    assert region.data.size == 130 * 65536
    assert region.data.read(5, 14) == b"near the start"
    assert region.data.read((8 << 20) + 70_000, 19) == b"in the second block"
    assert part(decoded, "regions").facts == {"regions": 1, "without pages": 0}


def test_regions_and_variables_lie_side_by_side_after_pre_upgrade() -> None:
    _, left, about = motoko_region("classical")
    decoded = decode(Plain(left), about)
    assert decoded.facts == {"layout": "version 2: classical persistence, with regions"}
    shown = {node_text(name): node_text(value) for name, _, value in _nodes(left, about)}
    assert shown == {"region": "region 16 (130 pages)", "count": "0 : nat", "ticks": "0 : nat"} | {
        "kept": "null",
        "keptBytes": "0 : nat",
    }


def test_enhanced_regions_are_named_as_such() -> None:
    running, left, about = motoko_region("enhanced")
    decoded = decode(Plain(left), about)
    assert decoded.facts == {"layout": "version 6: enhanced orthogonal persistence, with regions"}
    assert decoded.notes == (ENHANCED,)
    assert decode(Plain(running), about).notes == (ENHANCED,)
    assert whole(part(decoded, "region 16").data) == whole(part(decode(Plain(running), about), "region 16").data)


def test_long_lists_are_no_recursion() -> None:
    canister = new("counter.classical")
    canister.call("grow", 1024 * 40)  # a linked list of 40 blocks
    about = hints(canister)
    [kept] = [v for n, _, v in _nodes(saved(canister), about) if node_text(n) == "kept"]
    assert node_text(kept).count("next = ") >= 10


# --- messages made by hand, as the compiler's notes describe them

ALIAS_HEAD = b"DIDL\x02" + b"\x6c\x02\x00\x01\x01\x01" + b"\x01\x7d" + b"\x01\x00"
"""record { alias nat; alias nat }"""


def version_0(message: bytes) -> Plain:
    return Plain((len(message).to_bytes(4, "little") + message).ljust(65536, b"\0"))


def test_what_is_shared_is_numbered_and_referred_to() -> None:
    first = b"\0" + bytes(8) + b"\x07"
    message = ALIAS_HEAD + first + b"\x01" + (-10).to_bytes(4, "little", signed=True)
    [(_, _, one), (_, _, two)] = _nodes(version_0(message).data, Hints())
    assert (node_text(one), node_text(two)) == ("#1 = var 7 : nat", "#1")
    assert (node_json(one), node_json(two)) == ({"#": 1, "is": 7}, {"#": 1})


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (b"\x01" + bytes(4), "where nothing mutable is"),
        (b"\x02", "is marked 2, neither 0 nor 1"),
        (b"\0" + bytes(8) + b"\x07", "goes beyond the end"),
        (b"\0" + bytes(8) + b"\x07" + b"\0" + bytes(8) + b"\x07" + b"more", "4 bytes follow the last variable"),
    ],
)
def test_broken_values_are_errors_that_say_where(values: bytes, problem: str) -> None:
    with pytest.raises(InspectError, match=problem):
        _nodes(version_0(ALIAS_HEAD + values).data, Hints())


def test_a_number_of_thousands_of_digits_is_printed_and_is_json() -> None:
    number = 1 << 70_000
    message = b"DIDL\x01" + b"\x6c\x01\x00\x7d" + b"\x01\x00" + b"\x80" * 10_000 + b"\x01"
    [(_, _, value)] = _nodes(version_0(message).data, Hints())
    assert node_text(value) == f"{number:#x} : nat"
    assert json.loads(json.dumps(node_json(value))) == f"{number:#x}"


def test_a_type_without_end_is_refused() -> None:
    endless = b"DIDL\x02" + b"\x6c\x01\x00\x01" + b"\x6c\x01\x00\x01" + b"\x01\x00"
    with pytest.raises(InspectError, match="nested more than 100,000 levels"):
        _nodes(version_0(endless).data, Hints())


def test_a_vector_of_nothing_without_end_is_refused() -> None:
    hollow = b"DIDL\x02" + b"\x6c\x01\x00\x01" + b"\x6d\x7f" + b"\x01\x00" + b"\xff" * 8 + b"\x01"
    with pytest.raises(InspectError, match="more values than bytes"):
        _nodes(version_0(hollow).data, Hints())


def test_stable_signatures_with_a_migration_give_what_is_declared_after_it() -> None:
    text = """// Version: 3.0.0
    type Tree__1 = {#leaf; #node : (Tree__1, Int, Tree__1)};
    actor ({
      in stable a : Int;
      stable old : Text
    }, {
      stable var a : Nat;
      stable func_ : shared query (Nat, Text) -> async [var Tree__1];
      stable _7_ : {#A; #B : Blob}
    });"""
    found = parse_stable_types(text)
    assert found.variables["a"] == Declared("a", "Nat", True)
    assert found.variables["func_"] == Declared("func_", "shared query (Nat, Text) -> async [var Tree__1]", False)
    assert found.variables["_7_"] == Declared("_7_", "{#A; #B : Blob}", False)
    assert found.names[7] == "_7_"
    assert "func" in found.names.values()
    assert parse_stable_types("not a signature at all {{{").variables == {}


# --- layouts that no compiler at hand writes, as its sources describe them


def between_upgrades(version: int, *, first: bytes, body: bytes, end: bytes) -> Plain:
    """Two pages of stable memory: the program's own, whose first word stands at the end, and what follows it."""
    image = bytearray(3 * 65536)
    image[4:100] = first[4:].ljust(96, b"\0")
    image[65536 : 65536 + len(body)] = body
    tail = end + first[:4] + version.to_bytes(4, "little")
    image[len(image) - len(tail) :] = tail
    return Plain(bytes(image))


def test_variables_beside_the_old_stable_memory() -> None:
    message = b"DIDL\x01\x6c\x01" + bytes([0xA9, 0xFE, 0x87, 0xCF, 0x06]) + b"\x7d\x01\x00\x2a"
    body = len(message).to_bytes(4, "little") + message
    image = between_upgrades(1, first=b"my own bytes", body=body, end=(1).to_bytes(4, "little"))
    decoded = decode(image, Hints({"motoko:stable-types": b"actor { stable var edits : Nat }"}))
    assert decoded.facts == {"layout": "version 1: classical persistence, with stable memory"}
    assert [p.name for p in decoded.parts] == ["variables", "stable memory"]
    assert [tuple(map(_text, row)) for row in decoded.parts[0].rows()] == [("edits", "var Nat", "42 : nat")]
    assert whole(decoded.parts[1].data)[:13] == b"my own bytes\0"


def _text(cell: object) -> str:
    assert isinstance(cell, Node)
    return node_text(cell)


def test_variables_in_the_heap_are_named_as_such() -> None:
    image = between_upgrades(5, first=b"my own bytes", body=b"", end=(1).to_bytes(8, "little"))
    decoded = decode(image)
    assert decoded.notes == (ENHANCED,)
    assert whole(part(decoded, "stable memory").data)[:13] == b"my own bytes\0"


def test_a_size_that_cannot_be_is_refused() -> None:
    image = between_upgrades(5, first=b"bytes", body=b"", end=(1 << 60).to_bytes(8, "little"))
    with pytest.raises(InspectError, match="Motoko's stable memory has"):
        decode(image)


@pytest.mark.parametrize("mode", ["classical", "enhanced"])
def test_long_blobs_are_cut_by_a_limit_of_their_own(mode: str) -> None:
    with Sandbox() as sandbox:
        canister = sandbox.create_canister()
        canister.install(fixture(f"vars_v1.{mode}"))
        canister.call("fill")
        target = sandbox.snapshots.inspect_via_hooks(canister)
        for keep, cut in ((DecodeLimits(), False), (DecodeLimits(blob=6), True)):
            shown = {}
            for name, _, value in part(target.decode(keep), "variables").rows():
                assert isinstance(name, Node)
                assert isinstance(value, Node)
                shown[node_text(name)] = node_text(value)
            assert shown["blob"].endswith("(* 9 bytes *)") == cut
            assert shown["text"] == '"Grüße, мир"'

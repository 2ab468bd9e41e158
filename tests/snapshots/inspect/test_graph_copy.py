"""Graph copies: those that canisters make, and some made by hand as the sources of Motoko's runtime describe them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from sandbox import Sandbox
from sandbox.candid import field_id
from sandbox.codec.leb128 import encode_signed, encode_unsigned
from sandbox.snapshots.diff.structures import compare_structures
from sandbox.snapshots.inspect import Bytes, Hints, InspectError, Plain, decode
from sandbox.snapshots.inspect.motoko.tree import WHOLE, DecodeLimits
from sandbox.snapshots.inspect.target import InspectionTarget, opened_stable
from sandbox.snapshots.inspect.value import Node, node_json, node_text, shortened
from tests.conftest import fixture, sandbox_of
from tests.snapshots.inspect.images import hints, new, part, saved

NAT, TEXT, NAT8, NAT64 = -3, -15, -5, -8
OPT, VEC, RECORD, VARIANT, ALIAS, TUPLE, WEAK, BLOB = -18, -19, -20, -21, 1, -130, -131, -129
NULL = 0xFFFF_FFFF_FFFF_FFFB
_FIXED_PARTS = {"box": 5, "record": 6, "text": 8, "some": 18, "weak": 19, "variant": 15, "concat": 16, "big": 17}


def nat(number: int) -> int:
    return number << 2 | 2


class Objects:
    """A graph copy in the making. The first object, a record of options, comes last into being and first in place."""

    def __init__(self, roots: int) -> None:
        self.body = bytearray(24 + 8 * roots)

    def add(self, kind: int, *words: int, tail: bytes = b"") -> int:
        """Append an object and return the pointer to it."""
        at = len(self.body)
        self.body += struct.pack(f"<{1 + len(words)}Q", kind, *words) + tail + bytes(-len(tail) % 8)
        return at - 1

    def blob(self, data: bytes, kind: int = 7) -> int:
        return self.add(kind, len(data), tail=data)

    def text(self, text: str) -> int:
        return self.blob(text.encode(), 8)

    def record(self, **fields: int) -> int:
        named = sorted((field_id(name) & 0x7FFF_FFFF, value) for name, value in fields.items())
        hashes = self.blob(struct.pack(f"<{len(named)}Q", *(name for name, _ in named)))
        return self.add(6, len(named), hashes, *(value for _, value in named))

    def array(self, *values: int, kind: int = 1) -> int:
        return self.add(kind, len(values), *values)

    def variable(self, value: int) -> bytes:
        """The whole, whose only variable `x` has this value."""
        names = self.blob(struct.pack("<Q", field_id("x")))
        self.body[:32] = struct.pack("<QQQQ", 6, 1, names & (1 << 64) - 1, value)
        return bytes(self.body)


def entry(kind: int, *parts: int | bytes) -> bytes:
    return encode_signed(kind) + b"".join(p if isinstance(p, bytes) else encode_signed(p) for p in parts)


def fields(kind: int, *items: tuple[int, int]) -> bytes:
    return entry(kind, encode_unsigned(len(items)), *(encode_unsigned(i) + encode_signed(t) for i, t in sorted(items)))


def image(objects: bytes, kind: int, types: Sequence[bytes] = ()) -> Plain:
    """A stable memory with this graph copy. `kind`: the type of the variable x; the indexes of `types` begin with 2."""
    table = [fields(RECORD, (field_id("x"), 1)), entry(OPT, kind), *types]
    head = b"DIDL" + encode_unsigned(len(table)) + b"".join(table) + b"\x01\x00"
    types_at = -(-len(objects) // 65536) * 65536
    data = bytearray(types_at + 2 * 65536)
    data[: len(objects)] = bytes(4) + objects[4:]
    data[types_at : types_at + 8 + len(head)] = struct.pack("<Q", len(head)) + head
    data[-40:] = struct.pack("<QQQQ", 0, 0, len(objects), types_at) + objects[:4] + struct.pack("<I", 7)
    return Plain(bytes(data))


X = Hints({"motoko:stable-types": b"actor { stable var x : T; type T = { func_ : Nat; left : T; right : T } }"})


def value(source: Bytes, keep: DecodeLimits | None = None) -> Node:
    """The value of the variable x."""
    [row] = part(decode(source, Hints(X.metadata, keep=keep or DecodeLimits())), "variables").rows()
    assert isinstance(row[2], Node)
    return row[2]


# --- of canisters


@cache
def people() -> tuple[InspectionTarget, InspectionTarget, InspectionTarget]:
    """The registry in classical mode, the same in enhanced mode, and that after a change."""
    old = new("people_v1.classical", Sandbox())
    old.call("fill", 60)
    about = hints(old)
    classical = opened_stable(Plain(saved(old)), fixture("people_v1.classical"))
    assert about.metadata == classical.metadata
    canister = new("people_v1.enhanced", Sandbox())
    canister.call("fill", 60)
    snapshots = sandbox_of(canister).snapshots
    before = snapshots.inspect(canister.take_snapshot(via_hooks=True).id)
    canister.call("set_age", 7, 99)
    return classical, before, snapshots.inspect(canister.take_snapshot(via_hooks=True).id)


def test_a_diff_names_the_field_that_changed() -> None:
    _, before, after = people()
    [found] = compare_structures(before, after)
    assert found.name == "variables"
    shown = {str(entry.key): (_text(entry.before), _text(entry.after)) for entry in found.entries}
    [person] = [name for name in shown if name.startswith("people.blocks")]
    assert person.endswith("?.age")
    assert shown == {"edits": ("0 : nat", "1 : nat"), person: ("25 : nat", "99 : nat")}


def _text(cell: object) -> str:
    assert isinstance(cell, Node)
    return node_text(cell)


def test_equal_data_is_equal_in_both_modes_of_persistence() -> None:
    classical, before, after = people()
    assert compare_structures(classical, before) == ()
    assert [len(found.entries) for found in compare_structures(classical, after)] == [2]


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("shop_v1", []),
        ("people_v1", [("fill", 20), ("set_age", 3, 99)]),
        ("regions", [("fill",)]),
        ("counter", [("stable_put", 5, b"in a region")]),
        ("greeter", []),
    ],
)
def test_variables_are_the_same_in_both_modes_of_persistence(name: str, calls: list[tuple[Any, ...]]) -> None:
    shown = []
    for mode in ("classical", "enhanced"):
        with Sandbox() as sandbox:
            canister = sandbox.create_canister()
            argument = {"greeting": "Hi", "owner": None} if name == "greeter" else None
            canister.install(fixture(f"{name}.{mode}"), arg=argument)
            for method, *values in calls:
                canister.call(method, *values)
            rows = part(sandbox.snapshots.inspect_via_hooks(canister).decode(), "variables").rows()
            shown.append([[node_text(cell) for cell in row if isinstance(cell, Node)] for row in rows])
    assert shown[0] == shown[1]
    assert len(shown[0]) > 0


@pytest.mark.parametrize("name", ["people_v1", "vars_v1"])
def test_whole_values_are_those_that_are_shown(name: str) -> None:
    canister = new(f"{name}.enhanced")
    canister.call("fill", *([30] if name == "people_v1" else []))
    stable = sandbox_of(canister).snapshots.inspect(canister.take_snapshot(via_hooks=True).id)
    shown = []
    for keep in (WHOLE, DecodeLimits(depth=10_000, items=1 << 20, text=1 << 20, values=1 << 20)):
        rows = part(stable.decode(keep), "variables").rows()
        shown.append([node_json(shortened(cell)) for row in rows for cell in row if isinstance(cell, Node)])
    assert shown[0] == shown[1]


# --- by hand


def test_a_text_of_pieces_is_one_text() -> None:
    graph = Objects(1)
    text = graph.text("a")
    for letter in "bcdefgh":
        more = graph.text(letter)
        text = graph.add(16, ord(letter) - ord("a") + 1, text, more)
    found = image(graph.variable(text), TEXT)
    assert node_text(value(found)) == '"abcdefgh"'
    assert node_text(value(found, DecodeLimits(text=3))) == '"abc" (* 8 bytes *)'


def test_labels_that_candid_escapes_are_found() -> None:
    graph = Objects(1)
    record = graph.record(func_=nat(1), _7_=nat(2), name=nat(3))
    kind = fields(RECORD, (field_id("func"), NAT), (7, NAT), (field_id("name"), NAT))
    assert node_json(value(image(graph.variable(record), 2, [kind]))) == {
        "func": 1,
        "_7_": 2,
        f"_{field_id('name')}_": 3,
    }


def test_a_record_with_more_fields_than_its_type_shows_those_of_the_type() -> None:
    graph = Objects(1)
    record = graph.record(left=nat(1), more=nat(2), right=nat(3))
    kind = fields(RECORD, (field_id("left"), NAT), (field_id("right"), NAT))
    assert node_json(value(image(graph.variable(record), 2, [kind]))) == {"left": 1, "right": 3}


@pytest.mark.parametrize(("target", "shown"), [("text", '"kept"'), ("gone", "null")])
def test_a_weak_reference_is_like_an_option(target: str, shown: str) -> None:
    graph = Objects(1)
    weak = graph.add(19, graph.text("kept") if target == "text" else NULL)
    found = node_text(value(image(graph.variable(weak), 2, [entry(WEAK, TEXT)])))
    assert found == (shown if target == "gone" else f"opt {shown}")


def test_bytes_are_a_blob_in_each_of_their_forms() -> None:
    graph = Objects(1)
    numbers = graph.array(*(byte << 56 | 1 << 54 for byte in b"abc"))
    assert node_text(value(image(graph.variable(numbers), 2, [entry(VEC, NAT8)]))) == 'blob "abc"'
    graph = Objects(1)
    assert node_text(value(image(graph.variable(graph.blob(b"abc")), BLOB))) == 'blob "abc"'


# --- bytes that lie


def beyond() -> Plain:
    return image(Objects(1).variable((1 << 40) - 1), TEXT)


def unaligned() -> Plain:
    return image(Objects(1).variable(33), TEXT)


def no_text() -> Plain:
    graph = Objects(1)
    return image(graph.variable(graph.blob(b"bytes")), TEXT)


def negative() -> Plain:
    return image(Objects(1).variable(-1 << 2 & (1 << 64) - 1 | 2), NAT)


def long_number() -> Plain:
    graph = Objects(1)
    return image(graph.variable(graph.add(17, 0, 1 << 30)), NAT)


def long_text() -> Plain:
    graph = Objects(1)
    return image(graph.variable(graph.add(8, 1 << 50)), TEXT)


def own_part() -> Plain:
    graph = Objects(1)
    at = len(graph.body)
    return image(graph.variable(graph.add(16, 8, at - 1, at - 1)), TEXT)


def short_tuple() -> Plain:
    graph = Objects(1)
    return image(graph.variable(graph.array(nat(1), kind=3)), 2, [fields(TUPLE, (0, NAT), (1, NAT))])


def lost_field() -> Plain:
    graph = Objects(1)
    kind = fields(RECORD, (field_id("left"), NAT), (field_id("right"), NAT))
    return image(graph.variable(graph.record(left=nat(1))), 2, [kind])


def unknown_tag() -> Plain:
    graph = Objects(1)
    return image(graph.variable(graph.add(15, 77, nat(1))), 2, [fields(VARIANT, (field_id("left"), NAT))])


def wrong_scalar() -> Plain:
    return image(Objects(1).variable(nat(1)), NAT8)


def no_box() -> Plain:
    graph = Objects(1)
    return image(graph.variable(graph.text("text")), 2, [entry(ALIAS, TEXT)])


def endless() -> Plain:
    """A list that is its own tail, and not mutable."""
    graph = Objects(1)
    at = len(graph.body)
    return image(graph.variable(graph.array(nat(1), at - 1, kind=3)), 2, [fields(TUPLE, (0, NAT), (1, 2))])


def doubled() -> Plain:
    """Pairs of the same pair, 60 levels deep."""
    graph, pair = Objects(1), nat(1)
    kinds = []
    for level in range(60):
        pair = graph.array(pair, pair, kind=3)
        inner = NAT if level == 59 else 3 + level
        kinds.append(fields(TUPLE, (0, inner), (1, inner)))
    return image(graph.variable(pair), 2, kinds)


def wide() -> Plain:
    """Arrays of the same array of texts: 2,000 each, three levels."""
    graph = Objects(1)
    array = graph.text("text")
    for _ in range(3):
        array = graph.array(*[array] * 2000)
    return image(graph.variable(array), 2, [entry(VEC, 3), entry(VEC, 4), entry(VEC, TEXT)])


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (beyond, "0xffffffffff is no pointer|goes beyond the end"),
        (unaligned, "the value 0x21 is no pointer"),
        (no_text, "a text of 5 bytes is an object of kind 7, at byte 0x20"),
        (negative, "a Nat is negative"),
        (long_number, "the number at byte 0x20 of the heap objects has more than 1,048,576 bytes"),
        (long_text, "goes beyond the end"),
        (own_part, "a part of a text has 8 bytes of 8"),
        (short_tuple, "a tuple has 1 parts, not 2"),
        (lost_field, f"has no field _{field_id('right')}_"),
        (unknown_tag, "has the unknown tag _77_"),
        (wrong_scalar, "the value 0x6 is no number of its type"),
        (no_box, "a mutable value is an object of kind 8"),
    ],
)
@pytest.mark.parametrize("keep", [DecodeLimits(), WHOLE])
def test_objects_that_are_not_what_their_type_says_are_refused(made: object, problem: str, keep: DecodeLimits) -> None:
    assert callable(made)
    with pytest.raises(InspectError, match=problem):
        value(made(), keep)


@pytest.mark.parametrize("made", [endless, doubled, wide])
def test_objects_that_unfold_without_end_are_cut_or_refused(made: object) -> None:
    assert callable(made)
    assert len(node_text(value(made(), DecodeLimits(depth=12, items=4)))) < 100_000
    with pytest.raises(InspectError, match=r"more values than bytes|nested too deeply, or too many|nested more than"):
        value(made(), WHOLE)


@pytest.mark.parametrize(
    ("length", "problem"), [(0, "a message of 4 bytes"), (9, "beyond the end"), (1 << 40, "the type table of")]
)
def test_a_type_table_of_another_length_is_a_problem_of_the_part(length: int, problem: str) -> None:
    data = bytearray(image(Objects(1).variable(nat(1)), NAT).data)
    types_at = int.from_bytes(data[-16:-8], "little")
    data[types_at : types_at + 8] = length.to_bytes(8, "little")
    found = decode(Plain(bytes(data)), X).part("variables")
    assert found is not None
    assert found.problem is not None
    assert problem in found.problem


def test_types_that_are_not_in_stable_memory_are_refused() -> None:
    data = bytearray(image(Objects(1).variable(nat(1)), NAT).data)
    data[-16:-8] = (1 << 40).to_bytes(8, "little")
    with pytest.raises(InspectError, match="the types of the heap objects of 8 bytes at 0x10000000000"):
        decode(Plain(bytes(data)), X)

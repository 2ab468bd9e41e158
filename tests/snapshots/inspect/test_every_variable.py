"""Motoko's stable variables of every type, and regions, against what the canister's own queries answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from sandbox import Canister, Sandbox
from sandbox.api import runtime_of
from sandbox.principal import Principal
from sandbox.snapshots.inspect import Bytes, Hints, InspectError, Plain, decode
from sandbox.snapshots.inspect.motoko.decode import ENHANCED, GRAPH_COPY, NOT_SAVED, SAVED
from sandbox.snapshots.inspect.motoko.tree import DecodeLimits
from sandbox.snapshots.inspect.search import strings
from sandbox.snapshots.inspect.value import Node, Opt, node_json, node_text
from tests.conftest import sandbox_of
from tests.snapshots.inspect.images import hints, new, part, plain, saved, stable

PAGE = 65_536
LIMITS = DecodeLimits(depth=1000, items=10_000, text=1 << 20)
PLAIN = (
    "nat", "int", "bigNat", "bigInt", "smallNats", "smallInts", "bool", "float", "floats", "text", "longText", "blob",
    "principal", "nothing", "option", "record", "variant", "variants", "array", "arrays", "mutableArray",
    "growingArray", "account", "tree", "cell", "sameCell",
)  # fmt: skip
"""Variables whose query answers with the same shape."""


MODES = ("classical", "enhanced")


@cache
def vars_saved(full: bool = True, mode: str = "classical") -> tuple[dict[str, Node], dict[str, str], dict[str, Any]]:
    """Values, declared types and what the queries answered."""
    canister = new(f"vars_v1.{mode}", Sandbox())
    if full:
        canister.call("fill")
    methods = runtime_of(canister).state_of(canister.id)
    assert methods.code is not None
    names = [*PLAIN, "tuple", "char", "functionRef", "actorRef", "list", "pair", "ring", "coreList", "coreMap"]
    names += ["optionOfOption", "unit"]
    answers = {name: canister.call(f"get_{name}") for name in names}
    about = Hints(hints(canister).metadata, keep=LIMITS)
    values, types = {}, {}
    image = Plain(saved(canister)) if mode == "classical" else hooked(canister)
    for name, kind, value in part(decode(image, about), "variables").rows():
        assert isinstance(name, Node)
        assert isinstance(kind, Node)
        assert isinstance(value, Node)
        values[node_text(name)], types[node_text(name)] = value, node_text(kind)
    return values, types, answers


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("name", PLAIN)
def test_a_variable_is_what_its_query_answers(name: str, full: bool, mode: str) -> None:
    values, _, answers = vars_saved(full, mode)
    found, told = plain(values[name]), answers[name]
    assert found == ({"value": told} if name in ("cell", "sameCell") else told)


@pytest.mark.parametrize("mode", MODES)
def test_what_candid_has_no_shape_for(mode: str) -> None:
    values, _, answers = vars_saved(mode=mode)
    assert plain(values["tuple"]) == answers["tuple"]["tuple"]
    assert chr(plain(values["char"])) == chr(answers["char"]) == "🐝"  # which Candid has as nat32
    assert plain(values["actorRef"]) == answers["actorRef"] == Principal.from_text("rwlgt-iiaaa-aaaaa-aaaaa-cai")
    assert node_text(values["functionRef"]) == 'func "rwlgt-iiaaa-aaaaa-aaaaa-cai".greet'
    assert node_text(values["optionOfOption"]) == "opt null"
    assert node_text(values["unit"]) == "null"
    assert "forgotten" not in values


@pytest.mark.parametrize("mode", MODES)
def test_a_long_list_is_read_to_its_end(mode: str) -> None:
    values, _, answers = vars_saved(mode=mode)
    found, rest = [], values["list"]
    while isinstance(rest, Opt):
        number, rest = (value for _, value in rest.value.fields)  # type: ignore[union-attr]
        found.append(plain(number))
    assert found == answers["list"]


@pytest.mark.parametrize("mode", MODES)
def test_shared_things_are_one_thing(mode: str) -> None:
    values, _, answers = vars_saved(mode=mode)
    shared = node_json(values["cell"]), node_json(values["sameCell"]), node_json(values["pair"])
    text = str(shared)
    assert text.count("'is': 99") == 1
    assert text.count("{'#': ") == 4
    assert answers["pair"]["pair"] == (99, 99)


@pytest.mark.parametrize("mode", MODES)
def test_things_that_point_at_each_other_end(mode: str) -> None:
    values, _, answers = vars_saved(mode=mode)
    assert answers["ring"][:3] == ["first", "second", "first"]
    shown = node_text(values["ring"])
    assert shown.count("second") == 1
    assert shown.count("first") == 2


@pytest.mark.parametrize("full", [True, False])
def test_both_modes_of_persistence_show_the_same(full: bool) -> None:
    classical, enhanced = (vars_saved(full, mode) for mode in MODES)
    assert classical[0].keys() == enhanced[0].keys()
    for name, value in classical[0].items():
        assert node_text(enhanced[0][name]) == node_text(value)
        assert node_json(enhanced[0][name]) == node_json(value)
    assert enhanced[1:] == classical[1:]


def test_types_are_those_of_the_program() -> None:
    _, types, _ = vars_saved()
    assert types["smallNats"] == "var (Nat8, Nat16, Nat32, Nat64)"
    assert types["mutableArray"] == "[var Nat]"
    assert types["functionRef"] == "var shared Text -> async Text"
    assert types["optionOfOption"] == "var ??Nat"


@pytest.mark.parametrize("mode", ["classical", "enhanced"])
@pytest.mark.parametrize("when", ["running", "saved", "via hooks"])
def test_regions_are_what_the_canister_reads_in_them(mode: str, when: str) -> None:
    canister = new(f"regions.{mode}")
    canister.call("fill")
    rows, first = canister.call("regions"), canister.call("first")
    told = {
        row["id"]: {at: canister.call("read", n, at, PAGE) for at in _places(row["pages"])}
        for n, row in enumerate(rows)
    }
    about = hints(canister)
    images: dict[str, Callable[[], Bytes]] = {
        "running": lambda: stable(canister),
        "saved": lambda: Plain(saved(canister)),
        "via hooks": lambda: hooked(canister),
    }
    image = images[when]()
    decoded = decode(image, about)
    for row in rows:
        if not row["pages"]:
            assert decoded.part(f"region {row['id']}") is None
            continue
        found = part(decoded, f"region {row['id']}")
        assert found.facts["pages"] == row["pages"]
        assert {at: found.data.read(at, PAGE) for at in told[row["id"]]} == told[row["id"]]
    table = part(decoded, f"region {first['id']}")
    assert int.from_bytes(table.data.read(8, 8), "little") == first["number"]
    lost = [p for p in decoded.parts if p.name.startswith("region ") and p.data.read(0, 6) == b"nobody"]
    assert len(lost) == 1
    notes = {"saved": SAVED, "via hooks": SAVED, "running": NOT_SAVED}
    if mode == "enhanced":
        notes = {"saved": ENHANCED, "via hooks": GRAPH_COPY, "running": ENHANCED}
    assert decoded.notes == (notes[when],)


def hooked(canister: Canister) -> Bytes:
    """The stable memory of a snapshot by way of the hooks."""
    return sandbox_of(canister).snapshots.inspect(canister.take_snapshot(via_hooks=True).id).stable


def test_a_graph_copy_is_known_as_one_and_its_texts_are_found() -> None:
    canister = new("vars_v1.enhanced")
    canister.call("fill")
    decoded = decode(hooked(canister), hints(canister))
    assert decoded.facts == {"layout": "version 7: graph copy, without regions"}
    assert decoded.notes == (GRAPH_COPY,)
    assert canister.call("get_text") in [found.text for found in strings(part(decoded, "variables").data)]


def test_a_graph_copy_that_goes_beyond_the_end_is_refused() -> None:
    canister = new("vars_v1.enhanced")
    image = hooked(canister)
    torn = bytearray(image.read(0, image.size))
    torn[-24:-16] = (1 << 50).to_bytes(8, "little")
    with pytest.raises(InspectError, match="the copy of the heap objects of 1,125,899,906,842,624 bytes"):
        decode(Plain(bytes(torn)), hints(canister))


def _places(pages: int) -> list[int]:
    """Where some pages of a region begin: the first, the last, those around the end of its first block."""
    return [PAGE * n for n in sorted({0, pages // 2, 127, 128, pages - 1}) if 0 <= n < pages]


def test_variables_beside_regions_name_them() -> None:
    canister = new("regions.classical")
    canister.call("fill")
    rows, spare = canister.call("regions"), canister.call("spare")
    about = hints(canister)
    rows_found = part(decode(Plain(saved(canister)), about), "variables").rows()
    shown = {node_text(n): node_text(v) for n, _, v in rows_found if isinstance(n, Node) and isinstance(v, Node)}
    assert shown["note"] == '"filled"'
    for row in rows:
        assert f"region {row['id']} ({row['pages']} pages)" in shown["known"] + shown["table"]
    assert spare in [row["id"] for row in rows]

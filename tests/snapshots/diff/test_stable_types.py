"""Stable signatures compared by the rules of Motoko's compiler, and by those of its runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from sandbox import CallRejected, Canister, Sandbox
from sandbox.snapshots.diff.stable_relation import Fate
from sandbox.snapshots.diff.stable_runtime import RuntimeCheck, predict_runtime_check
from sandbox.snapshots.diff.stable_types import StableTypesDiff, TypeChange, Verdict, compare_stable_types
from sandbox.snapshots.inspect import InspectError
from sandbox.snapshots.inspect.value import Node, node_text
from tests.conftest import fixture, sandbox_of
from tests.snapshots.inspect.images import new, part
from tests.snapshots.inspect.test_signature import stable_types

ANSWERS = json.loads((Path(__file__).parent / "compiler_answers.json").read_text())
"""Pairs of random signatures, half of them nearly equal, and the codes of the errors that `stableCompatible` of npm
motoko 4.10.0 (moc 1.10) has for them."""


def section(name: str) -> str:
    found = stable_types(name)
    assert found is not None
    return found


def compared(old: str, new: str, definitions: str = "") -> StableTypesDiff:
    """Two types of a variable `x`."""
    texts = [f"{definitions} actor {{ stable x : {each} }}" for each in (old, new)]
    return compare_stable_types(*texts)


@pytest.mark.parametrize("number", range(len(ANSWERS)))
def test_the_compiler_has_the_same_errors(number: int) -> None:
    old, new, errors = ANSWERS[number].values()
    found = compare_stable_types(old, new)
    codes: dict[str, set[str]] = {}
    for change in found.changes:
        codes.setdefault(change.variable, set()).add(change.code)
    # the compiler names the first error of a variable, incompatibility before loss
    worst = [min(each - {""}) for each in codes.values() if each - {""}]
    assert sorted(worst) == errors
    assert found.compatible == (not errors)


LIST = "type List = ?(Nat, List);"


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("Nat", "Text", [("x", "Nat", "Text", Fate.CHANGED, "M0170")]),
        ("Nat", "Int", [("x", "Nat", "Int", Fate.WIDENED, "")]),
        ("[var Nat]", "[var Int]", [("x[]", "Nat", "Int", Fate.CHANGED, "M0170")]),
        ("[{a : Nat; b : Text}]", "[{a : Nat}]", [("x[].b", "Text", None, Fate.FIELD_DROPPED, "M0216")]),
        ("{var a : {b : Nat}}", "{var a : {}}", [("x.a.b", "Nat", None, Fate.FIELD_DROPPED, "M0170")]),
        ("?{a : Nat}", "?{a : Nat; b : ?Nat}", [("x?.b", None, "?Nat", Fate.FIELD_ADDED, "M0170")]),
        ("{#a; #b : Nat}", "{#b : Nat}", [("x#a", "()", None, Fate.TAG_DROPPED, "M0170")]),
        ("{#b : Nat}", "{#b : Nat; #c}", [("x#c", None, "()", Fate.TAG_ADDED, "")]),
        ("(Nat, {a : Nat})", "(Nat, Any)", [("x.1", "{a : Nat}", "Any", Fate.PROMOTED, "M0216")]),
        ("{var a : Nat}", "{a : Nat}", [("x.a", "var Nat", "Nat", Fate.MUTABILITY, "M0170")]),
        ("Null", "?Text", [("x", "Null", "?Text", Fate.WIDENED, "")]),
        ("shared Int -> async ()", "shared Nat -> async ()", [("x(in)", "Int", "Nat", Fate.WIDENED, "")]),
        ("shared Nat -> async ()", "shared Int -> async ()", [("x(in)", "Nat", "Int", Fate.CHANGED, "M0170")]),
        ("List", "?(Int, List)", [("x?.0", "Nat", "Int", Fate.WIDENED, "")]),
        (
            "actor {a : shared () -> (); b : shared () -> ()}",
            "actor {a : shared () -> ()}",
            [("x.b", "shared () -> ()", None, Fate.FIELD_DROPPED, "M0216")],
        ),
    ],
)  # fmt: skip
def test_changes_are_named_where_they_are(
    old: str, new: str, changes: list[tuple[str, str | None, str | None, Fate, str]]
) -> None:
    found = compared(old, new, LIST).changes
    assert [(each.path, each.before, each.after, each.kind, each.code) for each in found] == changes
    for each in found:
        assert each.variable == "x"
        assert each.text.startswith(each.path)


def test_equal_types_under_other_names_are_no_change() -> None:
    old = "type Person = {name : Text}; type All = [Person]; actor { stable var people : All }"
    assert compare_stable_types(old, "actor { stable people : [{name : Text}] }").changes == ()


def test_a_changed_definition_is_shown_without_its_name() -> None:
    old, new = (f"type T = {kind}; actor {{ stable x : T }}" for kind in ("Nat", "Text"))
    [change] = compare_stable_types(old, new).changes
    assert (change.before, change.after) == ("Nat", "Text")


def test_types_that_grow_without_end_are_refused() -> None:
    text = "type T<A> = {a : A; next : ?T<[A]>}; actor { stable x : T<%s> }"
    with pytest.raises(InspectError, match="more than 200 levels"):
        compare_stable_types(text % "Nat", text % "Int")


# --- real modules


def test_what_a_version_loses_and_retypes() -> None:
    found = compare_stable_types(section("shop_v1.enhanced"), section("shop_v2_retypes.enhanced"))
    assert [(each.path, each.verdict, each.text) for each in found.changes] == [
        ("feeBps", Verdict.INCOMPATIBLE, "feeBps : Nat -> Text"),
        ("people[].email", Verdict.LOSES_DATA, "people[].email dropped (?Text)"),
        ("records[]#_9_", Verdict.INCOMPATIBLE, "records[]#_9_ dropped"),
    ]


def test_what_a_migration_function_takes_and_gives() -> None:
    found = compare_stable_types(section("shop_v1.enhanced"), section("shop_v2_migrates.enhanced"))
    assert found.compatible
    assert {change.verdict for change in found.changes} == {Verdict.MIGRATED}
    dropped = [change.path for change in found.changes if change.kind is Fate.DROPPED]
    added = [change.path for change in found.changes if change.kind is Fate.ADDED]
    assert (dropped, added) == (["balances", "feeBps", "func_"], ["fee_", "ledger"])
    [lost] = compare_stable_types(section("people_v1.enhanced"), section("people_v2_drops.enhanced")).changes
    assert lost == TypeChange(
        variable="people",
        path="people.blocks[][]?.email",
        before="Text",
        after=None,
        kind=Fate.FIELD_DROPPED,
        verdict=Verdict.MIGRATED,
        code="",
        text="people.blocks[][]?.email dropped (Text), by the migration",
    )


def test_the_own_result_of_a_migration_cannot_be_migrated_again() -> None:
    good = section("people_v2_good.enhanced")
    found = compare_stable_types(good, good)
    assert not found.compatible
    assert [(each.path, each.code) for each in found.changes if each.code] == [("people.blocks[][]?.active", "M0170")]


CHAIN = """{ "One" : {} -> {a : Nat; b : Text}; %s } actor { stable a : %s; stable b : Text }"""


def test_of_a_chain_of_migrations_those_after_the_old_version_are_run() -> None:
    first, second = CHAIN % ("", "Nat"), CHAIN % ('"Two" : {a : Nat} -> {a : Text}', "Text")
    assert compare_stable_types(first, first).changes == ()
    [change] = compare_stable_types(first, second).changes
    assert (change.path, change.before, change.after) == ("a", "Nat", "Text")
    assert change.verdict is Verdict.MIGRATED
    assert [each.code for each in compare_stable_types(second, first).changes if each.code] == ["M0169", "M0169"]
    [left] = compare_stable_types(first, "actor { stable a : Nat; stable b : Text }").changes
    assert (left.kind, left.code) == (Fate.CHAIN, "M0255")
    assert "'One'" in left.text


# --- the runtime

NAMES = ("shop_v1", "shop_v2_renames", "shop_v2_retypes", "shop_v2_migrates")
PAIRS = [(old, new) for old in NAMES for new in NAMES] + [
    ("people_v1", "people_v2_good"),
    ("people_v1", "people_v2_drops"),
    ("people_v2_good", "people_v2_good"),
    ("people_v2_good", "people_v1"),
    ("people_v2_drops", "people_v1"),
    ("counter", "people_v1"),
    ("regions", "counter"),
    ("timers", "calls"),
]


@cache
def upgraded(old: str, new_name: str, mode: str) -> tuple[Mapping[str, str], Mapping[str, str] | str]:
    """The variables before and after a real upgrade, or the text of its refusal."""
    canister = new(f"{old}.{mode}", Sandbox())
    before = variables(canister)
    try:
        canister.upgrade(fixture(f"{new_name}.{mode}"))
    except CallRejected as refused:
        assert variables(canister) == before
        return before, refused.message
    return before, variables(canister)


def variables(canister: Canister) -> Mapping[str, str]:
    decoded = sandbox_of(canister).snapshots.inspect_via_hooks(canister).decode()
    rows = [[cell for cell in row if isinstance(cell, Node)] for row in part(decoded, "variables").rows()]
    return {node_text(name): node_text(value) for name, _, value in rows}


@pytest.mark.parametrize(("old", "new_name"), PAIRS)
def test_the_runtime_does_what_is_predicted(old: str, new_name: str) -> None:
    check = predict_runtime_check(section(f"{old}.enhanced"), section(f"{new_name}.enhanced"))
    before, after = upgraded(old, new_name, "enhanced")
    if isinstance(after, str):
        assert not check.accepted
        assert "Memory-incompatible program upgrade" in after or "expected but not found" in after
        return
    assert check.accepted
    assert set(check.lost) <= before.keys() - after.keys()


def test_a_loss_that_the_runtime_does_not_notice_is_predicted() -> None:
    check = predict_runtime_check(section("shop_v1.enhanced"), section("shop_v2_renames.enhanced"))
    assert check == RuntimeCheck(lost=("balances",))
    before, after = upgraded("shop_v1", "shop_v2_renames", "enhanced")
    assert isinstance(after, Mapping)
    assert "Ada" in before["balances"]
    assert ("balances" in after, after["ledger"]) == (False, "vec {}")
    assert not compare_stable_types(section("shop_v1.enhanced"), section("shop_v2_renames.enhanced")).compatible


def test_the_prediction_says_where_the_check_fails() -> None:
    old = section("shop_v1.enhanced")
    assert predict_runtime_check(old, section("shop_v2_retypes.enhanced")).refused == "records[]"
    assert predict_runtime_check(section("people_v2_good.enhanced"), old).refused is not None
    needs = "actor ({ in gone : Nat }, { stable x : Nat })"
    assert predict_runtime_check("actor { }", needs) == RuntimeCheck(refused="gone")


@pytest.mark.parametrize(
    ("old", "new", "accepted"),
    [
        ("Char", "Nat32", True),
        ("Nat32", "Char", True),
        ("Null", "()", True),
        ("()", "?Nat", True),
        ("{var a : [Nat]}", "{a : [var Nat]}", True),
        ("{a : Nat; b : Nat}", "{a : Nat}", False),
        ("Nat", "Any", False),
        ("{#a}", "{#a; #b}", True),
        ("{var v : {#a}}", "{var v : {#a; #b}}", False),
        ("{var v : Nat}", "{var v : Int}", False),
        ("{v : Nat}", "{v : Int}", True),
        ("actor {a : shared () -> (); b : shared () -> ()}", "actor {a : shared () -> ()}", True),
        ("shared Nat -> ()", "shared Int -> ()", False),
        ("shared Int -> ()", "shared Nat -> ()", True),
        ("?(Nat, Nat)", "?(Nat, Nat, Nat)", False),
    ],
)
def test_rules_that_are_the_runtimes_own(old: str, new: str, accepted: bool) -> None:
    """Each was tried with a program of one variable: upgrades are accepted and refused as it says here."""
    check = predict_runtime_check(f"actor {{ stable x : {old} }}", f"actor {{ stable x : {new} }}")
    assert check.accepted == accepted


def test_in_classical_mode_an_incompatible_variable_begins_anew() -> None:
    before, after = upgraded("shop_v1", "shop_v2_retypes", "classical")
    assert isinstance(after, Mapping)
    assert (before["feeBps"], after["feeBps"]) == ("30 : nat", '"0.30 %"')
    assert "ada@example.org" in before["people"]
    assert "email" not in after["people"]
    assert after["records"] == "vec {}"

"""Losses: what is gone, what only moved, and how it is named."""

from __future__ import annotations

import pytest

from sandbox import verify_upgrade
from sandbox.candid import encode, field_id
from sandbox.proofs.upgrade import UpgradeReport
from tests.conftest import guest


def saved(types: str, value: object, data: str = "") -> bytes:
    """A module whose init, and whose post_upgrade, save one value as `stable_save` does."""
    message = encode(types, [value])
    written = "".join(f"\\{byte:02x}" for byte in message)
    write = f"""(memory.init $message (i32.const 0) (i32.const 0) (i32.const {len(message)}))
      (call $stable64_write (i64.const 0) (i64.const 0) (i64.const {len(message)}))"""
    return guest(
        f"""(data $message "{written}") (data (i32.const 4096) "{data}")
      (func (export "canister_init") (drop (call $stable64_grow (i64.const 1))) {write})
      (func (export "canister_post_upgrade") {write})"""
    )


def proved(old: bytes, new: bytes) -> UpgradeReport:
    return verify_upgrade(old, new)


def places(report: UpgradeReport, kind: str) -> list[str]:
    check = report.check("data")
    assert check is not None
    return [place["place"] for place in check.facts["places"] if place[kind] and not place["moved"]]


def test_a_field_that_is_only_a_hash_is_named_from_the_texts_of_the_module() -> None:
    old = saved("(record { email : text; age : nat })", {"email": "a@b.c", "age": 5}, "agenameemailrest")
    new = saved("(record { age : nat })", {"age": 5})
    report = proved(old, new)
    assert places(report, "lost") == ["0.email"]
    [lost] = [finding for finding in report.findings if finding.id == "data-lost"]
    assert lost.details == ('0.email: "a@b.c" → gone',)


def test_a_field_that_no_text_names_keeps_its_hash() -> None:
    old = saved("(record { email : text; age : nat })", {"email": "a@b.c", "age": 5}, "nothing")
    report = proved(old, saved("(record { age : nat })", {"age": 5}))
    assert places(report, "lost") == [f"0._{field_id('email')}_"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            ("(record { a : text; b : nat })", {"a": "x1", "b": 7}),
            ("(record { c : text; b : nat })", {"c": "x1", "b": 7}),
        ),
        (("(record { a : nat })", {"a": 7}), ("(record { a : text })", {"a": "7"})),
        (("(record { a : nat })", {"a": 7}), ("(record { a : opt nat })", {"a": 7})),
        (("(vec text)", ["one", "two"]), ("(vec record { text; nat })", [("one", 1), ("two", 2)])),
        (("(variant { on : nat })", {"on": 3}), ("(record { state : variant { on : nat } })", {"state": {"on": 3}})),
    ],
)
def test_values_that_are_elsewhere_now_are_not_lost(old: tuple[str, object], new: tuple[str, object]) -> None:
    report = proved(saved(*old), saved(*new))
    assert not [finding for finding in report.findings if finding.id in ("data-lost", "data-changed")]
    assert report.verdict == "safe"


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (("(vec text)", ["one", "two"]), ("(vec text)", ["two", "one"]), "data-changed"),
        (
            ("(vec record { text; nat })", [("ann", 500), ("bob", 700)]),
            ("(vec record { text; nat })", [("ann", 700), ("bob", 500)]),
            "data-changed",
        ),
        (
            ("(record { a : nat; b : nat })", {"a": 5, "b": 9}),
            ("(record { a : nat; b : nat })", {"a": 9, "b": 5}),
            "data-changed",
        ),
        (
            ("(record { a : bool; b : nat })", {"a": True, "b": 1}),
            ("(record { b : nat; c : vec bool })", {"b": 1, "c": [True, False]}),
            "data-lost",
        ),
        (("(vec text)", ["one", "two"]), ("(vec text)", ["one"]), "data-lost"),
        (("(vec text)", ["one", "one"]), ("(vec text)", ["one"]), "data-lost"),
        (("(opt text)", "one"), ("(opt text)", None), "data-lost"),
        (("(text)", "one"), ("(text)", "two"), "data-changed"),
        (("(record { a : text; b : text })", {"a": "x", "b": "y"}), ("(record { c : text })", {"c": "x"}), "data-lost"),
        (("(variant { on; off })", {"on": None}), ("(variant { on; off })", {"off": None}), "data-changed"),
    ],
)
def test_values_that_are_nowhere_are_lost_or_changed(
    old: tuple[str, object], new: tuple[str, object], finding: str
) -> None:
    report = proved(saved(*old), saved(*new))
    assert finding in {each.id for each in report.findings}
    assert report.verdict != "safe"


def test_a_long_value_that_differs_at_its_end_has_changed() -> None:
    """Values of more than 64 KiB are shown by their beginning."""

    def cell(last: int) -> bytes:
        """A stable cell (`SCL`, version 1, length) of 70,000 bytes, written by init and by post_upgrade."""
        write = f"""(call $stable64_write (i64.const 0) (i64.const 0) (i64.const 8))
          (i32.store8 (i32.const 100) (i32.const {last}))
          (call $stable64_write (i64.const 70007) (i64.const 100) (i64.const 1))"""
        head = "SCL\\01" + "".join(f"\\{byte:02x}" for byte in (70_000).to_bytes(4, "little"))
        return guest(
            f"""(data (i32.const 0) "{head}")
            (func (export "canister_init") (drop (call $stable64_grow (i64.const 2))) {write})
            (func (export "canister_post_upgrade") {write})"""
        )

    report = verify_upgrade(cell(1), cell(2))
    assert [finding.id for finding in report.findings if finding.id != "little-proved"] == ["data-changed"]
    assert verify_upgrade(cell(1), cell(1)).verdict == "safe"

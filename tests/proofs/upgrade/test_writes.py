"""Writes: the same update calls on the old version and on the upgraded one. What they find in stable structures is in
`tests/proofs/outcomes`."""

from __future__ import annotations

import pytest

from sandbox.candid import Some
from sandbox.proofs.findings import Finding
from sandbox.proofs.upgrade import Check, UpgradeReport, Version, verify_upgrade
from sandbox.proofs.upgrade.tries import lengthened, most
from tests.conftest import FEW_INSTRUCTIONS, fixture, guest

NUMBER = r'(data (i32.const 0) "DIDL\00\01\78")'
"""The head of a Candid message with one nat64, whose bytes follow at 7."""
DID = "service : { put : (text, nat64) -> (nat64); look : () -> (nat64) query; }"


def putter(body: str) -> Version:
    """A version whose method `put` is this."""
    look = f'(func (export "canister_query look") {replies("(i64.const 5)")})'
    return Version("putter", guest(f'{NUMBER} {look} (func (export "canister_update put") {body})'), did=DID)


def replies(value: str) -> str:
    return f"(i64.store (i32.const 7) {value}) (call $reply (i32.const 0) (i32.const 15))"


def writes(old: Version, new: Version) -> tuple[Check, list[Finding]]:
    check = verify_upgrade(old, new, limits=FEW_INSTRUCTIONS).check("writes")
    assert check is not None
    return check, list(check.findings)


FIVE = putter(replies("(i64.const 5)"))
ENDLESS = putter("(loop $again (br $again))")


def test_equal_replies_are_no_finding() -> None:
    check, found = writes(FIVE, FIVE)
    assert (check.done, found) == (True, [])
    assert check.facts["methods"] == 1
    assert check.facts["calls"] > 5


@pytest.mark.parametrize("body", ["unreachable", "(loop $again (br $again))"])
def test_a_call_that_only_the_old_version_takes_is_a_failure(body: str) -> None:
    [failed] = writes(FIVE, putter(body))[1]
    assert failed.id == "write-fails"
    assert failed.text.startswith("put: ")
    assert "such as put(" in failed.details[0]


def test_another_reply_is_a_difference() -> None:
    [differs] = writes(FIVE, putter(replies("(i64.const 6)")))[1]
    assert differs.id == "write-differs"
    assert differs.text.startswith("put(")
    assert differs.details == ("before  (5 : nat64)", "after   (6 : nat64)")


def test_calls_that_the_old_version_refuses_prove_nothing() -> None:
    for old in (putter("unreachable"), ENDLESS):
        check, found = writes(old, FIVE)
        assert (check.done, found) == (False, [])
        assert check.text == "none of 1 update methods took a call"


def test_a_missing_method_is_a_matter_of_the_interface() -> None:
    without = Version("without", guest(f"{NUMBER}"), did="service : {}")
    check, found = writes(FIVE, without)
    assert (check.done, found) == (False, [])


def test_without_an_interface_nothing_can_be_called() -> None:
    check, _ = writes(Version("old", FIVE.wasm), Version("new", FIVE.wasm))
    assert (check.done, check.text) == (False, "no update method is known")


def test_time_and_random_numbers_are_the_same_for_both_versions() -> None:
    counter = Version("counter", fixture("counter.classical"))
    check, found = writes(counter, counter)
    assert check.facts["methods"] > 5
    assert found == []
    clock = putter(replies("(call $time)"))
    assert writes(clock, clock)[1] == []


@pytest.mark.parametrize("limit", [1, 2, 7, 64])
def test_the_greatest_size_that_is_taken(limit: int) -> None:
    for greatest in range(limit + 1):
        assert most(greatest.__ge__, limit) == greatest


def test_a_text_or_blob_is_made_longer_where_it_lies() -> None:
    values = ("key", {"name": "ä", "tags": [b"x", Some("y")]})
    assert lengthened(values, (0,), 5) == ("keynn", values[1])
    assert lengthened(values, (1, "name"), 3) == ("key", {"name": "än", "tags": [b"x", Some("y")]})
    assert lengthened(values, (1, "tags", 0), 3) == ("key", {"name": "ä", "tags": [b"xnn", Some("y")]})
    assert lengthened(values, (1, "tags", 1, "?"), 2) == ("key", {"name": "ä", "tags": [b"x", Some("yn")]})
    assert lengthened("ä", (), 1) == "n"


COUNT_DID = "service : { inc : () -> (nat64); count : () -> (nat64) query; }"


def counter(saves: bool = True, restores: bool = True) -> Version:
    """A counter in the heap, at 512, that its hooks save to stable memory and restore."""
    count = replies("(i64.load (i32.const 512))")
    add = "(i64.store (i32.const 512) (i64.add (i64.load (i32.const 512)) (i64.const 1)))"
    body = f"""{NUMBER}
      (func (export "canister_init") (drop (call $stable64_grow (i64.const 1))))
      (func (export "canister_query count") {count}) (func (export "canister_update inc") {add} {count})"""
    if saves:
        body += (
            '(func (export "canister_pre_upgrade") (call $stable64_write (i64.const 0) (i64.const 512) (i64.const 8)))'
        )
    if restores:
        body += (
            '(func (export "canister_post_upgrade") (call $stable64_read (i64.const 512) (i64.const 0) (i64.const 8)))'
        )
    return Version("counter", guest(body), did=COUNT_DID)


def risks(report: UpgradeReport) -> list[Finding]:
    """What changes the verdict, except that the bytes of these canisters are no structures that can be decoded."""
    return [each for each in report.findings if each.severity and each.id != "data-unreadable"]


def test_writes_that_the_next_upgrade_forgets_are_lost() -> None:
    """The new version restores what the old one saved, and saves nothing itself: only its next upgrade, after a write,
    shows that."""
    report = verify_upgrade(counter(), counter(saves=False), calls=["inc()", "inc()"], limits=FEW_INSTRUCTIONS)
    assert report.verdict == "broken"
    [lost] = risks(report)
    assert (lost.id, lost.text) == ("next-upgrade-loses", "count(): the next upgrade forgets the effect of 1 call")
    assert lost.details == (
        "before the calls       (2 : nat64)",
        "after the calls        (3 : nat64)",
        "after another upgrade  (2 : nat64)",
    )


@pytest.mark.parametrize("saves", [True, False])
def test_writes_that_the_old_version_forgets_or_that_both_keep_are_no_finding(saves: bool) -> None:
    """Where the hooks of the old version save nothing either, its data is not meant to last."""
    old = counter(saves=saves)
    report = verify_upgrade(old, old, calls=["inc()"] if saves else [], limits=FEW_INSTRUCTIONS)
    assert risks(report) == []


def test_a_next_upgrade_that_fails_only_after_writes_is_a_finding() -> None:
    saved = counter()
    odd = guest(
        f"""{NUMBER} (func (export "canister_query count") {replies("(i64.load (i32.const 512))")})
        (func (export "canister_update inc") (i64.store (i32.const 512) (i64.const 99)) {replies("(i64.const 3)")})
        (func (export "canister_post_upgrade") (call $stable64_read (i64.const 512) (i64.const 0) (i64.const 8)))
        (func (export "canister_pre_upgrade")
          (if (i64.eq (i64.load (i32.const 512)) (i64.const 99)) (then (unreachable))))"""
    )
    report = verify_upgrade(
        saved, Version("odd", odd, did=COUNT_DID), calls=["inc()", "inc()"], limits=FEW_INSTRUCTIONS
    )
    [failed] = [each for each in report.findings if each.id == "next-upgrade-fails"]
    assert failed.text.startswith("after 1 call: canister_pre_upgrade: ")

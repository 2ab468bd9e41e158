"""Every finding of an upgrade proof has an upgrade that brings it about, and one beside it that does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from sandbox.candid import encode
from sandbox.proofs.findings import RULES, VERDICTS, Severity
from sandbox.proofs.upgrade import UpgradeReport, verify_upgrade
from sandbox.state import InstructionLimits
from tests.conftest import fixture, guest


@dataclass(frozen=True)
class Case:
    """An upgrade with the findings that it must bring about, and those that it must not."""

    old: bytes
    new: bytes
    expected: frozenset[str]
    absent: frozenset[str]
    options: dict[str, Any] = field(default_factory=dict)


def case(old: bytes | str, new: bytes | str, expected: str, absent: str = "", **options: Any) -> Case:
    modules = [fixture(name) if isinstance(name, str) else name for name in (old, new)]
    return Case(modules[0], modules[1], frozenset(expected.split()), frozenset(absent.split()), options)


def keeper(*parts: str) -> bytes:
    """A module whose stable memory holds one Candid message, as `stable_save` writes it, and a query `get`."""
    message = encode("(opt text)", ["hello"])
    data = "".join(f"\\{byte:02x}" for byte in message)
    init = f"""(data $message "{data}")
      (func (export "canister_init")
        (drop (call $stable64_grow (i64.const 1)))
        (memory.init $message (i32.const 0) (i32.const 0) (i32.const {len(message)}))
        (call $stable64_write (i64.const 0) (i64.const 0) (i64.const {len(message)})))"""
    return guest(init + '(func (export "canister_query get") (call $reply64 (i64.const 1)))' + "".join(parts))


ONCE = """(func (export "canister_post_upgrade")
  (call $stable64_read (i64.const 100) (i64.const 60000) (i64.const 1))
  (if (i32.load8_u (i32.const 100))
    (then (i32.store8 (i32.const 100) (i32.const {value}))
      (call $stable64_write (i64.const {at}) (i64.const 100) (i64.const 1)))
    (else (i32.store8 (i32.const 100) (i32.const 1))
      (call $stable64_write (i64.const 60000) (i64.const 100) (i64.const 1)))))"""
"""A post_upgrade that, when it runs for the second time, overwrites a byte of the message."""
UNKNOWN = guest(
    """(func (export "canister_init") (drop (call $stable64_grow (i64.const 1)))
      (i64.store (i32.const 0) (i64.const 0x1234567890))
      (call $stable64_write (i64.const 0) (i64.const 0) (i64.const 8)))"""
)
ASKED = '(func (export "canister_query other") {})'
PEOPLE = ["fill(20)", "set_age(1, 77)"]
LITTLE = InstructionLimits(install=1_500_000)

CASES = {
    "good classical": case(
        "people_v1.classical",
        "people_v2_good.classical",
        "",
        "little-proved data-lost query-differs next-upgrade-fails not-idempotent downgrade-loses interface-breaks",
        calls=PEOPLE,
    ),
    "good enhanced": case(
        "people_v1.enhanced",
        "people_v2_good.enhanced",
        "not-idempotent downgrade-fails",
        "data-lost next-upgrade-fails not-idempotent-loses",
        calls=PEOPLE,
    ),
    "good stable structures": case(
        "people_stable_rs_v1", "people_stable_rs_v2_good", "", "data-lost data-changed downgrade-fails", calls=PEOPLE
    ),
    "good saved heap": case("people_heap_rs_v1", "people_heap_rs_v2_good", "", "data-lost", calls=PEOPLE),
    "nothing to lose": case("people_v1.classical", "people_v2_good.classical", "little-proved"),
    "drops classical": case(
        "people_v1.classical",
        "people_v2_drops.classical",
        "data-lost data-changed query-differs not-idempotent-loses downgrade-loses",
        "next-upgrade-loses query-fails growth-exceeds-limit",
        calls=PEOPLE,
    ),
    "drops enhanced": case(
        "people_v1.enhanced",
        "people_v2_drops.enhanced",
        "data-lost data-changed query-differs not-idempotent",
        "downgrade-loses next-upgrade-fails",
        calls=PEOPLE,
    ),
    "drops stable structures": case(
        "people_stable_rs_v1",
        "people_stable_rs_v2_drops",
        "data-lost query-differs downgrade-loses",
        "next-upgrade-loses data-unreadable",
        calls=PEOPLE,
    ),
    "variables dropped": case(
        "vars_v1.classical", "vars_v2.classical", "stable-variable-lost interface-breaks", "stable-types-incompatible"
    ),
    "traps": case(
        "people_v1.classical",
        "people_v2_traps.classical",
        "post-upgrade-traps",
        "pre-upgrade-traps stable-variable-lost",
    ),
    "traps before": case(
        "people_v1_pretraps.classical", "people_v2_good.classical", "pre-upgrade-traps", "post-upgrade-traps"
    ),
    "no module": case("people_v1.classical", b"\0asm\1\0\0\0\7", "module-refused", "upgrade-refused"),
    "no persistence any more": case(
        "people_v1.enhanced", "people_v1.classical", "upgrade-refused", "module-refused pre-upgrade-traps"
    ),
    "methods removed": case(
        "people_v2_good.classical",
        "people_v1.classical",
        "interface-breaks stable-types-incompatible",
        "query-fails write-fails",
    ),
    "near the limit": case(
        "people_v1.classical",
        "people_v2_good.classical",
        "hook-near-limit",
        "post-upgrade-traps",
        calls=["fill(120)"],
        limits=LITTLE,
    ),
    "grows": case(
        "people_v1.classical",
        "people_v2_good.classical",
        "growth-exceeds-limit",
        "hook-near-limit",
        calls=["fill(50)"],
        limits=LITTLE,
    ),
    "unknown bytes": case(UNKNOWN, UNKNOWN, "data-unreadable", "data-lost"),
    "kept": case(keeper(), keeper(ASKED.format("")), "", "data-unreadable next-upgrade-loses query-fails"),
    "query traps": case(
        keeper(ASKED.format("(call $reply64 (i64.const 1))")),
        keeper(ASKED.format("unreachable")),
        "query-fails",
        "query-differs",
    ),
    "never again": case(
        keeper(), keeper('(func (export "canister_pre_upgrade") unreachable)'), "next-upgrade-fails", "data-lost"
    ),
    "lost next time": case(
        keeper(), keeper(ONCE.format(at=9, value=0)), "next-upgrade-loses", "data-lost next-upgrade-changes"
    ),
    "other next time": case(
        keeper(), keeper(ONCE.format(at=12, value=65)), "next-upgrade-changes", "data-changed next-upgrade-loses"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_upgrade_has_its_findings_and_the_verdict_of_the_gravest(name: str) -> None:
    report = prove(CASES[name])
    ids = {finding.id for finding in report.findings}
    assert ids >= CASES[name].expected, report.findings
    assert not ids & CASES[name].absent, report.findings
    assert report.verdict == VERDICTS[max((RULES[id].severity for id in ids), default=Severity.NOTE)]
    assert report.to_dict()["verdict"] == report.verdict


def prove(asked: Case) -> UpgradeReport:
    return verify_upgrade(asked.old, asked.new, **asked.options)


ELSEWHERE = {
    "rollback-differs",
    "write-fails",
    "write-differs",
    "write-damages",
    "write-loses",
}
"""Findings whose upgrades are in other files of this folder."""


def test_every_finding_has_a_case() -> None:
    assert {id for each in CASES.values() for id in each.expected} | ELSEWHERE == RULES.keys()
    assert {id for each in CASES.values() for id in each.absent} >= RULES.keys() - ELSEWHERE

"""The closed list of findings of an upgrade proof: id, severity, meaning, advice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """The severity of a finding. A note changes no verdict."""

    NOTE = 0
    RISK = 1
    BROKEN = 2


VERDICTS = {Severity.NOTE: "safe", Severity.RISK: "risky", Severity.BROKEN: "broken"}
"""The verdict by the gravest finding."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of finding. `advice`: a remedy."""

    id: str
    severity: Severity
    title: str
    advice: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: its rule, the reason in one line, and details in more lines."""

    rule: Rule
    text: str
    details: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.rule.id

    @property
    def severity(self) -> Severity:
        return self.rule.severity


_NOTE, _RISK, _BROKEN = Severity.NOTE, Severity.RISK, Severity.BROKEN
RULES = {
    rule.id: rule
    for rule in (
        Rule(
            "little-proved",
            _NOTE,
            "There was no data to lose",
            "Give a state (--state), calls that make one (--calls), or let calls be made up (--explore).",
        ),
        Rule(
            "module-refused",
            _BROKEN,
            "The platform refuses the new module",
            "Build the module again; canister-sandbox wasm inspect says what it contains.",
        ),
        Rule(
            "upgrade-refused",
            _BROKEN,
            "The upgrade is refused before a hook runs",
            "Upgrade with the options that the text asks for, or change the persistence mode in a way that it allows.",
        ),
        Rule(
            "pre-upgrade-traps",
            _BROKEN,
            "canister_pre_upgrade of the old version traps: it cannot be upgraded",
            "Take a snapshot before anything else. Skipping pre_upgrade loses what only the heap holds.",
        ),
        Rule(
            "post-upgrade-traps",
            _BROKEN,
            "The new version traps while it starts: the upgrade is rolled back",
            "Let post_upgrade (or the migration) accept what the old version left, and run this proof again.",
        ),
        Rule(
            "hook-near-limit",
            _RISK,
            "The hooks need much of what they may use",
            "Move data to stable memory that needs no saving, or migrate lazily, before the hooks stop fitting.",
        ),
        Rule(
            "interface-breaks",
            _RISK,
            "Clients of the old interface cannot go on with the new one",
            "Keep the method, make new arguments and record fields opt, or add a method instead of changing one.",
        ),
        Rule(
            "stable-types-incompatible",
            _BROKEN,
            "The stable types of Motoko do not fit each other",
            "Add an explicit migration function that takes the old variables.",
        ),
        Rule(
            "stable-variable-lost",
            _BROKEN,
            "A stable variable of Motoko is dropped with its content",
            "Keep the variable, or move its content in an explicit migration function.",
        ),
        Rule(
            "data-lost",
            _BROKEN,
            "Data of the old version is gone after the upgrade",
            "Keep the field or structure, or carry its content over; the snapshot taken before still holds it.",
        ),
        Rule(
            "data-changed",
            _RISK,
            "Values differ after the upgrade",
            "Check that the migration means it.",
        ),
        Rule(
            "data-unreadable",
            _RISK,
            "Data cannot be compared entry by entry",
            "Look at it with canister-sandbox snapshot inspect; give calls and queries that show the data.",
        ),
        Rule(
            "query-fails",
            _BROKEN,
            "A query that the old version answers fails in the new one",
            "The upgrade succeeded, and what it left cannot be read: read the error, and migrate the data.",
        ),
        Rule(
            "query-differs",
            _RISK,
            "A query answers differently after the upgrade",
            "Check that this is meant. Answers about versions, memory, cycles or transient variables may differ.",
        ),
        Rule(
            "write-fails",
            _BROKEN,
            "An update call that the old version takes fails in the new one",
            "The upgrade succeeded, and what it left cannot be written: read the error, and migrate the data.",
        ),
        Rule(
            "write-differs",
            _RISK,
            "An update call answers differently after the upgrade",
            "Check that the new version means it.",
        ),
        Rule(
            "write-loses",
            _BROKEN,
            "Data is gone after update calls that lose nothing in the old version",
            "A structure is lost when it is first used: compare its memory, its type, and how it is opened.",
        ),
        Rule(
            "write-damages",
            _BROKEN,
            "An update call succeeds in the new version and damages what is stored",
            "Move the entries to a new structure, made by the new version; the old one has no room for what it takes.",
        ),
        Rule(
            "next-upgrade-fails",
            _BROKEN,
            "The upgraded canister cannot be upgraded again, not even to the same version",
            "Mend the new version, so that its hooks take what it leaves, before it is installed.",
        ),
        Rule(
            "next-upgrade-loses",
            _BROKEN,
            "The next upgrade loses data, also one that changes nothing",
            "What the new version keeps does not survive its own upgrade: compare where it writes and where it reads.",
        ),
        Rule(
            "next-upgrade-changes",
            _RISK,
            "The next upgrade changes values, also one that changes nothing",
            "Check that the hooks mean it, as for a count of upgrades.",
        ),
        Rule(
            "not-idempotent",
            _NOTE,
            "The new version cannot be installed over itself",
            "The next version needs another migration; installing this one twice must not be part of a deployment.",
        ),
        Rule(
            "not-idempotent-loses",
            _RISK,
            "Installing the new version a second time succeeds and loses data",
            "post_upgrade must recognise data that it has migrated already. Never install this version twice.",
        ),
        Rule(
            "growth-exceeds-limit",
            _RISK,
            "With more data the hooks would exceed their limit (an estimate)",
            "Plan for it: move data to stable memory that needs no saving, or migrate lazily.",
        ),
        Rule(
            "rollback-differs",
            _BROKEN,
            "Loading the snapshot did not bring back every byte",
            "This is a fault of the sandbox or of its memory: please report it.",
        ),
        Rule(
            "downgrade-fails",
            _NOTE,
            "There is no way back by installing the old version",
            "Go back by loading a snapshot taken before the upgrade.",
        ),
        Rule(
            "downgrade-loses",
            _RISK,
            "Installing the old version over the new one succeeds and loses data",
            "Go back by loading a snapshot taken before the upgrade, never by installing the old version.",
        ),
    )
}


def finding(rule: str, text: str, details: Iterable[str] = ()) -> Finding:
    """Return a finding of the rule with this id."""
    return Finding(RULES[rule], text, tuple(details))

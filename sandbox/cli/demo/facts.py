"""What the story finds out, and how two states are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.api import Canister, RawState
from sandbox.errors import CallRejected

PARTS = ("module", "globals", "heap", "stable")


@dataclass(frozen=True)
class Part:
    """One part of a canister at the snapshot, at its worst, and after the rollback."""

    name: str
    size: int
    digest: str
    broken_size: int
    changed: bool
    """Whether the bad upgrade and what came after it had changed this part."""
    restored_digest: str
    identical: bool
    """Whether the bytes after the rollback are those of the snapshot, each of them."""

    def facts(self) -> dict[str, Any]:
        return {
            "part": self.name,
            "bytes": self.size,
            "sha256": self.digest,
            "bytes_when_broken": self.broken_size,
            "changed_when_broken": self.changed,
            "sha256_after_rollback": self.restored_digest,
            "identical": self.identical,
        }


@dataclass(frozen=True)
class Step:
    """One step of the story. `proof`: what it proves, and `holds` whether it does; None where nothing is proved."""

    title: str
    seconds: float
    proof: str | None = None
    holds: bool | None = None
    details: tuple[str, ...] = ()
    reject: CallRejected | None = None
    parts: tuple[Part, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = {"step": self.title, "seconds": round(self.seconds, 6)}
        if self.proof is not None:
            found |= {"proof": self.proof, "holds": self.holds}
        if self.reject is not None:
            found["reject"] = reject_facts(self.reject)
        if self.parts:
            found["parts"] = [part.facts() for part in self.parts]
        return found | self.numbers


def reject_facts(reject: CallRejected) -> dict[str, Any]:
    return {
        "reject_code": int(reject.reject_code),
        "reject_name": reject.reject_code.name,
        "error_code": str(reject.error_code) if reject.error_code else None,
        "message": reject.message,
        "backtrace": list(reject.result.backtrace) if reject.result is not None else [],
    }


def reject_text(reject: CallRejected) -> str:
    """What the canister said, without the platform's words around it."""
    return reject.message.partition("\n")[0].partition(": ")[2]


@dataclass(frozen=True)
class Answers:
    """What the canister says about its data."""

    size: int
    checksum: int
    edits: int
    people: list[dict[str, Any]]

    @classmethod
    def of(cls, canister: Canister) -> Answers:
        size = canister.call("size")
        return cls(size, canister.call("checksum"), canister.call("edit_count"), canister.call("list", 0, size))


def lost_fields(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> dict[str, int]:
    """For each field of the old records, how many records do not have its value any more; only fields that lost."""
    losses: dict[str, int] = {}
    for number, old in enumerate(before):
        new = after[number] if number < len(after) else {}
        for name, value in old.items():
            if name not in new or new[name] != value:
                losses[name] = losses.get(name, 0) + 1
    return losses


def compare(before: RawState, broken: RawState, restored: RawState) -> tuple[Part, ...]:
    """All parts, byte for byte."""
    found = []
    for name in PARTS:
        old, worst, new = (getattr(state, name) or b"" for state in (before, broken, restored))
        found.append(Part(name, len(old), _digest(old), len(worst), worst != old, _digest(new), new == old))
    return tuple(found)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

"""The steps of the story as data, and the comparison of states."""

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
    """One part of a canister: in the snapshot, after the bad upgrade, and after the rollback. Sizes in bytes."""

    name: str
    size: int
    digest: str
    broken_size: int
    changed: bool
    """Whether the bad upgrade and the calls after it changed this part."""
    restored_digest: str
    identical: bool
    """Whether all bytes after the rollback equal those of the snapshot."""

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
    """One step of the story. `proof`: the name of its proof, if any; `holds`: whether the proof holds."""

    title: str
    seconds: float
    proof: str | None = None
    holds: bool | None = None
    details: tuple[str, ...] = ()
    reject: CallRejected | None = None
    parts: tuple[Part, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return the step for JSON."""
        result: dict[str, Any] = {"step": self.title, "seconds": round(self.seconds, 6)}
        if self.proof is not None:
            result |= {"proof": self.proof, "holds": self.holds}
        if self.reject is not None:
            result["reject"] = reject_facts(self.reject)
        if self.parts:
            result["parts"] = [part.facts() for part in self.parts]
        return result | self.numbers


def reject_facts(reject: CallRejected) -> dict[str, Any]:
    """Return a reject for JSON."""
    return {
        "reject_code": int(reject.reject_code),
        "reject_name": reject.reject_code.name,
        "error_code": str(reject.error_code) if reject.error_code else None,
        "message": reject.message,
        "backtrace": list(reject.result.backtrace) if reject.result is not None else [],
    }


def reject_text(reject: CallRejected) -> str:
    """Return the canister's own message, without the platform's text around it."""
    return reject.message.partition("\n")[0].partition(": ")[2]


@dataclass(frozen=True)
class Answers:
    """The answers of a canister to queries about its data."""

    size: int
    checksum: int
    edits: int
    people: list[dict[str, Any]]

    @classmethod
    def of(cls, canister: Canister) -> Answers:
        size = canister.call("size")
        return cls(size, canister.call("checksum"), canister.call("edit_count"), canister.call("list", 0, size))


def lost_fields(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Count, for each field, the records whose old value is gone; fields without losses are left out."""
    losses: dict[str, int] = {}
    for number, old in enumerate(before):
        new = after[number] if number < len(after) else {}
        for name, value in old.items():
            if name not in new or new[name] != value:
                losses[name] = losses.get(name, 0) + 1
    return losses


def compare(before: RawState, broken: RawState, restored: RawState) -> tuple[Part, ...]:
    """Compare all parts byte for byte."""
    parts = []
    for name in PARTS:
        old, worst, new = (getattr(state, name) or b"" for state in (before, broken, restored))
        parts.append(Part(name, len(old), _digest(old), len(worst), worst != old, _digest(new), new == old))
    return tuple(parts)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

"""The canister, snapshot or file that an argument names, in Python and on the command line alike.

A canister: a `Canister`, its `Principal`, the text of its id, or its name.
A snapshot: a `Snapshot`, the bytes of its id, and as text its id in hexadecimal, its label, `latest`, or the first
digits of its id, at least 4, if no other id begins so; in this order. Where a canister is given too, these are those of
its own snapshots, before others', and so is the number of one, from 0 on. Everywhere, `CANISTER:LABEL`,
`CANISTER:latest` and `CANISTER:NUMBER` are those of the canister with this name or id.
A file or a directory, where one makes sense: a `Path`, or a text to which a file exists, before all else, or which only
a file can have (it ends in `.icsnap` or has a slash) after all else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from sandbox.api.records import Snapshot
from sandbox.api.runtime import SubnetRuntime
from sandbox.errors import AmbiguousName, PrincipalError, UnknownName
from sandbox.limits import SNAPSHOT_ID
from sandbox.principal import Principal
from sandbox.snapshots import portable
from sandbox.state import SnapshotState

LATEST = "latest"
_SHORTEST = 4
"""Digits of an id."""
_LABEL = 60
"""Characters of a label in an error."""


class HasCanisterId(Protocol):
    """A `Canister`, or the management canister."""

    @property
    def id(self) -> Principal: ...


CanisterLike = HasCanisterId | Principal | str
SnapshotLike = Snapshot | bytes | str


def resolve_canister(runtime: SubnetRuntime, canister: CanisterLike) -> Principal:
    """Return the id of the canister; whether it exists is for the platform to say. `PrincipalError` for a text that is
    neither a name nor an id."""
    if isinstance(canister, Principal):
        return canister
    if not isinstance(canister, str):
        canister_id = getattr(canister, "id", None)
        if isinstance(canister_id, Principal):
            return canister_id
        raise TypeError(f"a canister is given as a Canister, its id or its name, not as {canister!r}")
    named = runtime.names.get(canister)
    if named is not None:
        return named
    try:
        return Principal.from_text(canister)
    except PrincipalError:
        known = ", ".join(runtime.names.known()) or "none"
        text = f"{canister!r} is neither the name of a canister nor a principal (names: {known})"
        raise PrincipalError(text) from None


def resolve_snapshot(
    runtime: SubnetRuntime,
    snapshot: SnapshotLike,
    owner: Principal | None = None,
    expected: str = "the id nor the label of a snapshot",
) -> bytes:
    """Return the id of the snapshot. An id that no snapshot has is returned too: refusing it is for the platform.

    `owner`: the canister whose labels and latest snapshot are meant, None for all. `UnknownName` for a text that names
    no snapshot, with `expected`, the things that it is neither of; `AmbiguousName` if it names several.
    """
    if isinstance(snapshot, Snapshot):
        return snapshot.id
    if isinstance(snapshot, bytes):
        return snapshot
    if not isinstance(snapshot, str):
        raise TypeError(f"a snapshot is given as a Snapshot, its id or its label, not as {snapshot!r}")
    every = [state for canister_id in runtime.canister_ids() for state in runtime.state_of(canister_id).snapshots]
    digits = snapshot.lower()
    if any(state.id.hex() == digits for state in every):
        return bytes.fromhex(digits)
    candidates = [state for state in every if owner in (None, state.canister_id)]
    labelled = [state for state in candidates if state.label == snapshot]
    if labelled:
        return _only(labelled, f"several snapshots are labelled {snapshot!r}")
    if snapshot == LATEST and candidates:
        return _only(_latest(candidates), "several canisters have a snapshot of the latest time")
    numbered = [state.id for state in candidates if owner is not None and str(number_of(state.id)) == snapshot]
    if numbered:
        return numbered[0]
    if len(digits) >= _SHORTEST:
        beginning = [state for state in every if state.id.hex().startswith(digits)]
        beginning = [state for state in beginning if owner == state.canister_id] or beginning
        if beginning:
            return _only(beginning, f"several ids begin with {snapshot!r}")
    if _is_id(digits):
        return bytes.fromhex(digits)
    name, colon, rest = snapshot.partition(":")
    named = _existing(runtime, name) if colon else None
    if named is not None:
        return resolve_snapshot(runtime, rest, named, expected)
    raise UnknownName(f"{snapshot!r} is neither {expected} (there is {list_snapshots(every)})")


def resolve_source(runtime: SubnetRuntime, source: SnapshotLike | Path) -> bytes | Path:
    """Return the id of the snapshot, or the path of the file or directory."""
    if isinstance(source, Path):
        return source
    if isinstance(source, str) and os.path.exists(source):
        return Path(source)
    try:
        return resolve_snapshot(runtime, source, expected="a file nor the id or the label of a snapshot")
    except UnknownName:
        if isinstance(source, str) and (source.endswith(portable.SUFFIX) or "/" in source):
            return Path(source)
        raise


def number_of(snapshot_id: bytes) -> int:
    """The number of a snapshot among all that its canister ever had, from 0 on."""
    return int.from_bytes(snapshot_id[:SNAPSHOT_ID], "big")


def _existing(runtime: SubnetRuntime, canister: str) -> Principal | None:
    """The id of the canister with this name or id, if there is one."""
    try:
        canister_id = resolve_canister(runtime, canister)
    except PrincipalError:
        return None
    return canister_id if canister_id in runtime.canister_ids() else None


def list_snapshots(snapshots: Iterable[SnapshotState | Snapshot]) -> str:
    """The ids and labels, for an error."""
    return ", ".join(s.id.hex() + (f" ({_shown(s.label)})" if s.label else "") for s in snapshots) or "none"


def _shown(label: str) -> str:
    """A label within a line: without line breaks, the end of a long one left out."""
    text = " ".join("".join(char if char.isprintable() else " " for char in label).split())
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"


def _latest(snapshots: list[SnapshotState]) -> list[SnapshotState]:
    """The snapshots of the latest time, of each canister the last one."""
    latest = max(snapshot.taken_at for snapshot in snapshots)
    return list({snapshot.canister_id: snapshot for snapshot in snapshots if snapshot.taken_at == latest}.values())


def _only(snapshots: list[SnapshotState], problem: str) -> bytes:
    if len(snapshots) > 1:
        raise AmbiguousName(f"{problem}; give CANISTER:LABEL, CANISTER:NUMBER or an id: {list_snapshots(snapshots)}")
    return snapshots[0].id


def _is_id(text: str) -> bool:
    """Whether a text is in the form of a snapshot id: 8 to 37 bytes in hexadecimal."""
    return 16 <= len(text) <= 74 and not len(text) % 2 and not set(text) - set("0123456789abcdef")

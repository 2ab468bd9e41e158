"""What differs between snapshots, files and canisters, and what an action changed."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

from sandbox.api.gate import exclusive
from sandbox.api.records import Snapshot
from sandbox.principal import Principal
from sandbox.snapshots.diff import Diff, compare
from sandbox.snapshots.inspect.target import InspectionTarget, inspection_target

if TYPE_CHECKING:
    from sandbox.api.canister import Canister
    from sandbox.api.sandbox import Sandbox

Source: TypeAlias = "Snapshot | Canister | Principal | bytes | str | Path"
"""A snapshot, or its id; a canister, or its principal; a file or a directory."""


class Changes:
    """What becomes of a canister from now on: `diff` says what has changed so far, and after the `with`, what changed
    within. While it lives, the first overwriting of a page keeps the old one."""

    def __init__(self, sandbox: Sandbox, canister_id: Principal) -> None:
        self._sandbox = sandbox
        self.gate = sandbox.gate
        self._canister_id = canister_id
        self._before = self._present()
        self._after: InspectionTarget | None = None
        self._diff: Diff | None = None

    @property
    @exclusive
    def diff(self) -> Diff:
        """From the state at the beginning to the one at the end of the `with`, or the present one."""
        if self._after is None:
            return compare(self._before, self._present())
        if self._diff is None:
            self._diff = compare(self._before, self._after)
        return self._diff

    def _present(self) -> InspectionTarget:
        return inspection_target(self._sandbox.state_of(self._canister_id))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._after = self._present()


def present_of(found: InspectionTarget) -> Principal:
    """The canister that a snapshot is of; ValueError for what is no snapshot here."""
    owner = found.fields.get("canister_id")
    if not isinstance(owner, Principal) or "file" in found.fields or "id" not in found.fields:
        raise ValueError("say what a file or a canister is to be compared with")
    return owner

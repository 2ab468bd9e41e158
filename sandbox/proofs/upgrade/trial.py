"""One trial: the canister at its starting point, and the observations of its checks so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from sandbox.api.canister import Canister
from sandbox.api.records import Snapshot
from sandbox.api.runtime import runtime_of
from sandbox.api.sandbox import Sandbox
from sandbox.candid import field_id
from sandbox.errors import CallRejected
from sandbox.execution import CallResult
from sandbox.proofs.calls import Call
from sandbox.proofs.upgrade.losses import Losses
from sandbox.proofs.upgrade.observe import Observation, observe
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.start import OWNER, Version


@dataclass
class Trial:
    """A canister that is about to be upgraded from `old` to `new`, in a sandbox of its own.

    `queries` are asked before and after. `upgraded`: the result of the upgrade, or the reject; `after`: the observation
    then; `losses`: how the data differ; `snapshot`: taken before; `again`: the check of a second upgrade. Checks undo
    what they change.
    """

    sandbox: Sandbox
    canister: Canister
    old: Version
    new: Version
    queries: tuple[Call, ...]
    calls: tuple[Call, ...]
    has_state: bool
    upgraded: CallResult | CallRejected | None = None
    after: Observation | None = None
    losses: Losses | None = None
    snapshot: Snapshot | None = None
    again: Check | None = None

    @cached_property
    def before(self) -> Observation:
        """The observation before the upgrade, made on first access."""
        return observe(self.sandbox, self.canister, self.old, self.queries)

    @cached_property
    def names(self) -> dict[int, str]:
        """Field names in both interfaces, by field id."""
        known = [version.interface for version in (self.old, self.new) if version.interface is not None]
        return {field_id(name): name for interface in known for name in interface.field_names()}

    @property
    def limit(self) -> int:
        """The instructions that all hooks of one upgrade may execute."""
        return runtime_of(self.canister).subnet.instruction_limits.install

    def towards(self, new: Version) -> Trial:
        """Return the trial of an upgrade to another version from the same state; the observation before it is
        reused."""
        other = replace(self, new=new, upgraded=None, after=None, losses=None, again=None)
        other.__dict__["before"] = self.before
        return other

    def upgrade(self, version: Version) -> CallResult:
        """Upgrade the canister to a version; `CallRejected` if that fails."""
        return self.canister.upgrade(version.wasm, version.argument, sender=OWNER)

    def observe(self, version: Version) -> Observation:
        """Observe the canister, which runs `version` now. Queries that the old version rejects are not repeated: there
        is nothing to compare, and they may have reached the instruction limit."""
        known = self.before.answers
        asked = [query for query in self.queries if known[query.text].reject is None]
        seen = observe(self.sandbox, self.canister, version, asked)
        return replace(seen, answers={**known, **seen.answers})

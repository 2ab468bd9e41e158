"""Damage of a state directory: looking for it, and ways back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.api.records import Snapshot
from sandbox.errors import StateCorrupt, StateError
from sandbox.memory import Memory
from sandbox.principal import Principal
from sandbox.state import CanisterState, SnapshotState
from sandbox.store.audit import Problem
from sandbox.store.checks import damage
from sandbox.store.records import memory_part

if TYPE_CHECKING:
    from sandbox.api.sandbox import Sandbox

_KINDS = ("heap", "stable")


@dataclass(frozen=True, slots=True)
class StateCheck:
    """What came of a check. `deep`: whether every byte was read; `unchecked`: how many live memories have no checks
    yet, because the directory was saved last by a version without them."""

    deep: bool
    problems: tuple[Problem, ...]
    unchecked: int

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def recover(
    sandbox: Sandbox, canister_id: Principal, snapshot_id: bytes | str | None, sender: Principal | str | None
) -> Snapshot:
    """`Canister.recover`."""
    state = sandbox.state_of(canister_id)
    if not _look(sandbox, state):
        raise StateError(
            f"canister {canister_id} needs no recovery: every page of its memories is what it was at the last save "
            "(loading a snapshot takes it back)"
        )
    if snapshot_id is None:
        snapshot_id = _newest_intact(sandbox, state).id
    sandbox.snapshots.load(snapshot_id, canister_id, sender)
    chosen = snapshot_id if isinstance(snapshot_id, str) else snapshot_id.hex()
    found = (s for canister in sandbox.canisters() for s in sandbox.state_of(canister.id).snapshots)
    return Snapshot.of(next(s for s in found if s.id.hex() == chosen))


def accept_damage(sandbox: Sandbox, canister_id: Principal) -> tuple[str, ...]:
    """`Canister.accept_damage`."""
    state = sandbox.state_of(canister_id)
    _look(sandbox, state)
    lost = {kind: getattr(state, kind) for kind in _KINDS if getattr(state, kind).damage is not None}
    directory = sandbox.directory
    if directory is not None and lost:
        sandbox.replace_memories(state, {kind: directory.checks.remains(memory) for kind, memory in lost.items()})
    return tuple(memory.damage for memory in lost.values())


def _look(sandbox: Sandbox, state: CanisterState) -> bool:
    """Whether a canister is damaged; every page of its memories is read."""
    directory = sandbox.directory
    for kind in _KINDS:
        memory: Memory = getattr(state, kind)
        pages = [] if directory is None or memory.closed else directory.checks.damaged_pages(memory)
        if pages:
            sandbox.drop_instance(state.id)
            memory.give_up(damage(memory_part(kind, state.id), pages))
    return state.damage is not None


def _newest_intact(sandbox: Sandbox, state: CanisterState) -> SnapshotState:
    """The newest snapshot that can be loaded and is what it was, every byte of it."""
    for snapshot in reversed(state.snapshots):
        try:
            if not snapshot.via_hooks and sandbox.snapshots.verify(snapshot.id).intact:
                return snapshot
        except StateCorrupt:  # it shows pages of the damaged memory
            continue
    raise StateCorrupt(
        f"canister {state.id} has no intact snapshot to come back from, and is damaged: {state.damage}; only accepting "
        "the damage goes on with what is left"
    )

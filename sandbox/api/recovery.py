"""Damage of a state directory: looking for it, and ways back."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.api.identity import Sender
from sandbox.api.records import Snapshot
from sandbox.api.resolver import SnapshotLike, resolve_snapshot
from sandbox.api.runtime import SubnetRuntime
from sandbox.api.snapshot_lifecycle import SnapshotLifecycle
from sandbox.api.snapshot_retention import SnapshotKeeping
from sandbox.errors import StateCorrupt, StateError
from sandbox.memory import Memory
from sandbox.principal import Principal
from sandbox.state import CanisterState, SnapshotState
from sandbox.store.audit import Problem
from sandbox.store.checks import damage
from sandbox.store.records import memory_part

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
    runtime: SubnetRuntime, canister_id: Principal, snapshot_id: SnapshotLike | None, sender: Sender
) -> Snapshot:
    """`Canister.recover`."""
    state = runtime.state_of(canister_id)
    if not _look(runtime, state):
        raise StateError(
            f"canister {canister_id} needs no recovery: every page of its memories is what it was at the last save "
            "(loading a snapshot takes it back)"
        )
    if snapshot_id is None:
        chosen = _newest_intact(runtime, state).id
    else:
        chosen = resolve_snapshot(runtime, snapshot_id, canister_id)
    SnapshotLifecycle(runtime).load(chosen, canister_id, sender)
    every = (snapshot for owner in runtime.canister_ids() for snapshot in runtime.state_of(owner).snapshots)
    return Snapshot.of(next(snapshot for snapshot in every if snapshot.id == chosen))


def accept_damage(runtime: SubnetRuntime, canister_id: Principal) -> tuple[str, ...]:
    """`Canister.accept_damage`."""
    state = runtime.state_of(canister_id)
    _look(runtime, state)
    lost = {kind: getattr(state, kind) for kind in _KINDS if getattr(state, kind).damage is not None}
    directory = runtime.directory
    if directory is not None and lost:
        runtime.replace_memories(state, {kind: directory.checks.remains(memory) for kind, memory in lost.items()})
    return tuple(memory.damage for memory in lost.values())


def _look(runtime: SubnetRuntime, state: CanisterState) -> bool:
    """Whether a canister is damaged; every page of its memories is read."""
    directory = runtime.directory
    for kind in _KINDS:
        memory: Memory = getattr(state, kind)
        pages = [] if directory is None or memory.closed else directory.checks.damaged_pages(memory)
        if pages:
            runtime.drop_instance(state.id)
            memory.give_up(damage(memory_part(kind, state.id), pages))
    return state.damage is not None


def _newest_intact(runtime: SubnetRuntime, state: CanisterState) -> SnapshotState:
    """The newest snapshot that can be loaded and is what it was, every byte of it."""
    for snapshot in reversed(state.snapshots):
        try:
            if not snapshot.via_hooks and SnapshotKeeping(runtime).verify(snapshot.id).intact:
                return snapshot
        except StateCorrupt:  # it shows pages of the damaged memory
            continue
    raise StateCorrupt(
        f"canister {state.id} has no intact snapshot to come back from, and is damaged: {state.damage}; only accepting "
        "the damage goes on with what is left"
    )

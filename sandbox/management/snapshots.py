"""Take, load, list and delete snapshots: the rules of who may, when, and what changes (digest 6.5, 6.6).

Taking copies nothing: a snapshot holds images of the two memories. Loading writes back the pages that differ. A load
does not run start, init or hooks; status, settings, cycles, logs and the timer stay; the version goes up, never back.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.limits import SNAPSHOTS
from sandbox.management import rejects
from sandbox.management.transition import Transition, World, history
from sandbox.memory import Image, Memory
from sandbox.principal import Principal
from sandbox.state import CanisterState, Change, SnapshotState


def take_snapshot(
    world: World, canister_id: Principal, label: str | None = None, replace_id: bytes | None = None
) -> Transition:
    """A new snapshot of a canister with code, whatever its status.

    `replace_id` names the one to give up for it. Without it, when the canister has as many as the sandbox allows
    (`Subnet.max_snapshots`), the oldest makes room if the sandbox keeps one, else the call is rejected.
    """
    state = world.controlled(canister_id)
    if state.code is None:
        raise rejects.snapshot_of_empty(canister_id)
    most = min(world.subnet.max_snapshots, SNAPSHOTS)
    kept = state.snapshots
    if replace_id is not None:
        old = find(state, replace_id)
        kept = tuple(s for s in kept if s is not old)
    elif most == 1:
        kept = ()
    elif len(kept) >= most:
        raise rejects.too_many_snapshots(canister_id, most)
    snapshot = SnapshotState(
        id=state.next_snapshot.to_bytes(8, "big") + bytes(canister_id),
        canister_id=canister_id,
        label=label,
        taken_at=world.subnet.time,
        canister_version=state.version,
        code=state.code,
        globals=state.globals,
        heap=state.heap.image(),
        stable=state.stable.image(),
        certified_data=state.certified_data,
        global_timer=state.global_timer,
    )
    new = replace(state, snapshots=(*kept, snapshot), next_snapshot=state.next_snapshot + 1)
    return Transition(canister=new, reply=snapshot)


def load_snapshot(world: World, canister_id: Principal, snapshot_id: bytes) -> Transition:
    """The canister's module, globals, heap, stable memory and certified data are those of the snapshot."""
    state = world.controlled(canister_id)
    snapshot, owner = locate(world, canister_id, snapshot_id)
    if world.caller not in owner.settings.controllers:
        raise rejects.snapshot_not_yours(snapshot_id, canister_id, world.caller)
    in_use = {m for c in world.subnet.canisters.values() if c.id != canister_id for m in (c.heap, c.stable)}
    heap, stable = _memory(snapshot.heap, in_use), _memory(snapshot.stable, in_use)
    version, now = state.version + 1, world.subnet.time
    details = (
        ("from_canister_id", owner.id if owner.id != canister_id else None),
        ("snapshot_id", snapshot_id),
        ("canister_version", snapshot.canister_version),
        ("taken_at_timestamp", snapshot.taken_at),
    )
    new = replace(
        state,
        code=snapshot.code,
        globals=snapshot.globals,
        heap=heap,
        stable=stable,
        certified_data=snapshot.certified_data,
        version=version,
        history=history(state, Change(now, version, world.caller, "load_snapshot", details)),
        total_changes=state.total_changes + 1,
        last_installed_at=now,
    )
    restored = tuple((m, i) for m, i in ((heap, snapshot.heap), (stable, snapshot.stable)) if m is i.memory)
    return Transition(canister=new, restored=restored)


def list_snapshots(world: World, canister_id: Principal) -> tuple[SnapshotState, ...]:
    """The canister's snapshots by id, oldest first; controllers, or whoever `snapshot_visibility` admits."""
    state = world.canister(canister_id)
    visibility = state.settings.snapshot_visibility
    seen = visibility.public or world.caller in visibility.allowed_viewers
    if not seen and world.caller not in state.settings.controllers:
        raise rejects.not_controller(state, world.caller)
    return state.snapshots


def delete_snapshot(world: World, canister_id: Principal, snapshot_id: bytes) -> Transition:
    """The snapshot is gone; what only it held is freed."""
    state = world.controlled(canister_id)
    gone = find(state, snapshot_id)
    return Transition(canister=replace(state, snapshots=tuple(s for s in state.snapshots if s is not gone)))


def find(state: CanisterState, snapshot_id: bytes) -> SnapshotState:
    """The canister's own snapshot with this id."""
    for snapshot in state.snapshots:
        if snapshot.id == snapshot_id:
            return snapshot
    raise rejects.snapshot_not_found(snapshot_id, state.id)


def locate(world: World, canister_id: Principal, snapshot_id: bytes) -> tuple[SnapshotState, CanisterState]:
    """A snapshot of any canister, and the canister it belongs to."""
    owner = world.subnet.canisters.get(Principal(snapshot_id[8:])) if 8 <= len(snapshot_id) <= 37 else None
    if owner is None:
        raise rejects.snapshot_not_found(snapshot_id, canister_id)
    for snapshot in owner.snapshots:
        if snapshot.id == snapshot_id:
            return snapshot, owner
    raise rejects.snapshot_not_found(snapshot_id, canister_id)


def _memory(image: Image, in_use: set[Memory]) -> Memory:
    """The memory that the image was taken of, to be restored to it; a copy if another canister lives in that memory."""
    return image.memory if image.memory not in in_use else image.memory.fork(image)

"""Take, load, list and delete snapshots: access, conditions and effects (SPECIFICATION 6.5, 6.6).

Taking copies nothing: a snapshot holds images of the two memories. Loading writes back the pages that differ. A load
does not run start, init or hooks; status, settings, cycles and logs stay; timer and low-memory hook stay too, unless
the snapshot was uploaded with them; the version goes up, never back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sandbox.errors import CandidTypeError
from sandbox.limits import SNAPSHOT_ID, SNAPSHOTS
from sandbox.management import rejects
from sandbox.management.lifecycle import uninstalled
from sandbox.management.load_parts import Parts, parts
from sandbox.management.payment import LOAD_BASE, charge, charge_work, creation_work, load_work
from sandbox.management.settings import sees
from sandbox.management.sizes import snapshot_size
from sandbox.management.transition import ManagementContext, Transition, history
from sandbox.memory import Image, Memory
from sandbox.principal import Principal
from sandbox.state import CanisterState, Change, OpenCall, SnapshotState, Subnet
from sandbox.store import restoration


@dataclass(frozen=True, slots=True)
class Take:
    """Options of taking a snapshot. `replace_id`: the snapshot to delete for it. `uninstall`: uninstall the code then.

    `limit`: a canister may have this many snapshots even if the sandbox allows fewer (`Subnet.max_snapshots`). With a
    limit of 1, a new snapshot replaces the only existing one; if several exist, nothing is replaced and the call is
    rejected. Automatic snapshots do not count.
    """

    label: str | None = None
    replace_id: bytes | None = None
    uninstall: bool = False
    limit: int | None = None


PLATFORM = Take(limit=SNAPSHOTS)


def take_snapshot(
    context: ManagementContext, canister_id: Principal, label: str | None = None, replace_id: bytes | None = None
) -> Transition:
    """`take` with the sandbox's own limit; the reply is the `SnapshotState`."""
    return take(context, canister_id, Take(label, replace_id))


def take(context: ManagementContext, canister_id: Principal, options: Take) -> Transition:
    """Take a snapshot of a canister with code, in any status; the reply is the `SnapshotState`."""
    state = context.controlled(canister_id)
    kept = remaining(context, state, options)
    if state.code is None:
        raise rejects.snapshot_of_empty(canister_id)
    snapshot = present(context.subnet, state, options.label)
    new = with_snapshot(state, kept, snapshot)
    new = uninstalled(context, new) if options.uninstall else new
    return Transition(canister=charge(context, state, new, creation_work(snapshot)), reply=snapshot)


def present(subnet: Subnet, state: CanisterState, label: str | None) -> SnapshotState:
    """The canister's present state as its next snapshot; copies nothing."""
    return SnapshotState(
        id=next_id(state),
        canister_id=state.id,
        label=checked_label(label),
        taken_at=subnet.time,
        canister_version=state.version,
        code=state.code,
        globals=state.globals,
        heap=state.heap.image(),
        stable=state.stable.image(),
        certified_data=state.certified_data,
        global_timer=state.global_timer,
        low_memory_hook=state.low_memory_hook,
        chunks=state.chunks,
        open_calls=open_calls(subnet, state.id),
    )


def open_calls(subnet: Subnet, canister_id: Principal) -> tuple[OpenCall, ...]:
    """The open calls of the canister."""
    contexts = (c for c in subnet.contexts.values() if c.canister_id == canister_id and not c.deleted)
    return tuple(OpenCall(c.method, c.caller, c.outstanding) for c in contexts)


def checked_label(label: object) -> str | None:
    """The label of a new snapshot; `CandidTypeError` if it is not a text that can be stored."""
    if label is None:
        return None
    if not isinstance(label, str):
        raise CandidTypeError(f"a label is a text, not {label!r:.80}")
    try:
        label.encode()
    except UnicodeEncodeError as error:
        raise CandidTypeError(f"a label is a text: {label!r:.80} is not Unicode at {error.start}") from None
    return label


def with_snapshot(state: CanisterState, others: tuple[SnapshotState, ...], snapshot: SnapshotState) -> CanisterState:
    """The canister with a new snapshot after `others`; the snapshot's number is not used again."""
    return replace(state, snapshots=(*others, snapshot), next_snapshot=state.next_snapshot + 1)


def next_id(state: CanisterState) -> bytes:
    """The id of the canister's next snapshot: a number that is never used again, then the canister's id."""
    return state.next_snapshot.to_bytes(SNAPSHOT_ID, "big") + bytes(state.id)


def remaining(context: ManagementContext, state: CanisterState, options: Take) -> tuple[SnapshotState, ...]:
    """The snapshots that stay when one more is taken; a reject if the limit is reached."""
    most = max(context.subnet.max_snapshots, options.limit or 1)
    if options.replace_id is not None:
        old = own(context, state, options.replace_id)
        return tuple(s for s in state.snapshots if s is not old)
    others = tuple(s for s in state.snapshots if s.automatic)
    count = len(state.snapshots) - len(others)
    if most == count == 1:
        return others
    if count >= most:
        raise rejects.too_many_snapshots(state.id, most)
    return state.snapshots


def load_snapshot(context: ManagementContext, canister_id: Principal, snapshot_id: bytes) -> Transition:
    """The canister's module, globals, memories, chunk store and certified data are those of the snapshot."""
    state = context.controlled(canister_id)
    snapshot, owner = loadable(context, canister_id, snapshot_id)
    return loaded(context, state, snapshot, owner)


def loaded(
    context: ManagementContext, state: CanisterState, snapshot: SnapshotState, owner: CanisterState
) -> Transition:
    """The transition of `load_snapshot`, without its check of access."""
    if snapshot.via_hooks:
        raise rejects.only_stable_memory(snapshot.id)
    begun = charge_work(context, state, LOAD_BASE)
    loaded_parts, in_use, pool = parts(state, snapshot), lived_in(context, state.id), context.subnet.pool
    heap, heap_content = restoration(snapshot.heap, state.heap, in_use, pool)
    stable, stable_content = restoration(snapshot.stable, state.stable, in_use, pool)
    new = replace(_with_parts(state, loaded_parts), heap=heap, stable=stable)
    new = replace(
        new,
        version=state.version + 1,
        chunks=snapshot.chunks,
        certified_data=snapshot.certified_data,
        last_installed_at=context.subnet.time,
        history=history(state, _entry(context, state, snapshot, owner)),
        total_changes=state.total_changes + 1,
    )
    restored = tuple(
        (m, content) for m, content in ((heap, heap_content), (stable, stable_content)) if content is not None
    )
    grown = snapshot.heap.size + snapshot.stable.size - heap.size - stable.size
    new = charge(context, begun, new, load_work(context, snapshot, loaded_parts.code), grown)
    return Transition(canister=new, restored=restored)


def loadable(
    context: ManagementContext, canister_id: Principal, snapshot_id: bytes
) -> tuple[SnapshotState, CanisterState]:
    """A snapshot of a canister that the caller controls too, and this canister; `StateCorrupt` if it cannot be read."""
    snapshot, owner = locate(context, canister_id, snapshot_id)
    if context.caller not in owner.settings.controllers:
        raise rejects.snapshot_not_yours(snapshot_id, canister_id, context.caller)
    return intact(snapshot), owner


def lived_in(context: ManagementContext, canister_id: Principal) -> set[Memory]:
    """The memories of all other canisters, which this one may not take over."""
    return {m for c in context.subnet.canisters.values() if c.id != canister_id for m in (c.heap, c.stable)}


def _with_parts(state: CanisterState, content: Parts) -> CanisterState:
    timer, hook = content.global_timer, content.low_memory_hook
    return replace(
        state,
        code=content.code,
        globals=content.globals,
        global_timer=state.global_timer if timer is None else timer,
        low_memory_hook=state.low_memory_hook if hook is None else hook,
    )


def _entry(context: ManagementContext, state: CanisterState, snapshot: SnapshotState, owner: CanisterState) -> Change:
    return context.change(
        state.version + 1,
        "load_snapshot",
        from_canister_id=owner.id if owner.id != state.id else None,
        snapshot_id=snapshot.id,
        canister_version=snapshot.canister_version,
        taken_at_timestamp=snapshot.taken_at,
        source=snapshot.source,
    )


def list_snapshots(context: ManagementContext, canister_id: Principal) -> tuple[SnapshotState, ...]:
    """The canister's snapshots by id, oldest first; for controllers and those whom `snapshot_visibility` admits."""
    return visible(context, canister_id).snapshots


def visible(context: ManagementContext, canister_id: Principal) -> CanisterState:
    """Return the canister; a reject if the caller may not see its snapshots."""
    state = context.canister(canister_id)
    if not sees(state, state.settings.snapshot_visibility, context.caller):
        raise rejects.not_controller(state, context.caller)
    return state


def delete_snapshot(context: ManagementContext, canister_id: Principal, snapshot_id: bytes) -> Transition:
    """Delete the snapshot; pages that only it held are freed."""
    state = context.controlled(canister_id)
    gone = own(context, state, snapshot_id)
    new = replace(state, snapshots=tuple(s for s in state.snapshots if s is not gone))
    return Transition(canister=charge(context, state, new))


def own(context: ManagementContext, state: CanisterState, snapshot_id: bytes) -> SnapshotState:
    """The canister's own snapshot with this id."""
    snapshot, owner = locate(context, state.id, snapshot_id)
    if owner.id != state.id:
        raise rejects.snapshot_of_another(snapshot_id, state.id)
    return snapshot


def locate(
    context: ManagementContext, canister_id: Principal, snapshot_id: bytes
) -> tuple[SnapshotState, CanisterState]:
    """A snapshot of any canister, and the canister it belongs to."""
    owner = context.subnet.canisters.get(owner_id(snapshot_id))
    for snapshot in owner.snapshots if owner is not None else ():
        if snapshot.id == snapshot_id:
            assert owner is not None
            return snapshot, owner
    raise rejects.snapshot_not_found(snapshot_id, canister_id)


def intact(snapshot: SnapshotState) -> SnapshotState:
    """Return the snapshot; `StateCorrupt` if its files, or the memories that it shows, are damaged."""
    snapshot.check_intact()
    for content in (snapshot.heap, snapshot.stable):
        if isinstance(content, Image):
            content.memory.verify()
    return snapshot


def owner_id(snapshot_id: bytes) -> Principal:
    """The canister that a snapshot with this id belongs to; the management canister if the id is invalid."""
    owner = snapshot_id[SNAPSHOT_ID:]
    return Principal(owner) if len(owner) <= 29 else Principal.management()


def record(snapshot: SnapshotState) -> dict[str, object]:
    """The `snapshot` record of the platform."""
    return {"id": snapshot.id, "taken_at_timestamp": snapshot.taken_at, "total_size": snapshot_size(snapshot)}

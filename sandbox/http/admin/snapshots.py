"""Operations on snapshots: take, load, list, delete, label, compare, verify, files."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox import api
from sandbox.api.resolver import resolve_snapshot
from sandbox.candid.as_json import to_json
from sandbox.errors import PrincipalError, StateCorrupt, UnknownName
from sandbox.http.admin import model
from sandbox.http.admin.desk import Desk
from sandbox.http.admin.time import date
from sandbox.http.answer import Refused
from sandbox.memory import Run
from sandbox.pagestore.hash_tree import PAGE
from sandbox.snapshots.diff import Diff, GlobalDiff, MemoryDiff, StructureDiff
from sandbox.snapshots.diff.readable import readable_entries
from sandbox.snapshots.inspect.cells import field_names
from sandbox.snapshots.inspect.target import InspectionTarget

_ICSNAP = "application/octet-stream"


def list_snapshots(desk: Desk, asked: model.ListSnapshots) -> model.Snapshots:
    """List snapshots."""
    found = desk.sandbox.snapshots.list(asked.canister)
    return model.Snapshots(snapshots=[_snapshot(snapshot) for snapshot in found])


def show_snapshot(desk: Desk, asked: model.OfSnapshot) -> model.Snapshot:
    """Show one snapshot, with its checksum."""
    found = _found(desk, asked.snapshot)
    try:
        return _snapshot(found, found.checksum)
    except StateCorrupt:
        return _snapshot(found)


def _found(desk: Desk, which: str) -> api.Snapshot:
    """The snapshot with this id, label or other name; `Refused` if there is none."""
    known = resolve_snapshot(api.runtime_of(desk.sandbox), which)
    for snapshot in desk.sandbox.snapshots.list():
        if snapshot.id == known:
            return snapshot
    raise Refused(404, f"there is no snapshot {which}")


def _snapshot(snapshot: api.Snapshot, checksum: str | None = None) -> model.Snapshot:
    return model.Snapshot(
        id=snapshot.id.hex(),
        canister=str(snapshot.canister_id),
        label=snapshot.label,
        taken_at=date(snapshot.taken_on),
        total_size=snapshot.total_size,
        via_hooks=snapshot.via_hooks,
        automatic=snapshot.automatic,
        checksum=checksum,
        damage=snapshot.damage,
    )


def take_snapshot(desk: Desk, asked: model.TakeSnapshot) -> model.Snapshot:
    """Take a snapshot; copies nothing."""
    return _snapshot(desk.sandbox.snapshots.take(asked.canister, asked.label, via_hooks=asked.via_hooks))


def load_snapshot(desk: Desk, asked: model.LoadSnapshot) -> model.Done:
    """Put a snapshot into a canister."""
    found = _found(desk, asked.snapshot)
    target = found.canister_id if asked.canister is None else asked.canister
    desk.sandbox.snapshots.load(found, target, via_hooks=asked.via_hooks)
    return model.Done()


def label_snapshot(desk: Desk, asked: model.LabelSnapshot) -> model.Snapshot:
    """Make a copy of a snapshot with another label; a snapshot itself never changes."""
    return _snapshot(desk.sandbox.snapshots.edit(_found(desk, asked.snapshot), asked.label))


def delete_snapshot(desk: Desk, asked: model.OfSnapshot) -> model.Done:
    """Delete a snapshot."""
    desk.sandbox.snapshots.delete(_found(desk, asked.snapshot))
    return model.Done()


def verify_snapshot(desk: Desk, asked: model.OfSnapshot) -> model.Verified:
    """Read every byte of a snapshot again, from the disk where it is there."""
    found = desk.sandbox.snapshots.verify(_found(desk, asked.snapshot), every=True)
    return model.Verified(
        id=found.id.hex(),
        intact=found.intact,
        checksum=found.checksum,
        bytes_read=found.bytes_read,
        on_disk=found.on_disk,
        differs=[f"{each.part}: {each.why}" for each in found.differences],
    )


def download_snapshot(desk: Desk, asked: model.OfSnapshot) -> model.Document:
    """Download a snapshot as a file (`.icsnap`)."""
    found = _found(desk, asked.snapshot)
    name = f"{found.id.hex()}.icsnap"
    file = desk.sandbox.snapshots.download(found, desk.temporary() / name)
    return model.Document(content_type=_ICSNAP, file=file, name=name)


def upload_snapshot(desk: Desk, asked: model.UploadSnapshot) -> model.Snapshot:
    """Make a snapshot of a canister from a file (`.icsnap`)."""
    return _snapshot(desk.sandbox.snapshots.upload(asked.canister, asked.file))


def compare(desk: Desk, asked: model.Compare) -> model.Difference:
    """Compare two states: pages, globals, fields, and the entries of data structures."""
    diff = difference(desk, asked)
    names = tuple({*field_names(diff.old), *field_names(diff.new)})
    module = diff.module
    return model.Difference(
        different=bool(diff),
        old=_title(diff.old),
        new=_title(diff.new),
        module=None
        if module is None
        else model.Changed(name="module", before=_hex(module.before), after=_hex(module.after)),
        heap=_memory(diff.heap),
        stable=_memory(diff.stable),
        globals=[_global(each) for each in diff.globals[: asked.limit]],
        fields=[
            model.Changed(name=each.name, before=to_json(each.before), after=to_json(each.after))
            for each in diff.fields
        ],
        structures=[_structure(each, names, asked.limit) for each in diff.structures],
        notes=list(diff.notes),
    )


def difference(desk: Desk, asked: model.Compare) -> Diff:
    """The difference itself; `Refused` for what is neither a snapshot nor a canister."""
    old, new = _state(desk, asked.old), None if asked.new is None else _state(desk, asked.new)
    if new is None and isinstance(old, api.Canister):
        raise Refused(400, "say with what a canister is to be compared")
    return desk.sandbox.snapshots.diff(old, new)


def _state(desk: Desk, which: str) -> api.Snapshot | api.Canister:
    """A snapshot or a canister; never a file, which only the owner of the machine may read."""
    try:
        return _found(desk, which)
    except UnknownName as unknown:
        try:
            return desk.sandbox.canister(which)
        except PrincipalError:
            raise Refused(404, f"{unknown}, nor a canister") from None


def _title(target: InspectionTarget) -> str:
    fields = target.fields
    if "id" not in fields:
        return f"canister {fields['canister_id']}, now"
    name = fields["id"]
    label = fields.get("label")
    return f"snapshot {name.hex() if isinstance(name, bytes) else name}" + (f" ({label})" if label else "")


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _memory(memory: MemoryDiff) -> model.MemoryChange:
    def pages(runs: Sequence[Run]) -> int:
        return sum(length for _, length in runs) // PAGE

    return model.MemoryChange(
        before=memory.before,
        after=memory.after,
        changed=pages(memory.changed),
        added=pages(memory.added),
        removed=pages(memory.removed),
    )


def _global(each: GlobalDiff) -> model.Changed:
    known = each.after or each.before
    assert known is not None
    name = known.name or ("?" if known.index is None else str(known.index))
    before, after = (None if value is None else to_json(value.value) for value in (each.before, each.after))
    return model.Changed(name=name, before=before, after=after)


def _structure(structure: StructureDiff, names: tuple[str, ...], limit: int) -> model.StructureChange:
    entries = []
    if structure.problem is None:
        columns = readable_entries(structure.entries, limit, names)
        for (_, key), (was, before), (now, after) in zip(*columns, strict=True):
            shown = (None if was is None else before), (None if now is None else after)
            entries.append(model.EntryChange(key=key, before=shown[0], after=shown[1]))
    return model.StructureChange(
        name=structure.name,
        kind=structure.kind,
        before=structure.counts[0],
        after=structure.counts[1],
        added=structure.added,
        removed=structure.removed,
        changed=structure.changed,
        problem=structure.problem,
        damages=list(structure.damages),
        entries=entries,
    )

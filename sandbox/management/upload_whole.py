"""Uploaded snapshots: the rules of `upload_canister_snapshot_metadata` (SPECIFICATION 6.3), and our own upload of all
bytes at once, to an existing canister or as a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sandbox import limits
from sandbox.limits import WASM_PAGE
from sandbox.management import rejects
from sandbox.management.chunks import added
from sandbox.management.lifecycle import create_canister
from sandbox.management.load_parts import Globals
from sandbox.management.payment import charge, creation_work
from sandbox.management.settings import SettingsUpdate
from sandbox.management.snapshot_rules import PLATFORM, checked_label, loaded, next_id, remaining, with_snapshot
from sandbox.management.transition import ManagementContext, Transition
from sandbox.memory import Readable
from sandbox.principal import Principal
from sandbox.state import NO_CHUNKS, CanisterState, Derived, SnapshotState, Upload

Images = tuple[Readable, Readable, Readable]
"""The bytes of module (with zeros to whole Wasm pages), heap and stable memory."""


@dataclass(frozen=True, slots=True)
class Uploading:
    """Everything of an uploaded snapshot except its memories. `globals`: type letters and bits; `global_timer`: 0 is
    inactive, None not known. Ours: `label`, `chunks`, `via_hooks`, `derived`.
    """

    module_size: int
    globals: Globals
    heap_size: int
    stable_size: int
    certified_data: bytes
    global_timer: int | None = None
    low_memory_hook: str | None = None
    label: str | None = None
    chunks: tuple[bytes, ...] = ()
    via_hooks: bool = False
    derived: tuple[Derived, ...] = ()

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The sizes of the three images, in bytes."""
        return -(-self.module_size // WASM_PAGE) * WASM_PAGE, self.heap_size, self.stable_size


@dataclass(frozen=True, slots=True)
class NewCanister:
    """The arguments of `create_canister`."""

    settings: SettingsUpdate
    specified_id: Principal | None
    cycles: int


def upload_whole(context: ManagementContext, canister_id: Principal, metadata: Uploading, images: Images) -> Transition:
    """Upload a snapshot with all its bytes; the reply is the `SnapshotState`."""
    state, kept = admit(context, canister_id, metadata)
    snapshot = uploaded(context, state, metadata, images)
    new = charge(context, state, with_snapshot(state, kept, snapshot), creation_work(snapshot))
    return Transition(canister=new, reply=snapshot)


def create_from_upload(context: ManagementContext, new: NewCanister, metadata: Uploading, images: Images) -> Transition:
    """Create a canister and load the snapshot into it; it has no snapshots. The reply is its id."""
    created = create_canister(context, new.settings, new.specified_id, new.cycles)
    assert created.canister is not None
    _check(metadata)
    snapshot = uploaded(context, created.canister, metadata, images)
    state = replace(created.canister, next_snapshot=1)
    done = loaded(context, state, snapshot, state)
    return replace(done, next_canister=created.next_canister, reply=created.reply)


def uploaded(context: ManagementContext, state: CanisterState, metadata: Uploading, images: Images) -> SnapshotState:
    """The canister's next snapshot, of these bytes."""
    chunks = NO_CHUNKS
    for chunk in metadata.chunks:
        chunks, _ = added(chunks, chunk)
    module, heap, stable = images
    return SnapshotState(
        id=next_id(state),
        canister_id=state.id,
        label=checked_label(metadata.label),
        taken_at=context.subnet.time,
        canister_version=state.version,
        code=None,
        globals=b"",
        heap=heap,
        stable=stable,
        certified_data=metadata.certified_data,
        global_timer=metadata.global_timer,
        low_memory_hook=metadata.low_memory_hook,
        chunks=chunks,
        upload=Upload(module, metadata.module_size, metadata.globals),
        via_hooks=metadata.via_hooks,
        derived=metadata.derived,
    )


def admit(
    context: ManagementContext, canister_id: Principal, metadata: Uploading, replace_id: bytes | None = None
) -> tuple[CanisterState, tuple[SnapshotState, ...]]:
    """The canister and the snapshots that it keeps; a reject if the caller may not upload this to it."""
    state = context.controlled(canister_id)
    _check(metadata)
    return state, remaining(context, state, replace(PLATFORM, replace_id=replace_id))


def _check(metadata: Uploading) -> None:
    """The replica's checks of metadata, by its names (`rs/replicated_state`, `MetadataValidationError`).

    Whether the heap fits the module is checked when the snapshot is loaded (dfinity/ic#11118, August 2026); its bound
    here, that of stable memory, is ours: the memory must be made.
    """
    checks = {
        "WasmModuleEmpty": metadata.module_size == 0,
        "WasmModuleTooLarge": metadata.module_size > limits.MODULE_SIZE,
        "WasmMemoryNotPageAligned": metadata.heap_size % WASM_PAGE != 0,
        "WasmMemoryTooLarge": metadata.heap_size > limits.STABLE_MEMORY,
        "StableMemoryNotPageAligned": metadata.stable_size % WASM_PAGE != 0,
        "StableMemoryTooLarge": metadata.stable_size > limits.STABLE_MEMORY,
        "ExportedGlobalsTooLarge": len(metadata.globals) > limits.GLOBALS,
        "CertifiedDataTooLarge": len(metadata.certified_data) > limits.CERTIFIED_DATA,
    }
    for name, broken in checks.items():
        if broken:
            raise rejects.snapshot_metadata(name)

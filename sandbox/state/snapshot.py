"""A snapshot as a value: a canister's module, globals, memories and certified data at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sandbox.errors import StateCorrupt
from sandbox.memory import Readable
from sandbox.principal import Principal
from sandbox.state.module import WasmModule

Chunks = Mapping[bytes, bytes]
"""A Wasm chunk store: SHA-256 to content; never changed in place."""

NO_CHUNKS: Chunks = MappingProxyType({})
TAKEN = "taken_from_canister"
UPLOADED = "metadata_upload"


@dataclass(frozen=True, slots=True)
class Upload:
    """The module and globals of an uploaded snapshot: bytes that may change with every slice, and values that can be
    checked only against the complete module (interface specification, "upload_canister_snapshot_metadata").

    `globals`: the type's letter (`i l f d v`) and the value's bits, in the order of the specification.
    """

    module: Readable
    module_size: int
    globals: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Derived:
    """One step in the history of an edited snapshot: the id and the checksum of its parent, the time, and a description
    of the edits."""

    parent: bytes
    checksum: bytes
    at: int
    edits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that the canister had not finished when the snapshot was taken. `awaiting`: its own calls that had no
    answer yet; they get none after the snapshot is loaded."""

    method: str
    caller: Principal
    awaiting: int


@dataclass(frozen=True, slots=True)
class SnapshotState:
    """`heap` and `stable` are immutable: images, shared with the canister until one of them changes, or kept on disk.

    Exactly one of `code` and `upload` is not None: a snapshot was taken of a canister, or it was uploaded. If `damage`
    says that its files cannot be read, only the ids are valid.
    """

    id: bytes
    canister_id: Principal
    label: str | None
    taken_at: int
    canister_version: int
    code: WasmModule | None
    globals: bytes
    heap: Readable
    stable: Readable
    certified_data: bytes
    global_timer: int | None
    """None: not part of the upload; 0: inactive. Loading an uploaded snapshot sets it, loading a taken one does not."""
    low_memory_hook: str | None = None
    """The status of the low-memory hook, as `global_timer`; None too where an older version took the snapshot."""
    chunks: Chunks = field(default_factory=lambda: NO_CHUNKS)
    upload: Upload | None = None
    via_hooks: bool = False
    """Taken via the canister's own hooks: stable memory holds all data, heap and globals are empty."""
    derived: tuple[Derived, ...] = ()
    """Its edits, oldest first; empty if it was not edited."""
    open_calls: tuple[OpenCall, ...] = ()
    automatic: bool = False
    """Taken by a policy, which may delete it again."""
    damage: str | None = None

    def check_intact(self) -> None:
        """`StateCorrupt` if its files cannot be read."""
        if self.damage is not None:
            raise StateCorrupt(f"snapshot {self.id.hex()} is damaged: {self.damage}")

    @property
    def source(self) -> str:
        """`taken_from_canister` or `metadata_upload`."""
        return TAKEN if self.upload is None else UPLOADED

"""Editing of snapshots: the possible edits, and checks that the result is consistent. Ours; the platform has no such
method.

Editing makes a new snapshot of the same canister and never replaces its parent. The new one records its history
(`SnapshotState.derived`), which its checksum covers. Rejected are: a module that the platform rejects, globals or a
heap that do not fit the module, bytes outside of a memory.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sandbox import wasm
from sandbox.canister.module import CompiledModule, compile_module
from sandbox.errors import CallRejected
from sandbox.limits import CERTIFIED_DATA, STABLE_MEMORY, WASM32_MEMORY, WASM64_MEMORY, WASM_PAGE
from sandbox.management import rejects
from sandbox.management.code import prepared
from sandbox.management.load_parts import code_of
from sandbox.management.snapshot_rules import checked_label, intact, locate, next_id, owner_id, with_snapshot
from sandbox.management.transition import ManagementContext, Transition
from sandbox.memory import Image, Pool, Readable
from sandbox.pagestore.memory_trees import remember, tree
from sandbox.state import CanisterState, Derived, SnapshotState, Upload, WasmModule
from sandbox.store import copied
from sandbox.store.checksum import snapshot_checksum
from sandbox.wasm import SnapshotGlobal

Patches = tuple[tuple[int, bytes], ...]
"""Offsets and new bytes; later patches overwrite earlier ones."""
GlobalValues = tuple[tuple[int | str, int | float], ...]
"""Globals, by index or by name, and their values."""

_SHOWN: Final = 64
"""Bytes of a patch that the history repeats; of a larger patch it has size and SHA-256."""


@dataclass(frozen=True, slots=True)
class Edits:
    """Edits of a snapshot; None and () change nothing. Sizes in bytes; a memory is resized before it is patched."""

    module: bytes | None = None
    heap_size: int | None = None
    stable_size: int | None = None
    heap: Patches = ()
    stable: Patches = ()
    globals: GlobalValues = ()
    certified_data: bytes | None = None

    @classmethod
    def of(cls, **given: Any) -> Edits:
        """Return the edits from fields with patches and globals as mappings or as pairs."""
        for name in ("heap", "stable", "globals"):
            if name in given:
                given[name] = tuple(_pairs(given[name]))
        return cls(**given)

    def words(self) -> Iterator[str]:
        """Descriptions of the edits, for the history."""
        if self.module is not None:
            yield f"module {WasmModule.from_bytes(self.module).hash.hex()}"
        for part, size, patches in (("heap", self.heap_size, self.heap), ("stable", self.stable_size, self.stable)):
            if size is not None:
                yield f"resize {part} to {size} bytes"
            for offset, data in patches:
                content_text = data.hex() if len(data) <= _SHOWN else f"{len(data)} bytes, SHA-256 {_sha256(data)}"
                yield f"patch {part}:{offset:#x} {content_text}"
        for name, value in self.globals:
            yield f"global {name} = {value}"
        if self.certified_data is not None:
            yield f"certified data {self.certified_data.hex()}"


def _pairs(given: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> Iterable[tuple[Any, Any]]:
    return given.items() if isinstance(given, Mapping) else given


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def edit_snapshot(context: ManagementContext, snapshot_id: bytes, edits: Edits, label: str | None = None) -> Transition:
    """Make an edited snapshot of the same canister; the reply is the `SnapshotState`. For controllers."""
    parent, owner = locate(context, owner_id(snapshot_id), snapshot_id)
    state = context.controlled(owner.id)
    intact(parent)
    _check_room(context, state)
    words = (*edits.words(), *((f"label {label!r}",) if label is not None else ()))
    if not words:
        raise rejects.edit_refused(snapshot_id, "there is nothing to edit")
    edited = _edited(context, state, parent, edits)
    step = Derived(parent.id, snapshot_checksum(parent), context.subnet.time, words)
    snapshot = replace(
        edited,
        id=next_id(state),
        label=checked_label(label),
        taken_at=context.subnet.time,
        automatic=False,
        derived=(*parent.derived, step),
    )
    new = with_snapshot(state, state.snapshots, snapshot)
    return Transition(canister=new, reply=snapshot)


def _check_room(context: ManagementContext, state: CanisterState) -> None:
    most = context.subnet.max_snapshots
    if sum(not snapshot.automatic for snapshot in state.snapshots) >= most:
        raise rejects.too_many_snapshots(state.id, most)


def _edited(context: ManagementContext, state: CanisterState, parent: SnapshotState, edits: Edits) -> SnapshotState:
    module = prepared(state, code_of(parent) if edits.module is None else WasmModule.from_bytes(edits.module))
    fit = _Fit(parent, module)
    fit.check_kind(edits)
    fit.check_memories(edits)
    changed = fit.with_globals(edits.globals)
    pool = context.subnet.pool
    if edits.module is not None:
        changed = _with_module(pool, changed, module.code)
    if edits.certified_data is not None:
        changed = replace(changed, certified_data=edits.certified_data)
    return replace(
        changed,
        heap=_written(pool, parent.heap, edits.heap_size, edits.heap),
        stable=_written(pool, parent.stable, edits.stable_size, edits.stable),
    )


def _with_module(pool: Pool, snapshot: SnapshotState, code: WasmModule) -> SnapshotState:
    if snapshot.upload is None:
        return replace(snapshot, code=code)
    size = len(code.submitted)
    memory = pool.memory(-(-size // WASM_PAGE) * WASM_PAGE)
    memory.write(0, code.submitted)
    return replace(snapshot, upload=Upload(memory.image(), size, snapshot.upload.globals))


def _written(pool: Pool, content: Readable, size: int | None, patches: Patches) -> Readable:
    """The content, resized and patched, in a memory of its own; its tree costs the edited pages."""
    if size is None and not patches:
        return content
    known = tree(content)
    memory = copied(content, pool)
    before = memory.image()
    remember(before, known)
    if size is not None:
        memory.resize(size)
    for offset, data in patches:
        memory.write(offset, data)
    result: Image = memory.image()
    tree(result)
    return result


@dataclass(frozen=True, slots=True)
class _Fit:
    """Checks that an edited snapshot fits its new module."""

    parent: SnapshotState
    module: CompiledModule

    def refused(self, why: str) -> CallRejected:
        return rejects.edit_refused(self.parent.id, why)

    def check_kind(self, edits: Edits) -> None:
        """Check that this kind of snapshot has the edited parts, and the size of the certified data."""
        if self.parent.via_hooks and (edits.heap or edits.heap_size is not None or edits.globals):
            raise self.refused("it was taken via hooks and has neither heap nor globals")
        if edits.certified_data is not None and len(edits.certified_data) > CERTIFIED_DATA:
            raise self.refused(
                f"certified data of {len(edits.certified_data)} bytes, at most {CERTIFIED_DATA} are allowed"
            )

    def check_memories(self, edits: Edits) -> None:
        """Check the sizes of the memories, and that patches are inside."""
        heap, stable = self.parent.heap.size, self.parent.stable.size
        heap = heap if edits.heap_size is None else edits.heap_size
        stable = stable if edits.stable_size is None else edits.stable_size
        if not self.parent.via_hooks:
            self._check_size("the heap", heap, *self._heap_bounds())
        self._check_size("stable memory", stable, 0, STABLE_MEMORY)
        for name, size, patches in (("the heap", heap, edits.heap), ("stable memory", stable, edits.stable)):
            for offset, data in patches:
                if offset < 0 or offset + len(data) > size:
                    raise self.refused(f"{len(data)} bytes at {offset:#x} are not inside the {size} bytes of {name}")

    def _heap_bounds(self) -> tuple[int, int]:
        memory = self.module.facts.memory
        if memory is None:
            return 0, 0
        most = WASM64_MEMORY if memory.is64 else WASM32_MEMORY
        return memory.minimum * WASM_PAGE, most if memory.maximum is None else min(memory.maximum * WASM_PAGE, most)

    def _check_size(self, name: str, size: int, least: int, most: int) -> None:
        if size % WASM_PAGE:
            raise self.refused(f"{size} bytes of {name} are not whole pages of {WASM_PAGE} bytes")
        if not least <= size <= most:
            raise self.refused(f"{name} of {size} bytes, the module allows {least} to {most}")

    def with_globals(self, values: GlobalValues) -> SnapshotState:
        """The parent with new values of globals, whose types are checked."""
        parent, slots = self.parent, self.module.rewritten.snapshot_globals
        if parent.via_hooks:
            return parent
        self._check_types()
        changes = [(slot, self._bits(slot, value)) for name, value in values for slot in [self._slot(name)]]
        if parent.upload is not None:
            numbers = [bits for _, bits in parent.upload.globals]
            for slot, bits in changes:
                numbers[slots.index(slot)] = bits
            kinds = tuple(kind for kind, _ in parent.upload.globals)
            return replace(parent, upload=replace(parent.upload, globals=tuple(zip(kinds, numbers, strict=True))))
        saved = bytearray(parent.globals)
        for slot, bits in changes:
            assert slot.offset is not None
            saved[slot.offset : slot.offset + wasm.SLOT] = bits.to_bytes(wasm.SLOT, "little")
        return replace(parent, globals=bytes(saved))

    def _check_types(self) -> None:
        rewritten = self.module.rewritten
        if self.parent.upload is not None:
            have = [kind for kind, _ in self.parent.upload.globals]
            want = [slot.type for slot in rewritten.snapshot_globals]
        else:
            assert self.parent.code is not None
            old = compile_module(self.parent.code).rewritten
            have, want = [slot.type for slot in old.globals], [slot.type for slot in rewritten.globals]
        if have != want:
            raise self.refused(f"the module's globals are {_listed(want)}, those of the snapshot {_listed(have)}")

    def _slot(self, name: int | str) -> SnapshotGlobal:
        """The mutable global with this index or name."""
        facts = self.module.facts
        for slot in self.module.rewritten.snapshot_globals:
            if name in (slot.index, slot.export, facts.global_names.get(slot.index)):
                if not slot.mutable:
                    raise self.refused(f"global {name} is immutable: its value is part of the module")
                return slot
        if isinstance(name, int) and 0 <= name < len(facts.globals):
            raise self.refused(f"global {name} is immutable: its value is part of the module")
        raise self.refused(f"the module has no global {name}")

    def _bits(self, slot: SnapshotGlobal, value: int | float) -> int:
        kind, width = slot.type, 8 * wasm.SIZES[slot.type]
        if kind in "fd":
            try:
                return int.from_bytes(struct.pack("<f" if kind == "f" else "<d", value), "little")
            except OverflowError:
                pass
        elif isinstance(value, int) and -(1 << (width - 1)) <= value < 1 << width:
            return value % (1 << width)
        raise self.refused(f"global {slot.index} is an {wasm.TYPE_NAMES[kind]}, which {value} is not")


def _listed(kinds: list[str]) -> str:
    return f"[{' '.join(wasm.TYPE_NAMES[kind] for kind in kinds)}]"

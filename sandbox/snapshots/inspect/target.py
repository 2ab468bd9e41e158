"""Open a snapshot, a canister or a file for inspection: the one form of every kind of source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from sandbox import wasm
from sandbox.errors import InvalidModule
from sandbox.snapshots.content_id import content_id
from sandbox.snapshots.inspect.decode import Hints, decode
from sandbox.snapshots.inspect.globals import GlobalValue, globals_of, uploaded_globals
from sandbox.snapshots.inspect.model import Decoded
from sandbox.snapshots.inspect.motoko.tree import DecodeLimits
from sandbox.snapshots.inspect.source import Bytes, Pieces, Plain
from sandbox.snapshots.portable import Content
from sandbox.snapshots.portable.history import history_of
from sandbox.state import CanisterState, SnapshotState

PARTS = ("heap", "stable", "module")
GlobalsReader = Callable[[wasm.ModuleFacts | None], list[GlobalValue]]
"""A function from the module, None if there is none, to the globals."""


@dataclass(frozen=True)
class InspectionTarget:
    """A state to inspect. `module`: as submitted, perhaps gzip, empty if there is none; `fields`: its metadata."""

    heap: Bytes
    stable: Bytes
    module: Bytes
    fields: Mapping[str, object]
    _globals: GlobalsReader
    _source: SnapshotState | CanisterState | Content | None = None

    def part(self, name: str) -> Bytes:
        """One of `PARTS`."""
        return {"heap": self.heap, "stable": self.stable, "module": self.module}[name]

    @cached_property
    def facts(self) -> wasm.ModuleFacts | None:
        """The facts of the module; None if there is none, or if that of an upload is not complete."""
        if not self.module.size:
            return None
        try:
            return wasm.read_facts(wasm.decode_module(self.module.read(0, self.module.size)))
        except InvalidModule:
            return None

    @property
    def metadata(self) -> dict[str, bytes]:
        """The metadata sections of the module, public and private."""
        facts = self.facts
        return {} if facts is None else {**facts.private_metadata, **facts.public_metadata}

    @cached_property
    def content_id(self) -> str | None:
        """The content id (`sandbox.snapshots.content_id`); None of a stable memory alone."""
        return None if self._source is None else content_id(self._source)

    @property
    def globals(self) -> list[GlobalValue]:
        return self._globals(self.facts)

    def decode(self, keep: DecodeLimits | None = None) -> Decoded:
        """Decode the stable memory."""
        facts = self.facts
        enhanced = facts is not None and facts.uses_enhanced_persistence
        return decode(self.stable, Hints(self.metadata, enhanced, keep or DecodeLimits()))


def inspection_target(source: SnapshotState | CanisterState | Content) -> InspectionTarget:
    """Open a snapshot of a sandbox, the present state of a canister, or a snapshot in a file or a directory; the source
    must stay open meanwhile."""
    match source:
        case CanisterState():
            return _canister(source)
        case Content():
            return _content(source)
    return _snapshot(source)


def opened_stable(stable: Bytes, module: bytes = b"") -> InspectionTarget:
    """Open a stable memory alone, with the module that wrote it if known."""
    return InspectionTarget(Plain(b""), stable, Plain(module), {}, lambda _: [])


def _content(source: Content) -> InspectionTarget:
    about = source.fields
    fields = {
        "file": source.where,
        "id": about.id,
        "canister_id": about.canister_id,
        "label": about.label,
        "taken_on": about.taken_at,
        "canister_version": about.canister_version,
        "source": about.source,
        "via_hooks": about.via_hooks,
        "derived": [dict(step) for step in about.history],
        "certified_data": about.certified_data,
        "global_timer": about.global_timer,
        "low_memory_hook": about.low_memory_hook,
        "chunks": sorted(source.chunks),
    }
    return InspectionTarget(
        source.heap, source.stable, source.module, fields, lambda facts: uploaded_globals(facts, about.globals), source
    )


def _snapshot(source: SnapshotState) -> InspectionTarget:
    fields = {
        "id": source.id,
        "canister_id": source.canister_id,
        "label": source.label,
        "taken_on": source.taken_at,
        "canister_version": source.canister_version,
        "source": source.source,
        "via_hooks": source.via_hooks,
        "derived": [dict(step) for step in history_of(source.derived)],
        "certified_data": source.certified_data,
        "global_timer": source.global_timer,
        "low_memory_hook": source.low_memory_hook,
        "chunks": sorted(source.chunks),
    }
    upload = source.upload
    if upload is not None:
        module = Pieces(upload.module, [(0, upload.module_size)])
        return InspectionTarget(
            source.heap, source.stable, module, fields, lambda facts: uploaded_globals(facts, upload.globals), source
        )
    code = b"" if source.code is None else source.code.submitted
    values: GlobalsReader = (lambda _: []) if source.via_hooks else _saved(source.globals)
    return InspectionTarget(source.heap, source.stable, Plain(code), fields, values, source)


def _canister(source: CanisterState) -> InspectionTarget:
    fields = {
        "canister_id": source.id,
        "canister_version": source.version,
        "status": source.status.name.lower(),
        "certified_data": source.certified_data,
        "global_timer": source.global_timer,
        "low_memory_hook": source.low_memory_hook,
        "chunks": sorted(source.chunks),
    }
    code = b"" if source.code is None else source.code.submitted
    heap, stable = source.heap.image(), source.stable.image()
    return InspectionTarget(heap, stable, Plain(code), fields, _saved(source.globals), source)


def _saved(values: bytes) -> GlobalsReader:
    return lambda facts: [] if facts is None else globals_of(facts, values)

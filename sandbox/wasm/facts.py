"""The facts of a module that the platform and the engine need, read once.

Facts hold ranges into the module instead of copies of it. They are read by `sandbox.wasm.parse.read_facts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from sandbox.wasm.code import uses_data_drop
from sandbox.wasm.names import function_names, global_names
from sandbox.wasm.reader import Section
from sandbox.wasm.types import (
    CustomSection,
    DataSegment,
    ElementSegment,
    Export,
    FuncType,
    Global,
    Import,
    Kind,
    Memory,
    Table,
)

METHOD_KINDS = ("update", "query", "composite_query")
ENTRY_POINTS = (
    "canister_init",
    "canister_pre_upgrade",
    "canister_post_upgrade",
    "canister_inspect_message",
    "canister_heartbeat",
    "canister_global_timer",
    "canister_on_low_wasm_memory",
)
"""System entry points (interface specification, "Entry points"), in its order."""

PUBLIC_PREFIX = "icp:public "
PRIVATE_PREFIX = "icp:private "


@dataclass(frozen=True)
class ModuleFacts:
    """Facts about one decoded module. Lists follow the index spaces: imports first, then definitions."""

    wasm: bytes = field(repr=False)
    sections: tuple[Section, ...] = field(repr=False)
    types: tuple[FuncType, ...] = field(repr=False)
    imports: tuple[Import, ...] = field(repr=False)
    functions: tuple[int, ...] = field(repr=False)
    """Type indices, imported functions first."""
    tables: tuple[Table, ...]
    memories: tuple[Memory, ...]
    globals: tuple[Global, ...] = field(repr=False)
    exports: tuple[Export, ...] = field(repr=False)
    start: int | None
    elements: tuple[ElementSegment, ...] = field(repr=False)
    data_count: int | None
    bodies: tuple[tuple[int, int], ...] = field(repr=False)
    """Ranges of the function bodies, locals included, their size prefix not."""
    data: tuple[DataSegment, ...] = field(repr=False)
    customs: tuple[CustomSection, ...] = field(repr=False)

    @property
    def memory(self) -> Memory | None:
        """Memory 0, or None."""
        return self.memories[0] if self.memories else None

    @property
    def is64(self) -> bool:
        """True if memory 0 is 64-bit."""
        return bool(self.memories) and self.memories[0].is64

    @property
    def pointer(self) -> str:
        """The letter of type `I`: `l` with a 64-bit memory, else `i` (SPECIFICATION 2.2)."""
        return "l" if self.is64 else "i"

    @cached_property
    def imported_functions(self) -> int:
        """The number of imported functions: the index of the first defined one."""
        return sum(entry.kind is Kind.FUNCTION for entry in self.imports)

    @property
    def defined_functions(self) -> int:
        """The number of functions that the module defines."""
        return len(self.functions) - self.imported_functions

    def function_type(self, index: int) -> FuncType | None:
        """Return the type of function `index`, or None if the module has no such function."""
        if index >= len(self.functions):
            return None
        return self.types[self.functions[index]]

    @cached_property
    def methods(self) -> dict[str, str]:
        """Exported methods, name → `update`, `query` or `composite_query`, in export order."""
        methods: dict[str, str] = {}
        for kind, name in method_exports(self.exports):
            methods.setdefault(name, kind)
        return methods

    @cached_property
    def entry_points(self) -> frozenset[str]:
        """The system entry points that the module exports as functions."""
        return frozenset(e.name for e in self.exports if e.kind is Kind.FUNCTION and e.name in ENTRY_POINTS)

    @cached_property
    def custom_sections(self) -> dict[str, list[bytes]]:
        """Contents of all custom sections by name, in file order."""
        contents: dict[str, list[bytes]] = {}
        for custom in self.customs:
            contents.setdefault(custom.name, []).append(self.wasm[custom.start : custom.end])
        return contents

    @cached_property
    def public_metadata(self) -> dict[str, bytes]:
        """Contents of the `icp:public NAME` sections by NAME (SPECIFICATION 2.5)."""
        return self._metadata(PUBLIC_PREFIX)

    @cached_property
    def private_metadata(self) -> dict[str, bytes]:
        """Contents of the `icp:private NAME` sections by NAME (SPECIFICATION 2.5)."""
        return self._metadata(PRIVATE_PREFIX)

    def _metadata(self, prefix: str) -> dict[str, bytes]:
        return {
            custom.name.removeprefix(prefix): self.wasm[custom.start : custom.end]
            for custom in self.customs
            if custom.name.startswith(prefix)
        }

    @property
    def uses_enhanced_persistence(self) -> bool:
        """True for Motoko's enhanced orthogonal persistence; only the presence of the section counts (SPECIFICATION
        5.3)."""
        return any(
            "enhanced-orthogonal-persistence" in names for names in (self.private_metadata, self.public_metadata)
        )

    @cached_property
    def function_names(self) -> dict[int, str]:
        """Function index → name out of the name section; empty where there is none or it is malformed."""
        for custom in self.customs:
            if custom.name == "name":
                return function_names(self.wasm, custom.start, custom.end)
        return {}

    @cached_property
    def global_names(self) -> dict[int, str]:
        """Global index → name: those of the name section, else of exports."""
        names = {export.index: export.name for export in self.exports if export.kind is Kind.GLOBAL}
        for custom in self.customs:
            if custom.name == "name":
                names |= global_names(self.wasm, custom.start, custom.end)
        return names

    def function_name(self, index: int) -> str | None:
        """Return the name of function `index` for a backtrace: its own, else one of its exports or its import."""
        return self.function_names.get(index) or self._other_names.get(index)

    @cached_property
    def _other_names(self) -> dict[int, str]:
        names: dict[int, str] = {}
        imported = (entry for entry in self.imports if entry.kind is Kind.FUNCTION)
        for index, entry in enumerate(imported):
            names[index] = f"{entry.module}.{entry.name}"
        for export in self.exports:
            if export.kind is Kind.FUNCTION:
                names.setdefault(export.index, export.name)
        return names

    @cached_property
    def uses_data_drop(self) -> bool:
        """True if a message can change the data that a later `memory.init` reads in the same instance.

        Then an instance serves one message only: on the platform every message starts with no segment dropped. Dropping
        active data segments changes nothing (instantiation dropped them), and dropping element segments cannot be seen
        because `table.init` is refused; so only `data.drop` in a module with passive data segments counts.
        """
        return any(segment.offset is None for segment in self.data) and uses_data_drop(self.wasm, self.bodies)


def method_exports(exports: tuple[Export, ...]) -> Iterator[tuple[str, str]]:
    """Yield (kind, name) of every exported method, repetitions included, in export order."""
    for export in exports:
        if export.kind is not Kind.FUNCTION or not export.name.startswith("canister_"):
            continue
        kind, space, name = export.name.removeprefix("canister_").partition(" ")
        if space and kind in METHOD_KINDS:
            yield kind, name

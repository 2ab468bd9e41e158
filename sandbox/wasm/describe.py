"""The facts of a module as plain data, for JSON and the command line."""

from __future__ import annotations

import hashlib

from sandbox.wasm.facts import METHOD_KINDS, ModuleFacts, method_exports
from sandbox.wasm.types import TYPE_NAMES, Kind, Memory, Table


def describe(facts: ModuleFacts) -> dict[str, object]:
    """Return the facts as dicts, lists, texts, numbers, booleans and None; keys in reading order."""
    methods: dict[str, list[str]] = {kind: [] for kind in METHOD_KINDS}
    for kind, name in method_exports(facts.exports):
        methods[kind].append(name)
    return {
        "size": len(facts.wasm),
        "sha256": hashlib.sha256(facts.wasm).hexdigest(),
        "pointer": TYPE_NAMES[facts.pointer],
        "memory": _limits(facts.memory) if facts.memory else None,
        "tables": [_limits(table) | {"type": TYPE_NAMES[table.type]} for table in facts.tables],
        "imports": [_import(entry.module, entry.name, entry.kind, str(entry.type or "")) for entry in facts.imports],
        "functions": facts.defined_functions,
        "code_bytes": sum(end - start for start, end in facts.bodies),
        "globals": {
            "mutable": sum(g.mutable for g in facts.globals),
            "immutable": sum(not g.mutable for g in facts.globals),
        },
        "start": None if facts.start is None else facts.function_name(facts.start) or f"function {facts.start}",
        "data": {
            "active": sum(segment.offset is not None for segment in facts.data),
            "passive": sum(segment.offset is None for segment in facts.data),
            "bytes": sum(segment.end - segment.start for segment in facts.data),
        },
        "element_segments": len(facts.elements),
        "methods": methods,
        "entry_points": sorted(facts.entry_points),
        "other_exports": [
            {"name": e.name, "kind": str(e.kind)} for e in facts.exports if not e.name.startswith("canister_")
        ],
        "metadata": {
            "public": {name: len(content) for name, content in facts.public_metadata.items()},
            "private": {name: len(content) for name, content in facts.private_metadata.items()},
        },
        "custom_sections": {name: sum(map(len, found)) for name, found in facts.custom_sections.items()},
        "function_names": len(facts.function_names),
        "enhanced_orthogonal_persistence": facts.uses_enhanced_persistence,
    }


def _limits(limits: Memory | Table) -> dict[str, object]:
    return {"minimum": limits.minimum, "maximum": limits.maximum, "is64": limits.is64}


def _import(module: str, name: str, kind: Kind, type_: str) -> dict[str, str]:
    return {"module": module, "name": name, "kind": str(kind), "type": type_}

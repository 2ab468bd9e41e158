"""The platform's rules for modules, beyond those of WebAssembly itself (SPECIFICATION 2.2 to 2.6).

Order and texts are those of `validate_wasm_binary` in dfinity/ic `rs/embedders/src/wasm_utils/validation.rs` and of
`WasmValidationError` in `rs/types/wasm_types/src/errors.rs` (2024), with the forms that the platform's documentation
gives under "Execution errors" where the two differ. Behind a reason the replica puts ".\\n" and advice; the caller may.

Stricter than the replica, which lets such modules in and can never instantiate them: imported memories and tables, and
tables beyond what its store allows (`MAX_STORE_TABLES`, `MAX_STORE_TABLE_ELEMENTS` in `wasmtime_embedder.rs`). Exports
that begin with `canister_sandbox ` are refused because the rewrite uses these names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sandbox import limits
from sandbox.errors import InvalidModule
from sandbox.wasm.code import check_bodies
from sandbox.wasm.facts import ENTRY_POINTS, METHOD_KINDS, PRIVATE_PREFIX, PUBLIC_PREFIX, ModuleFacts, method_exports
from sandbox.wasm.names import function_names
from sandbox.wasm.reader import Id, malformed
from sandbox.wasm.rewrite import RESERVED_PREFIX
from sandbox.wasm.types import NULLARY, NUMERIC, Export, FuncType, Import, Kind, as_replica_prints

API_MODULE = "ic0"
RESERVED_EXPORTS = frozenset(
    {
        "canister counter_instructions",
        "canister_start",
        "canister counter_dirty_pages",
        "canister counter_accessed_pages",
        "stable_memory",
        "stable_bytemap_memory",
    }
)
"""`RESERVED_SYMBOLS` of the replica."""

Signatures = Mapping[str, tuple[str, str]]
"""Name → (parameters, results) in letters: `I` the pointer type, `i` i32, `l` i64."""

_CALLED = "`canister_update <name>`, `canister_query <name>`, or `canister_composite_query <name>`"


def validate(facts: ModuleFacts, allowed_imports: Signatures, only_32_bit: Collection[str] = ()) -> None:
    """Check every rule; InvalidModule has the replica's reason.

    `allowed_imports` are the functions of module `ic0`; those in `only_32_bit` do not exist for modules with a 64-bit
    memory. That bodies, indices and constant expressions are well typed is for the engine to check, before or after.
    """
    _check_code_size(facts)
    _check_memories(facts)
    _check_imports(facts, allowed_imports, only_32_bit)
    _check_exports(facts)
    _check_data(facts)
    _check_globals(facts)
    _check_functions(facts)
    _check_memory_size(facts)
    _check_tables(facts)
    check_bodies(facts.wasm, facts.bodies)
    _check_names(facts)
    _check_custom_sections(facts)


def _check_code_size(facts: ModuleFacts) -> None:
    size = next((s.end - s.start for s in facts.sections if s.id is Id.CODE), 0)
    if size > limits.CODE_SECTION_SIZE:
        raise InvalidModule(
            f"Wasm module code section size of {size} exceeds the maximum allowed size of {limits.CODE_SECTION_SIZE}"
        )


def _check_memories(facts: ModuleFacts) -> None:
    if len(facts.memories) > 1:
        raise malformed("multiple memories", next((s.start for s in facts.sections if s.id is Id.MEMORY), 0))


def _check_imports(facts: ModuleFacts, allowed: Signatures, only_32_bit: Collection[str]) -> None:
    for entry in facts.imports:
        match entry.kind:
            case Kind.FUNCTION:
                missing = facts.is64 and entry.name in only_32_bit
                signature = None if missing else allowed.get(entry.name)
                _check_imported_function(entry, signature, facts.pointer)
            case Kind.MEMORY if entry.name == "memory" and entry.module != "env":
                raise _bad_import("Only memory imported from env.memory is allowed.")
            case Kind.TABLE if entry.name == "table" and entry.module != "env":
                raise _bad_import("Only tables imported from env.table are allowed.")
            case Kind.MEMORY:
                raise _bad_import("Importing memories is not allowed.")
            case _:
                raise _bad_import(f"Importing {entry.kind}s is not allowed.")


def _check_imported_function(entry: Import, signature: tuple[str, str] | None, pointer: str) -> None:
    if signature is None:
        raise _bad_import(
            f"Module imports function '{entry.name}' from '{entry.module}' that is not exported by the runtime."
        )
    if entry.module != API_MODULE:
        raise _bad_import(
            f'Module imports function "{entry.name}" from "{entry.module}", '
            f'expected to be imported from one of ["{API_MODULE}"] instead.'
        )
    params, results = (side.replace("I", pointer) for side in signature)
    _check_signature(entry.name, entry.type, FuncType(params, results))


def _check_signature(name: str, actual: FuncType | None, expected: FuncType) -> None:
    if actual is None or actual == expected:
        return
    what, want, got = "input params", expected.params, actual.params
    if want == got:
        what, want, got = "return type", expected.results, actual.results
    raise InvalidModule(
        f"Wasm module has an invalid function signature. Expected {what} {as_replica_prints(want)} for '{name}', "
        f"got {as_replica_prints(got)}."
    )


def _check_exports(facts: ModuleFacts) -> None:
    seen: set[str] = set()
    for export in facts.exports:
        if export.name in RESERVED_EXPORTS or export.name.startswith(RESERVED_PREFIX):
            raise _bad_export(f"Exporting reserved symbol {export.name} not allowed.")
        if export.kind is Kind.FUNCTION and export.name.startswith("canister_"):
            _check_exported_function(facts, export, seen)
    names = [name for _, name in method_exports(facts.exports)]
    if len(names) > limits.EXPORTED_METHODS:
        raise _bad_export(f"The number of exported functions called {_CALLED} exceeds {limits.EXPORTED_METHODS}")
    if sum(len(name.encode()) for name in names) > limits.EXPORTED_METHOD_NAMES_SIZE:
        raise _bad_export(
            f"The sum of `<name>` lengths in exported functions called {_CALLED} exceeds "
            f"{limits.EXPORTED_METHOD_NAMES_SIZE}"
        )


def _check_exported_function(facts: ModuleFacts, export: Export, seen: set[str]) -> None:
    kind, space, method = export.name.removeprefix("canister_").partition(" ")
    if space and kind in METHOD_KINDS:
        if method in seen:
            raise _bad_export(
                f"Duplicate function '{method}' exported multiple times with different call types: "
                "update, query, or composite_query."
            )
        seen.add(method)
    elif export.name not in ENTRY_POINTS:
        raise _bad_export(f"Exporting reserved function '{export.name}' with \"canister_\" prefix")
    _check_signature(export.name, facts.function_type(export.index), NULLARY)


def _check_data(facts: ModuleFacts) -> None:
    bits, constant = (64, "I64Const") if facts.is64 else (32, "I32Const")
    for segment in facts.data:
        offset = segment.offset
        if offset is not None and not (offset.plain and offset.instruction.startswith(constant)):
            raise InvalidModule(
                "Wasm module has an invalid data section. Invalid offset expression in data segment for "
                f"{bits}bit memory: {offset.instruction}"
            )


def _check_globals(facts: ModuleFacts) -> None:
    if len(facts.globals) > limits.GLOBALS:
        raise InvalidModule(
            f"Wasm module defined {len(facts.globals)} globals which exceeds the maximum number allowed "
            f"{limits.GLOBALS}"
        )
    for found in facts.globals:
        if found.type not in NUMERIC:
            raise InvalidModule(
                "Wasm module has an invalid global section. Unsupported global type: "
                f"{as_replica_prints(found.type)[1:-1]}"
            )


def _check_functions(facts: ModuleFacts) -> None:
    if facts.defined_functions > limits.DEFINED_FUNCTIONS:
        raise InvalidModule(
            f"Wasm module defined {facts.defined_functions} functions, which exceeds the maximum number allowed "
            f"{limits.DEFINED_FUNCTIONS}"
        )


def _check_memory_size(facts: ModuleFacts) -> None:
    """Check the size of a 64-bit memory, with a text that is not the replica's. The 32-bit bound is WebAssembly's."""
    if facts.memory is None or not facts.memory.is64:
        return
    allowed = limits.WASM64_MEMORY // limits.WASM_PAGE
    for declared in (facts.memory.minimum, facts.memory.maximum or 0):
        if declared > allowed:
            raise InvalidModule(
                f"Wasm module declares a 64-bit memory of {declared} pages which exceeds the maximum allowed size of "
                f"{allowed} pages"
            )


def _check_tables(facts: ModuleFacts) -> None:
    """Check with texts that are not the replica's, which fails only when it instantiates such a module."""
    if len(facts.tables) > limits.TABLES:
        raise InvalidModule(
            f"Wasm module defined {len(facts.tables)} tables which exceeds the maximum number allowed {limits.TABLES}"
        )
    for table in facts.tables:
        if table.minimum > limits.TABLE_ELEMENTS:
            raise InvalidModule(
                f"Wasm module defined a table of {table.minimum} elements which exceeds the maximum number allowed "
                f"{limits.TABLE_ELEMENTS}"
            )


def _check_names(facts: ModuleFacts) -> None:
    for custom in facts.customs:
        if custom.name != "name" or custom.end - custom.start <= limits.FUNCTION_NAME_SIZE:
            continue
        for index, name in function_names(facts.wasm, custom.start, custom.end).items():
            if (size := len(name.encode())) > limits.FUNCTION_NAME_SIZE:
                raise InvalidModule(
                    f"Wasm module contains a function at index {index} with name '{name[:100]}...' of size {size} "
                    f"bytes that exceeds the maximum allowed size of {limits.FUNCTION_NAME_SIZE} bytes"
                )


def _check_custom_sections(facts: ModuleFacts) -> None:
    seen: set[str] = set()
    total = 0
    for custom in facts.customs:
        if not custom.name.startswith("icp:"):
            continue
        name = _metadata_name(custom.name)
        if name in seen:
            raise _bad_custom(f"Invalid custom section: name {name} already exists")
        seen.add(name)
        total += custom.end - custom.start + len(name.encode())
        if total > limits.CUSTOM_SECTIONS_SIZE:
            raise _bad_custom(
                "Invalid custom sections: total size of the custom sections exceeds the maximum allowed: "
                f"size {total} bytes, allowed {limits.CUSTOM_SECTIONS_SIZE} bytes"
            )
        if len(seen) > limits.CUSTOM_SECTIONS:
            raise InvalidModule(
                f"Wasm module defined {len(seen)} custom sections which exceeds the maximum number allowed "
                f"{limits.CUSTOM_SECTIONS}"
            )


def _metadata_name(section_name: str) -> str:
    for prefix in (PUBLIC_PREFIX, PRIVATE_PREFIX):
        if section_name.startswith(prefix):
            return section_name.removeprefix(prefix)
        if section_name == prefix.rstrip():
            raise _bad_custom("'icp:' section names must have a space after the public/private scope")
    raise _bad_custom(f"Invalid custom section: Custom section '{section_name}' has no public/private scope defined.")


def _bad_import(reason: str) -> InvalidModule:
    return InvalidModule(f"Wasm module has an invalid import section. {reason}")


def _bad_export(reason: str) -> InvalidModule:
    return InvalidModule(f"Wasm module has an invalid export section. {reason}")


def _bad_custom(reason: str) -> InvalidModule:
    return InvalidModule(f"Wasm module has an invalid custom section. {reason}")

"""Wasm modules as bytes: decoding, facts, the platform's rules, and the rewrite. Knows no engine.

    wasm = decode_module(submitted)          raw or gzip
    facts = read_facts(wasm)
    validate(facts, allowed_imports, only_32_bit)
    rewritten = rewrite(facts)               its imports and exports
    code, size = rewritten_code(facts)

All raise `InvalidModule`, nothing else, whatever the bytes are.
"""

from sandbox.wasm.control import GLOBALS, SLOT, STOPPED, Cell
from sandbox.wasm.decode import decode_module
from sandbox.wasm.describe import describe
from sandbox.wasm.facts import ENTRY_POINTS, METHOD_KINDS, ModuleFacts
from sandbox.wasm.growth import most_pages
from sandbox.wasm.parse import read_facts
from sandbox.wasm.rewrite import (
    CONTROL,
    HEAP,
    IMPORT_MODULE,
    LOAD_GLOBALS,
    REWRITE,
    SAVE_GLOBALS,
    SIZES,
    START,
    TABLE,
    ActiveData,
    GlobalSlot,
    Rewritten,
    SnapshotGlobal,
    rewrite,
    rewritten_code,
)
from sandbox.wasm.types import TYPE_NAMES, Export, FuncType, Global, Import, Kind, Memory
from sandbox.wasm.types import Table as TableType
from sandbox.wasm.validation import validate
from sandbox.wasm.writer import add_metadata, strip_custom

__all__ = [
    "CONTROL",
    "ENTRY_POINTS",
    "GLOBALS",
    "HEAP",
    "IMPORT_MODULE",
    "LOAD_GLOBALS",
    "METHOD_KINDS",
    "REWRITE",
    "SAVE_GLOBALS",
    "SIZES",
    "SLOT",
    "START",
    "STOPPED",
    "TABLE",
    "TYPE_NAMES",
    "ActiveData",
    "Cell",
    "Export",
    "FuncType",
    "Global",
    "GlobalSlot",
    "Import",
    "Kind",
    "Memory",
    "ModuleFacts",
    "Rewritten",
    "SnapshotGlobal",
    "TableType",
    "add_metadata",
    "decode_module",
    "describe",
    "most_pages",
    "read_facts",
    "rewrite",
    "rewritten_code",
    "strip_custom",
    "validate",
]

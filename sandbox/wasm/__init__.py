"""Wasm modules as bytes: decoding, facts, the platform's rules, and the rewrite. Knows no engine.

    wasm = decode_module(submitted)          raw or gzip
    facts = read_facts(wasm)
    validate(facts, allowed_imports, only_32_bit)
    rewritten = rewrite(facts)

All raise `InvalidModule`, nothing else, whatever the bytes are.
"""

from sandbox.wasm.decode import decode_module
from sandbox.wasm.describe import describe
from sandbox.wasm.facts import ENTRY_POINTS, METHOD_KINDS, ModuleFacts
from sandbox.wasm.parse import read_facts
from sandbox.wasm.rewrite import (
    HEAP,
    IMPORT_MODULE,
    LOAD_GLOBALS,
    SAVE_GLOBALS,
    SCRATCH,
    SIZES,
    SLOT,
    START,
    TABLE,
    ActiveData,
    GlobalSlot,
    Rewritten,
    SnapshotGlobal,
    rewrite,
)
from sandbox.wasm.types import TYPE_NAMES, Export, FuncType, Global, Import, Kind, Memory
from sandbox.wasm.types import Table as TableType
from sandbox.wasm.validation import validate
from sandbox.wasm.writer import add_metadata, strip_custom

__all__ = [
    "ENTRY_POINTS",
    "HEAP",
    "IMPORT_MODULE",
    "LOAD_GLOBALS",
    "METHOD_KINDS",
    "SAVE_GLOBALS",
    "SCRATCH",
    "SIZES",
    "SLOT",
    "START",
    "TABLE",
    "TYPE_NAMES",
    "ActiveData",
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
    "read_facts",
    "rewrite",
    "strip_custom",
    "validate",
]

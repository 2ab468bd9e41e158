"""Compare two states of a canister: snapshots, files, the present.

- `memories`: pages that differ, by the images of one memory or by hash trees, and bytes on demand
- `modules`: imports, exports, metadata and interface methods that differ
- `structures`: entries of the data structures in stable memory, by the decoders of `inspect`
- `stable_types`: stable signatures of two versions of a Motoko program, by the rules of the compiler
  (`stable_relation`), and `stable_runtime`, by those of its runtime
- `difference`: all of it as one record
- `picture`: the pages as a map
"""

from sandbox.snapshots.diff.difference import Diff, FieldDiff, GlobalDiff, compare
from sandbox.snapshots.diff.memories import ByteChange, MemoryDiff, compare_memories
from sandbox.snapshots.diff.modules import ModuleDiff
from sandbox.snapshots.diff.stable_runtime import RuntimeCheck, predict_runtime_check
from sandbox.snapshots.diff.stable_types import StableTypesDiff, TypeChange, compare_stable_types
from sandbox.snapshots.diff.structures import EntryDiff, StructureDiff

__all__ = [
    "ByteChange",
    "Diff",
    "EntryDiff",
    "FieldDiff",
    "GlobalDiff",
    "MemoryDiff",
    "ModuleDiff",
    "RuntimeCheck",
    "StableTypesDiff",
    "StructureDiff",
    "TypeChange",
    "compare",
    "compare_memories",
    "compare_stable_types",
    "predict_runtime_check",
]

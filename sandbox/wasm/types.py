"""The records in the facts of a module.

Value types are letters everywhere: `i` i32, `l` i64, `f` f32, `d` f64, `v` v128, `r` funcref, `x` externref.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

VALUE_TYPES = {0x7F: "i", 0x7E: "l", 0x7D: "f", 0x7C: "d", 0x7B: "v", 0x70: "r", 0x6F: "x"}
TYPE_NAMES = {"i": "i32", "l": "i64", "f": "f32", "d": "f64", "v": "v128", "r": "funcref", "x": "externref"}
NUMERIC = frozenset("ilfdv")
"""Types whose values are plain bits: the ones that a global of a canister may have (SPECIFICATION 2.2)."""


def as_replica_prints(letters: str) -> str:
    """Return a list of value types as the replica prints it in its errors: `[I32, I64]`."""
    return "[" + ", ".join(f"Ref({TYPE_NAMES[t]})" if t in "rx" else TYPE_NAMES[t].upper() for t in letters) + "]"


class Kind(StrEnum):
    """The kind of an import or an export."""

    FUNCTION = "function"
    TABLE = "table"
    MEMORY = "memory"
    GLOBAL = "global"
    TAG = "tag"


KINDS = (Kind.FUNCTION, Kind.TABLE, Kind.MEMORY, Kind.GLOBAL, Kind.TAG)


@dataclass(frozen=True, slots=True)
class FuncType:
    """Parameters and results, a letter each."""

    params: str
    results: str

    def __str__(self) -> str:
        def side(letters: str) -> str:
            return "(" + ", ".join(TYPE_NAMES[letter] for letter in letters) + ")"

        return f"{side(self.params)} -> {side(self.results)}"


NULLARY = FuncType("", "")


@dataclass(frozen=True, slots=True)
class Memory:
    """Limits in pages of 64 KiB."""

    minimum: int
    maximum: int | None
    is64: bool
    imported: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Limits in elements; `type` is a letter; `is64`: indices are i64."""

    type: str
    minimum: int
    maximum: int | None
    is64: bool
    imported: bool = False


@dataclass(frozen=True, slots=True)
class InitExpr:
    """A constant expression.

    `instruction` is its first instruction as the replica's parser prints it, `plain` says that it is the only one, and
    `bits` is its value as an unsigned number of the type's width where it is plain and numeric.
    """

    instruction: str
    plain: bool
    bits: int | None


@dataclass(frozen=True, slots=True)
class Global:
    """A global; `value` is its initial value as unsigned bits where the module states it as a plain constant."""

    type: str
    mutable: bool
    value: int | None = None
    imported: bool = False


@dataclass(frozen=True, slots=True)
class Import:
    """An import. `type` is set for functions; the facts list other kinds."""

    module: str
    name: str
    kind: Kind
    type: FuncType | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """An export; `index` counts in the index space of its kind, imports first."""

    name: str
    kind: Kind
    index: int


@dataclass(frozen=True, slots=True)
class DataSegment:
    """Bytes `start:end` of the module. `offset` is None exactly for passive segments."""

    memory: int
    offset: InitExpr | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ElementSegment:
    """References for a table. `mode`: `active`, `passive` or `declarative`; `offset` is set if active."""

    mode: str
    table: int
    offset: InitExpr | None
    type: str
    count: int


@dataclass(frozen=True, slots=True)
class CustomSection:
    """A custom section, its content as a range of the module's bytes."""

    name: str
    start: int
    end: int

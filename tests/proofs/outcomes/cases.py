"""The table: what really becomes of each change between two versions of a canister with stable structures.

The modules are `fixtures/src/outcomes_rs`; ids say the kind of change: 1 sizes of keys and values, 2 one memory id for
two structures, 3 exchanged memory ids, 4 buckets, 5 `new` instead of `init`, 6 elements of a list, 7 the cell, 8 writes
behind the structures, 9 fields of Candid values, 12 versions of the library. (10 and 11 are locks and timers:
`tests/real/test_rust_service.py`.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import fixture
from tests.proofs.outcomes.observe import HEAP, STRUCTURES, Outcome, Subject, filled

PAGE, BUCKET = 65_536, 128 * 65_536
A = PAGE + BUCKET
"""Where in stable memory map a of version 1 begins: it is the second structure that `fill` touches."""


@dataclass(frozen=True)
class Case:
    """`finding`: by which the proof of the upgrade knows it, "" if there is nothing to find. `says`: a part of what a
    refusal after the upgrade says. `arg`: of post_upgrade. `between`: a version that the old one was upgraded to and
    that wrote, before the new one. `quick`: every run of the tests takes it."""

    id: str
    old: str
    new: str
    outcome: Outcome
    finding: str = ""
    says: str = ""
    arg: Any = None
    between: str | None = None
    quick: bool = False

    def start(self) -> Subject:
        """A canister in the state from which the upgrade begins."""
        subject = filled(self.module(self.old), HEAP if "heap" in self.old else STRUCTURES)
        if self.between is not None:
            subject.canister.upgrade(fixture(self.module(self.between)))
            for number in range(50, 70):
                later = {"name": "later", "age": 1, "email": None}
                subject.canister.call("put_person", f"person{number}", later)
        return subject

    @staticmethod
    def module(version: str) -> str:
        return f"outcomes_{version}"


def raw(id: str, at: int, data: bytes, outcome: Outcome, finding: str, says: str = "") -> Case:
    """The new version writes these bytes into stable memory while it starts, after it opened every structure."""
    return Case(id, "v1", "raw", outcome, finding, says, {"at": at, "bytes": data})


_REFUSED, _DEAD, _DEAD_WRITE = Outcome.REFUSED, Outcome.DEAD_AT_FIRST_USE, Outcome.DEAD_AT_FIRST_WRITE
_LOST, _LOST_NEXT, _KEPT = Outcome.LOST_AT_FIRST_TOUCH, Outcome.LOST_AT_SECOND_UPGRADE, Outcome.KEPT
_WRONG, _WRONG_WRITE = Outcome.WRONG_ANSWERS, Outcome.WRONG_AFTER_A_WRITE
_NO_FIELD = "Subtyping error: text"

CASES = (
    Case("1a longer values", "v1", "value_200", _KEPT),
    Case(
        "1b shorter values",
        "v1",
        "value_40",
        _DEAD_WRITE,
        "write-fails",
        "length <= 40 bytes, but found 99 bytes",
        quick=True,
    ),
    Case("1c unbounded values", "v1", "value_unbounded", _KEPT),
    Case("1d longer keys", "v1", "key_40", _KEPT),
    Case("1e shorter keys", "v1", "key_4", _DEAD_WRITE, "write-fails", "length <= 4 bytes, but found 8 bytes"),
    Case(
        "1f fixed keys", "v1", "key_fixed", _DEAD, "query-fails", "index out of bounds: the len is 0 but the index is"
    ),
    Case("1g longer values by 0.5", "old_v1", "old_value_200", _DEAD, "query-fails", "max_value_size must be <= 100"),
    Case(
        "1g longer values by 0.5, touched",
        "old_v1",
        "old_value_200",
        _REFUSED,
        "post-upgrade-traps",
        "max_value_size must be",
        arg=True,
    ),
    Case("1h 0.5 to 0.7 and longer values", "old_v1", "value_200", _WRONG_WRITE, "write-damages", quick=True),
    Case("1i 0.5 to 0.7 and longer keys", "old_v1", "key_40", _WRONG_WRITE, "write-damages", "FromUtf8Error"),
    Case("2a one id for two maps", "v1", "alias_maps", _WRONG, "query-differs"),
    Case("2b one id for map and list", "v1", "alias_vec", _DEAD, "query-fails", "BadMagic { actual: [66, 84, 82]"),
    Case("2c one id for map and cell", "v1", "alias_cell", _LOST, "write-loses", quick=True),
    Case("2c one id for map and cell, touched", "v1", "alias_cell", _LOST, "data-lost", arg=True),
    Case("3a exchanged maps of one type", "v1", "swap_maps", _WRONG, "query-differs", quick=True),
    Case(
        "3b exchanged maps of two types", "v1", "swap_types", _DEAD, "query-fails", "index out of bounds: the len is 0"
    ),
    Case(
        "3b exchanged maps of two types, touched",
        "v1",
        "swap_types",
        _DEAD,
        "query-fails",
        "index out of bounds",
        arg=True,
    ),
    Case("3c exchanged map and cell", "v1", "swap_cell", _LOST, "write-loses"),
    Case("4 smaller buckets", "v1", "bucket_16", _KEPT),
    Case("4 larger buckets", "bucket_16", "v1", _KEPT),
    Case("5 new", "v1", "new_map", _LOST, "write-loses"),
    Case("6a wider elements", "v1", "vec_nat128", _DEAD, "query-fails", "IncompatibleElementType", quick=True),
    Case(
        "6a wider elements, touched",
        "v1",
        "vec_nat128",
        _REFUSED,
        "post-upgrade-traps",
        "IncompatibleElementType",
        arg=True,
        quick=True,
    ),
    Case("6b elements of the same size", "v1", "vec_float64", _WRONG, "query-differs"),
    Case("7 a longer value in the cell", "v1", "v1", _KEPT, quick=True),
    Case("8a stable_save", "saves", "saves", _LOST, "data-lost"),
    Case("8a stable_save, new", "v1", "saves", _LOST_NEXT, "data-lost", quick=True),
    raw("8b magic of the manager", 0, b"XXX", _LOST_NEXT, "data-lost"),
    raw("8b number of buckets", 4, b"\xff\xff", _KEPT, "data-unreadable"),
    raw("8b size of buckets", 6, b"\0\x10", _LOST_NEXT, "next-upgrade-fails", "stable memory out of bounds"),
    raw(
        "8b owners of buckets",
        40 + 8 * 255,
        b"\7\7\7\7\7",
        _LOST_NEXT,
        "next-upgrade-fails",
        "bucket idx out of bounds",
    ),
    raw("8b magic of a map", A, b"XXX", _LOST_NEXT, "data-lost"),
    raw("8b length of a map", A + 20, b"\xef\xbe\xad\xde", _LOST_NEXT, "data-unreadable"),
    raw("8b a value in a node", A + 218, b"\xff", _WRONG, "data-changed"),
    Case(
        "9a required field, stable_save",
        "heap_v1",
        "heap_required",
        _REFUSED,
        "post-upgrade-traps",
        _NO_FIELD,
        quick=True,
    ),
    Case("9b required field in a map", "v1", "person_required", _DEAD, "query-fails", _NO_FIELD),
    Case("9b required field in a map, touched", "v1", "person_required", _DEAD, "query-fails", _NO_FIELD, arg=True),
    Case("9b required field in a cell", "v1", "conf_required", _DEAD, "query-fails", _NO_FIELD),
    Case(
        "9b required field in a cell, touched",
        "v1",
        "conf_required",
        _REFUSED,
        "post-upgrade-traps",
        _NO_FIELD,
        arg=True,
    ),
    Case("9c optional field", "v1", "person_optional_unbounded", _KEPT),
    Case(
        "9c optional field without room",
        "v1",
        "person_optional",
        _DEAD_WRITE,
        "write-fails",
        "<= 100 bytes, but found 108 bytes",
    ),
    Case("9d field removed", "v1", "person_removed", _WRONG, "query-differs"),
    Case("12a 0.5 to 0.7", "old_v1", "v1", _KEPT),
    Case("12b 0.5 to 0.7, and back", "old_v1", "old_v1", _DEAD, "query-fails", "Unsupported version", between="v1"),
)
"""The number of buckets in the manager's header matters only when a structure needs another bucket (8b). Fields take
room: with one more of them a value that had just room has none (9c)."""

EACH = [pytest.param(case, id=case.id, marks=() if case.quick else pytest.mark.slow) for case in CASES]

"""The canisters of the demo, their versions, and the records that they store."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHECKOUT = Path(__file__).resolve().parents[3] / "fixtures" / "wasm"
FIXTURES = _CHECKOUT if _CHECKOUT.is_dir() else Path(sysconfig.get_path("data"), "share", "canister-sandbox", "demo")
"""The directory of the modules: in a checkout, or where a wheel puts its data files (pyproject.toml)."""
PEOPLE = 3_000
BATCH = 250
EDITS = 40

_FIRST = ("Ada", "Alan", "Barbara", "Claude", "Donald", "Edsger", "Grace", "John", "Katherine", "Leslie", "Niklaus")
_LAST = ("Allen", "Dijkstra", "Hamilton", "Hopper", "Johnson", "Knuth", "Lamport", "Liskov", "Lovelace", "Turing")


@dataclass(frozen=True)
class Role:
    """The modules of one canister, as file names of the fixtures.

    `v1` is installed first. The upgrades to `traps` and `drops` trap or lose data, the one to `good` is correct.
    `pretraps`, if any, is a first version whose pre_upgrade traps.
    """

    title: str
    v1: str
    traps: str
    drops: str
    good: str
    pretraps: str | None = None

    def modules(self) -> list[str]:
        """Return the names of all modules."""
        return [name for name in (self.v1, self.traps, self.drops, self.good, self.pretraps) if name]


def _motoko(kind: str, title: str) -> Role:
    names = ("people_v1", "people_v2_traps", "people_v2_drops", "people_v2_good", "people_v1_pretraps")
    return Role(title, *(f"{name}.{kind}.wasm" for name in names))


ROLES = (
    _motoko("enhanced", "Motoko enhanced"),
    _motoko("classical", "Motoko classical"),
    Role(
        "Rust with stable structures",
        "people_stable_rs_v1.wasm",
        "people_stable_rs_v2_traps.wasm",
        "people_stable_rs_v2_drops.wasm",
        "people_stable_rs_v2_good.wasm",
    ),
)


def missing(folder: Path) -> list[str]:
    """Return the names of the modules that `folder` lacks."""
    return [name for role in ROLES for name in role.modules() if not (folder / name).is_file()]


def person(index: int) -> dict[str, Any]:
    """Return the record of a person, as an argument of `add`; the same for the same index."""
    first, last = _FIRST[index % len(_FIRST)], _LAST[index // len(_FIRST) % len(_LAST)]
    return {
        "name": f"{first} {last}",
        "email": f"{first}.{last}.{index}@example.org".lower(),
        "age": 20 + index % 60,
        "tags": [f"group-{index % 7}", "even" if index % 2 == 0 else "odd"],
    }

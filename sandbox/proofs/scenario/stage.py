"""The sandbox of a running case, its canisters by name, and the results of its steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.api import Canister, Sandbox, SubnetRuntime, runtime_of
from sandbox.execution import CallResult
from sandbox.limits import WASM_PAGE
from sandbox.principal import Principal
from sandbox.state import CanisterState, InstructionLimits, WasmModule

_SNAPSHOTS = 1_000_000
"""Limit on the snapshots of a canister, high enough for every case."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The sandbox of a case. `time`: nanoseconds since 1970; None is the sandbox's own."""

    seed: int = 0
    time: int | None = None
    costs: str = "free"
    limits: InstructionLimits = field(default_factory=InstructionLimits)


@dataclass(frozen=True, slots=True)
class Size:
    """The memories of a canister, in pages of 64 KiB."""

    heap: int
    stable: int


class Stage:
    """A sandbox with the canisters of a scenario. `labels`: snapshot ids by label and canister; `logs`: prints of
    canisters since the step began; `kept`: values of replies by the names under which they were kept."""

    def __init__(self, rules: Rules) -> None:
        self.sandbox = Sandbox(
            seed=rules.seed,
            costs=rules.costs,
            instruction_limits=rules.limits,
            max_snapshots=_SNAPSHOTS,
            on_log=self._printed,
        )
        self.keeps_time = rules.time is not None
        """Whether a snapshot of a later time leaves the time as it is."""
        if rules.time is not None:
            self.sandbox.set_time(rules.time)
        self.runtime: SubnetRuntime = runtime_of(self.sandbox)
        self.canisters: dict[str, Canister] = {}
        self.labels: dict[str, dict[str, bytes]] = {}
        self.logs: list[str] = []
        self.kept: dict[str, list[Any]] = {}
        self._names: dict[Principal, str] = {}

    def add(self, name: str, canister: Canister) -> None:
        """Give a new canister its name."""
        self.canisters[name] = canister
        self._names[canister.id] = name

    def state(self, name: str) -> CanisterState:
        """Return the present value of a canister."""
        return self.runtime.state_of(self.canisters[name].id)

    def sizes(self) -> dict[str, Size]:
        """Return the sizes of all canisters."""
        states = self.runtime.subnet.canisters
        return {
            name: Size(states[canister.id].heap.size // WASM_PAGE, states[canister.id].stable.size // WASM_PAGE)
            for name, canister in self.canisters.items()
        }

    def done(self) -> CallResult:
        """Return the outcome of a step that has no answer."""
        return CallResult(Principal.management(), "", reply=b"")

    def close(self) -> None:
        """Free everything."""
        self.sandbox.close()

    def _printed(self, canister_id: Principal, text: str) -> None:
        self.logs.append(f"[{self._names.get(canister_id, canister_id)}] {text}")


@dataclass(frozen=True, eq=False)
class Version:
    """A module with a name, equal to itself alone. `did`: the file with its interface, where it does not carry one."""

    name: str
    path: Path
    code: WasmModule
    did: Path | None = None

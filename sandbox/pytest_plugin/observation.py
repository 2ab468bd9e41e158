"""What the sandbox of a test did: its calls with their instructions, what its canisters printed, its changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from sandbox.api import SubnetRuntime, runtime_of
from sandbox.api.changes import Changes
from sandbox.api.runtime import OnLog
from sandbox.execution import ExecutionEnvironment, Input, Query, Update
from sandbox.management.commands import Command
from sandbox.principal import Principal
from sandbox.snapshots.diff import Diff
from sandbox.state import CanisterState

_NO_CALL = {"Round": "(rounds)", "UntilIdle": "(rounds)", "UntilStopped": "(rounds)"}
"""How the instructions of inputs are listed that are no call of a method."""
_PRINTED = 2_000
"""Most lines of log that are kept for a test."""


class Call(NamedTuple):
    """One call of a test. `canister`: its name, else its id; `method`: a command of the management canister too."""

    canister: str
    method: str
    instructions: int


class HasRuntime(Protocol):
    """A `Sandbox` or a `Canister`."""

    @property
    def _runtime(self) -> SubnetRuntime: ...


class Observation:
    """Observes one runtime from now on. `inputs`: how many inputs have changed it; the rest is of the present test.
    `calls` are collected if `reporting`."""

    def __init__(self, face: HasRuntime, *, reporting: bool = False) -> None:
        self.runtime = runtime_of(face)
        self._reporting = reporting
        self.inputs = 0
        self.calls: list[Call] = []
        self.printed: list[str] = []
        self._before: dict[Principal, tuple[CanisterState, Changes]] = {}
        self._installed: set[Principal] = set()
        self._listener: OnLog = self._print
        self._users: OnLog | None = None
        """The function that the user has set, to which is passed on what canisters print."""
        self.runtime.on_step = self._step

    def begin(self) -> None:
        """Forget what earlier tests did: a test begins."""
        self.end()
        canisters = {} if self.runtime.gate.foreign else self.runtime.subnet.canisters
        self._before = {
            canister_id: (state, Changes(self.runtime, canister_id))
            for canister_id, state in canisters.items()
            if state.damage is None
        }
        if self.runtime.on_log is not self._listener:
            self._users, self.runtime.on_log = self.runtime.on_log, self._listener

    def installed(self, canister_id: Principal) -> None:
        """Compare a canister that the test got from a fixture with its present state."""
        state = self.runtime.state_of(canister_id)
        self._before[canister_id] = state, Changes(self.runtime, canister_id)
        self._installed.add(canister_id)

    def end(self) -> None:
        """Let go of what was collected for a test."""
        self._before, self.calls, self.printed = {}, [], []
        self._installed.clear()

    def close(self) -> None:
        """Observe no more."""
        self.end()
        self.runtime.on_step = None
        if self.runtime.on_log is self._listener:
            self.runtime.on_log = self._users

    @property
    def memory(self) -> int:
        """The bytes of all heaps and stable memories, now."""
        return sum(state.heap.size + state.stable.size for state in self.runtime.subnet.canisters.values())

    def changes(self) -> Iterator[tuple[str, Diff | str]]:
        """What has become of each canister since the test began: its name and the difference, or what happened."""
        now = self.runtime.subnet.canisters
        for canister_id in sorted({*self._before, *now}):
            before, state = self._before.get(canister_id), now.get(canister_id)
            name = self.title(canister_id)
            if canister_id in self._installed:
                name += ", since it was installed"
            if before is None or state is None:
                yield name, "created" if before is None else "deleted"
            elif state is not before[0]:
                yield name, before[1].diff

    def title(self, canister_id: Principal) -> str:
        """The name of a canister, else its id."""
        return self.runtime.names.of(canister_id) or str(canister_id)

    def _print(self, canister_id: Principal, text: str) -> None:
        self.printed.append(f"[{self.title(canister_id)}] {text}")
        del self.printed[:-_PRINTED]
        if self._users is not None:
            self._users(canister_id, text)

    def _step(self, step: Input, env: ExecutionEnvironment) -> None:
        match step:
            case Query():
                self._note(step.canister_id, step.method, env)
                return
            case Update():
                self._note(step.canister_id, step.method, env)
            case Command() if env.executed:
                target = getattr(step.arguments[0], "canister_id", None) if step.arguments else None
                self._note(target, step.handler, env)
            case _ if env.executed:
                self._note(None, _NO_CALL.get(type(step).__name__, type(step).__name__), env)
        self.inputs += 1

    def _note(self, canister_id: Principal | None, method: str, env: ExecutionEnvironment) -> None:
        if self._reporting:
            name = "" if canister_id is None else self.title(canister_id)
            self.calls.append(Call(name, method, env.executed))

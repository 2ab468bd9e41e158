"""Install, reinstall and upgrade as functions from a state to an uncommitted instance.

Order of the steps: interface specification, "IC Management Canister: Code installation" and "Code upgrade"
(SPECIFICATION 5.2, 5.3). All hooks of one deployment share one budget of instructions. The platform takes compiling out
of the same budget; a smaller limit that was set for a sandbox is for the hooks alone. A trap in any hook undoes
everything, and since nothing is committed before the end, undoing means dropping the views.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sandbox import engine
from sandbox.canister import failure
from sandbox.canister.entry_point import TableFunction, over_limit, run
from sandbox.canister.failure import Failure
from sandbox.canister.heap_fit import heap_problem
from sandbox.canister.instances import CanisterInstance, InstanceCache, heap_view, stable_view
from sandbox.canister.module import CompiledModule
from sandbox.canister.profiling import Profiler
from sandbox.errors import ErrorCode
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Environment, Execution
from sandbox.limits import INSTRUCTIONS_INSTALL
from sandbox.memory import Memory, Pool, View
from sandbox.state import CanisterState

_MISSING_OPTION = (
    "Missing upgrade option: Enhanced orthogonal persistence requires the `wasm_memory_persistence` upgrade option."
)
_INVALID_OPTION = (
    "Invalid upgrade option: The `wasm_memory_persistence: opt Keep` upgrade option requires that the new canister "
    "module supports enhanced orthogonal persistence."
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A module to be deployed, with options, argument, and the environment of the hooks.

    `environment` is that of `canister_init` or `canister_post_upgrade` (version already raised); hooks of
    the old code see `old_version` and `old_timer`.
    """

    prepared: CompiledModule
    arg: bytes
    environment: Environment
    instructions: int
    heap_limit: int = 0
    skip_pre_upgrade: bool = False
    persistence: str | None = None
    """None, `keep` or `replace`."""
    old_version: int = 0
    old_timer: int = 0
    on_log: Callable[[str], None] | None = None
    compilation: int = 0
    """Instructions that compiling counts for."""
    message_instructions: int = 0
    """Instruction limit of each message of a call that is made besides a hook (`canister.motoko`)."""
    profiler: Profiler | None = None
    """Gets every execution, if the sandbox is profiled."""


@dataclass(frozen=True, slots=True)
class HookMeasure:
    """What one hook of a deployment took: its instructions, and the sizes in bytes of heap and stable memory after it,
    which are also their greatest, since memories never shrink. `name`: its export; `start` for the start function."""

    name: str
    instructions: int
    heap: int
    stable: int


@dataclass(frozen=True, slots=True)
class Deployed:
    """The outcome of a deployment. `live` shows the new state and is uncommitted; None if there is a `failure`."""

    live: CanisterInstance | None
    failure: Failure | None
    executions: tuple[Execution, ...]
    """Of the hooks that ran, in order."""
    instructions: int
    measures: tuple[HookMeasure, ...] = ()
    """Of the same hooks, in the same order, also of one that failed."""
    compilation: int = 0


class HookRun:
    """Runner of the hooks of one deployment: one after another, on one budget, with a list of their executions."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.executions: list[Execution] = []
        self.measures: list[HookMeasure] = []
        self.used = 0
        """Instructions of everything that ran."""
        self._spent = max(deployment.compilation - max(INSTRUCTIONS_INSTALL - deployment.instructions, 0), 0)

    def run(self, live: CanisterInstance, export: str | None, mode: Mode, environment: Environment) -> Failure | None:
        """Run `export` if the module has it."""
        if export is None or not live.instance.has(export):
            return None
        burned = sum(execution.burned for execution in self.executions)
        environment = replace(environment, cycles=environment.cycles - burned)
        execution = Execution(mode, environment, self.deployment.arg if mode is Mode.INIT else b"")
        budget = self.deployment.instructions
        before = self.used
        problem = self.step(live, export, execution, max(budget - self._spent, 0))
        self._spent += self.used - before
        if problem is not None and problem.code is ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED:
            problem = failure.instruction_limit(budget)
        return problem

    def step(
        self, live: CanisterInstance, entry: str | TableFunction, execution: Execution, instructions: int
    ) -> Failure | None:
        """One execution with a limit of its own."""
        execution.on_log = self.deployment.on_log
        self.executions.append(execution)
        outcome = run(live, entry, execution, instructions, self.deployment.heap_limit)
        self.used += outcome.instructions
        name = "callback" if isinstance(entry, TableFunction) else _NAMES.get(execution.mode, entry)
        self.measures.append(HookMeasure(name, outcome.instructions, live.heap.size, live.stable.size))
        return outcome.failure

    def end(self, live: CanisterInstance | None, problem: Failure | None) -> Deployed:
        return Deployed(
            live, problem, tuple(self.executions), self.used, tuple(self.measures), self.deployment.compilation
        )


_NAMES = {Mode.START: "start"}
"""Hooks whose export has another name in the rewritten module."""


def install(pool: Pool, deployment: Deployment) -> Deployed:
    """Fresh heap, fresh globals, empty stable memory; then start and `canister_init`."""
    hooks = HookRun(deployment)
    live, problem = begin(pool, hooks, pool.memory(), "canister_init")
    return hooks.end(live, problem)


def begin(pool: Pool, hooks: HookRun, stable: Memory, hook: str) -> tuple[CanisterInstance | None, Failure | None]:
    """A fresh instance over a view of `stable`, after start and `hook`; None if one of them failed."""
    prepared, environment = hooks.deployment.prepared, hooks.deployment.environment
    live, problem = _instantiate(hooks.deployment, heap_view(pool.memory(), prepared), stable_view(stable), fresh=True)
    if live is None:
        return None, problem
    problem = hooks.run(live, prepared.rewritten.start, Mode.START, environment)
    problem = problem or hooks.run(live, hook, Mode.INIT, environment)
    problem = problem or over_limit(live, hooks.deployment.heap_limit)
    if problem is not None:
        live.close()
        return None, problem
    return live, None


def upgrade(pool: Pool, instances: InstanceCache, state: CanisterState, deployment: Deployment) -> Deployed:
    """Old code's `canister_pre_upgrade`, new code over the stable memory (and the heap, if kept), start,
    `canister_post_upgrade`. On success the views of the old instance belong to the new one."""
    hooks, prepared = HookRun(deployment), deployment.prepared
    old = instances.open(state)
    old.clean = False  # its views may become another instance's from here on
    problem = None
    if not deployment.skip_pre_upgrade:
        before = replace(deployment.environment, version=deployment.old_version, global_timer=deployment.old_timer)
        problem = hooks.run(old, "canister_pre_upgrade", Mode.PRE_UPGRADE, before)
    keep = deployment.persistence == "keep"
    problem = problem or _persistence_problem(old.prepared, deployment)
    if problem is None and keep:
        problem = heap_problem(prepared, old.heap.size)
    live: CanisterInstance | None = None
    if problem is None:
        heap = old.shared_heap() if keep else heap_view(pool.memory(), prepared)
        live, problem = _instantiate(deployment, heap, old.shared_stable(), fresh=not keep)
    if live is not None:
        problem = hooks.run(live, prepared.rewritten.start, Mode.START, deployment.environment)
        problem = problem or hooks.run(live, "canister_post_upgrade", Mode.INIT, deployment.environment)
        problem = problem or over_limit(live, deployment.heap_limit)
    if problem is not None:
        if live is not None:
            live.instance.close()
            if live.heap is not old.heap:
                live.heap.close()
        instances.rollback(state.id)
        return hooks.end(None, problem)
    assert live is not None
    instances.release(state.id, live)
    return hooks.end(live, None)


def _persistence_problem(old: CompiledModule, deployment: Deployment) -> Failure | None:
    """The checks of `wasm_memory_persistence` (`dfinity/ic` `rs/execution_environment/src/execution/upgrade.rs`)."""
    if deployment.persistence is None and old.facts.uses_enhanced_persistence:
        return Failure(ErrorCode.CANISTER_CONTRACT_VIOLATION, _MISSING_OPTION, of_canister=False)
    if deployment.persistence == "keep" and not deployment.prepared.facts.uses_enhanced_persistence:
        return Failure(ErrorCode.CANISTER_CONTRACT_VIOLATION, _INVALID_OPTION, of_canister=False)
    return None


def _instantiate(
    deployment: Deployment, heap: View, stable: View, fresh: bool
) -> tuple[CanisterInstance | None, Failure | None]:
    """An instance with its initial globals; with `fresh`, active data segments are put into the heap."""
    prepared = deployment.prepared
    try:
        live = CanisterInstance(prepared, heap, stable, deployment.profiler)
        if fresh:
            for segment in prepared.rewritten.data:
                live.guest.write(segment.offset, prepared.facts.wasm[segment.start : segment.end])
    except engine.EngineTrap as trap:
        return None, failure.of_engine_trap(trap, prepared.facts, 0)
    except engine.OutOfBounds:
        return None, Failure(ErrorCode.CANISTER_TRAPPED, "Canister trapped: heap out of bounds")
    return live, None

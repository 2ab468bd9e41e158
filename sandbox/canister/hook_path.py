"""The hook path: saving and restoring a canister's data through its upgrade hooks, as stable memory alone. Commits
nothing.

`save` runs the hook of the old code on an instance that is thrown away; `restore` puts a stable memory under a fresh
instance and runs the hook of the new code. Together they are an upgrade that replaces the heap (SPECIFICATION 5.3),
with any time and any module in between.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.canister import motoko
from sandbox.canister.failure import Failure
from sandbox.canister.install import Deployed, Deployment, HookRun, begin
from sandbox.canister.instances import CanisterInstance, heap_view, stable_view
from sandbox.canister.module import CompiledModule
from sandbox.canister.self_calls import run_isolated_update
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Execution
from sandbox.memory import Image, Memory, Pool, Readable

_HOOK = "canister_pre_upgrade"


@dataclass(frozen=True, slots=True)
class HookSource:
    """A state whose hook is run. Its memories are read, never written: a canister may live in them."""

    heap: Memory
    stable: Memory
    globals: bytes


@dataclass(frozen=True, slots=True)
class HookResult:
    """The stable memory after the hook; None if there is a `failure`."""

    stable: Readable | None
    failure: Failure | None
    executions: tuple[Execution, ...] = ()
    instructions: int = 0


def keeps_heap_to_itself(prepared: CompiledModule) -> bool:
    """Check whether no hook of the module writes its heap data to stable memory."""
    return prepared.facts.uses_enhanced_persistence and not motoko.stabilizes(prepared)


def save(source: HookSource, deployment: Deployment) -> HookResult:
    """The stable memory that `canister_pre_upgrade` of the deployment's module makes of a state. A module without the
    hook has everything there already. A stable memory that the hook does not change is not copied."""
    prepared = deployment.prepared
    if _HOOK not in prepared.facts.entry_points and not motoko.stabilizes(prepared):
        return HookResult(source.stable.image(), None)
    hooks = HookRun(deployment)
    heap, stable_ = heap_view(source.heap, prepared), stable_view(source.stable)
    live = CanisterInstance(prepared, heap, stable_, deployment.profiler)
    try:
        live.load_globals(source.globals)
        problem = None
        if motoko.stabilizes(prepared):
            problem = run_isolated_update(hooks, live, motoko.STABILIZE, deployment.environment)
        problem = problem or hooks.run(live, _HOOK, Mode.PRE_UPGRADE, deployment.environment)
        stable = None if problem is not None else _image(live)
    finally:
        live.close()
    return HookResult(stable, problem, tuple(hooks.executions), hooks.used)


def _image(live: CanisterInstance) -> Image:
    view = live.stable
    if view.size == view.memory.size and not view.dirty():
        return view.memory.image()
    return view.fork().image()


def restore(pool: Pool, stable: Memory, deployment: Deployment) -> Deployed:
    """Make a fresh instance over a view of `stable` and run start, `canister_post_upgrade` with the argument, and the
    module's own method, if any, that reads the rest of its data into the heap."""
    hooks, unread = HookRun(deployment), motoko.to_destabilize(deployment.prepared, stable)
    live, problem = begin(pool, hooks, stable, "canister_post_upgrade")
    if live is not None and unread:
        problem = run_isolated_update(hooks, live, motoko.DESTABILIZE, deployment.environment)
        if problem is not None:
            live.close()
            live = None
    return hooks.end(live, problem)

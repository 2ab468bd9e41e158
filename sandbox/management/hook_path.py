"""Snapshots via the canister's own hooks: access, conditions and effects. Ours; the platform has no such methods
(the discussion of the community proposal of 2023 asks for them).

Taking runs `canister_pre_upgrade` on a discarded copy and keeps the resulting stable memory: of the canister only the
list of snapshots changes. Loading is an upgrade to a fresh heap over that stable memory: version,
history, timer and logs are those of an upgrade; certified data and chunk store come from the snapshot. If it fails,
nothing has changed, not even logs and cycles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sandbox.canister.hook_path import HookResult, HookSource, keeps_heap_to_itself, restore, save
from sandbox.management import rejects
from sandbox.management.code import InstallCode, check_afforded, deployment, environment, outcome, prepared
from sandbox.management.load_parts import code_of, parts
from sandbox.management.snapshot_rules import Take, intact, lived_in, loadable, present, remaining, with_snapshot
from sandbox.management.transition import ManagementContext, Transition
from sandbox.memory import Image, Memory, Readable
from sandbox.principal import Principal
from sandbox.state import CanisterState, SnapshotState, WasmModule
from sandbox.state.messages import EMPTY_CANDID
from sandbox.store import showing

_TAKE, _LOAD = "take_snapshot", "load_snapshot"


@dataclass(frozen=True, slots=True)
class HookLoad:
    """Options of loading via hooks. `module`: None is the snapshot's, or for a bare stable memory the canister's.
    `skip_pre_upgrade`: use the stable memory of a plain snapshot as it is; data that only its heap holds is lost."""

    module: bytes | None = None
    arg: bytes = EMPTY_CANDID
    skip_pre_upgrade: bool = False


def take_via_hooks(context: ManagementContext, canister_id: Principal, label: str | None = None) -> Transition:
    """A new snapshot that has only stable memory, as the hook leaves it; the reply is the `SnapshotState`."""
    state = context.controlled(canister_id)
    kept = remaining(context, state, Take(label))
    if state.code is None:
        raise rejects.snapshot_of_empty(canister_id)
    return _taken(context, state, (intact(present(context.subnet, state, label)), state.code), kept)


def rehearse_via_hooks(
    context: ManagementContext, canister_id: Principal, snapshot_id: bytes | None = None
) -> Transition:
    """What `take_via_hooks` would take now, or would have taken when a plain snapshot was; the reply is the
    `SnapshotState`. No command: it is not to be applied."""
    state = context.controlled(canister_id)
    if snapshot_id is not None:
        snapshot, owner = loadable(context, canister_id, snapshot_id)
        content = parts(state, snapshot)
        return _taken(context, owner, (replace(snapshot, globals=content.globals), content.code), ())
    if state.code is None:
        raise rejects.snapshot_of_empty(canister_id)
    return _taken(context, state, (intact(present(context.subnet, state, None)), state.code), ())


def _taken(
    context: ManagementContext,
    owner: CanisterState,
    plain: tuple[SnapshotState, WasmModule],
    kept: tuple[SnapshotState, ...],
) -> Transition:
    """Run the hook on a copy of a plain snapshot with its module, and add the result to the `kept` snapshots."""
    snapshot, code = plain
    saved = _saved(context, owner, snapshot, code)
    if saved.stable is None:
        return _failed(owner, saved, _TAKE)
    empty = context.subnet.pool.memory().image()
    certified = [e.certified_data for e in saved.executions if e.certified_data is not None]
    snapshot = replace(
        snapshot,
        heap=empty,
        globals=b"",
        stable=saved.stable,
        certified_data=certified[-1] if certified else snapshot.certified_data,
        via_hooks=True,
    )
    new = with_snapshot(owner, kept, snapshot)
    return Transition(canister=new, rehearsed=saved.executions, instructions=saved.instructions, reply=snapshot)


def _failed(state: CanisterState, saved: HookResult, method: str) -> Transition:
    return Transition(
        canister=state,
        rehearsed=saved.executions,
        failure=saved.failure,
        rehearsal_failed=True,
        instructions=saved.instructions,
        method=method,
    )


def load_via_hooks(context: ManagementContext, canister_id: Principal, snapshot_id: bytes, how: HookLoad) -> Transition:
    """A fresh instance of the snapshot's module, or of another, over the snapshot's stable memory.

    Of a plain snapshot, its own module's hook is run first, on a copy. If any hook fails nothing has changed.
    """
    state = context.controlled(canister_id)
    snapshot, owner = loadable(context, canister_id, snapshot_id)
    if snapshot.via_hooks or how.skip_pre_upgrade:
        saved = HookResult(snapshot.stable, None)
    else:
        content = parts(state, snapshot)
        saved = _saved(context, owner, replace(snapshot, globals=content.globals), content.code)
    if saved.stable is None:
        return _failed(state, saved, _LOAD)
    code = code_of(snapshot) if how.module is None else WasmModule.from_bytes(how.module)
    after = replace(state, certified_data=snapshot.certified_data, chunks=snapshot.chunks)
    loaded = _restored(context, (state, after), _free(context, saved.stable, canister_id), code, how)
    heard = (*saved.executions, *loaded.rehearsed)
    return replace(loaded, rehearsed=heard, instructions=saved.instructions + loaded.instructions)


def load_stable_image(context: ManagementContext, canister_id: Principal, image: Image, how: HookLoad) -> Transition:
    """As `load_via_hooks`, from a bare stable memory; certified data and chunk store stay as they are."""
    state = context.controlled(canister_id)
    code = state.code if how.module is None else WasmModule.from_bytes(how.module)
    if code is None:
        raise rejects.no_module(canister_id)
    return _restored(context, (state, state), _free(context, image, canister_id), code, how)


def _restored(
    context: ManagementContext,
    states: tuple[CanisterState, CanisterState],
    stable: Memory,
    code: WasmModule,
    how: HookLoad,
) -> Transition:
    """`states`: what the canister stays if a hook fails, and what it becomes apart from what the hooks do."""
    state, after = states
    argument, module = InstallCode(state.id, b"", how.arg, "upgrade"), prepared(state, code)
    check_afforded(context, state, module)
    deployed = restore(context.subnet.pool, stable, deployment(context, state, argument, module))
    if deployed.live is None:
        failed = HookResult(None, deployed.failure, deployed.executions, deployed.instructions)
        return _failed(state, failed, _LOAD)
    return replace(outcome(context, after, argument, module.code, deployed), method=_LOAD)


def _saved(context: ManagementContext, owner: CanisterState, snapshot: SnapshotState, code: WasmModule) -> HookResult:
    """Run the hook of a plain snapshot's module on a copy of it."""
    module = prepared(owner, code)
    if keeps_heap_to_itself(module):
        raise rejects.heap_is_not_saved(owner.id)
    plan, pool = deployment(context, owner, InstallCode(owner.id, b""), module), context.subnet.pool
    seen = environment(context, owner, snapshot.canister_version, snapshot.global_timer or 0, wasm64=module.facts.is64)
    source = HookSource(showing(snapshot.heap, pool), showing(snapshot.stable, pool), snapshot.globals)
    return save(source, replace(plan, environment=seen, heap_limit=0))


def _free(context: ManagementContext, content: Readable, canister_id: Principal) -> Memory:
    """A memory that shows the content now and that the canister may live in."""
    memory = showing(content, context.subnet.pool)
    return memory.fork() if memory in lived_in(context, canister_id) else memory

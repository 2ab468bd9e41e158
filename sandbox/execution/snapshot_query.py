"""Queries of a snapshot: its code and bytes answer, at the time at which it was taken."""

from __future__ import annotations

from dataclasses import replace

from sandbox.execution import management
from sandbox.execution.context import ExecutionEnvironment
from sandbox.execution.queries import Query, query
from sandbox.execution.result import CallResult
from sandbox.management.hook_path import HookLoad, load_via_hooks
from sandbox.management.snapshot_rules import loaded
from sandbox.management.transition import Transition
from sandbox.state import SnapshotState, Status, moment, return_to


def query_snapshot(env: ExecutionEnvironment, snapshot: SnapshotState, call: Query) -> CallResult:
    """Run a query on a snapshot of a canister. Changes no state; costs the pages that differ from the present.

    The canister runs, and has the settings, cycles and controllers that it has now. For a snapshot via hooks,
    `canister_post_upgrade` runs first. Other canisters, which a composite query may call, have their present state.
    A reject if the snapshot could not be loaded.
    """
    subnet, owner = env.subnet, snapshot.canister_id
    mark, present = subnet.pool.mark(), moment(subnet)
    try:
        subnet.time = snapshot.taken_at
        management.carry_out(ExecutionEnvironment(subnet, env.instances, hooks=env.hooks), _load(env, snapshot))
        state = subnet.canisters[owner]
        subnet.canisters[owner] = replace(state, status=Status.RUNNING, version=snapshot.canister_version)
        return query(env, call)
    finally:
        env.instances.drop(owner)
        return_to(subnet, present)
        mark.undo()


def _load(env: ExecutionEnvironment, snapshot: SnapshotState) -> Transition:
    state = env.subnet.canisters[snapshot.canister_id]
    context = management.management_context(env, next(iter(state.settings.controllers), state.id))
    if snapshot.via_hooks:
        return load_via_hooks(context, state.id, snapshot.id, HookLoad())
    return loaded(context, state, snapshot, state)

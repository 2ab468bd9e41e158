"""Snapshots taken by policies: after the first installation, before an upgrade, when the newest one is old.

Taking one copies nothing. Automatic snapshots and those taken on request do not count for each other's limit, and a
policy deletes only automatic ones.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.execution.context import ExecutionEnvironment
from sandbox.management.retention import ALL_CANISTERS, kept
from sandbox.management.snapshot_rules import present
from sandbox.management.transition import Transition
from sandbox.state import CanisterState, Policy, Subnet


def before_deployment(
    subnet: Subnet, before: CanisterState, state: CanisterState, transition: Transition
) -> CanisterState:
    """The canister's new value, with a snapshot of the old one if the policy says so; nothing is committed yet."""
    policy = _policy(subnet, state)
    if policy is None or not policy.before_upgrade or before.code is None or transition.method != "install_code":
        return state
    return _with(subnet, policy, state, of=before, label="before upgrade")


def after_deployment(
    subnet: Subnet, before: CanisterState, state: CanisterState, transition: Transition
) -> CanisterState:
    """The committed canister, with a snapshot of itself if it has just got its first module."""
    policy = _policy(subnet, state)
    if policy is None or not policy.at_install or before.code is not None or transition.method != "install_code":
        return state
    return _with(subnet, policy, state, of=state, label="installed")


def take_due(env: ExecutionEnvironment) -> None:
    """Take snapshots of canisters that have changed and whose newest one is as old as their policy allows."""
    subnet = env.subnet
    if not subnet.policies:
        return
    for state in list(subnet.canisters.values()):
        policy = _policy(subnet, state)
        due = None if policy is None else _due(subnet, state, policy)
        if policy is not None and due is not None and due <= subnet.time:
            subnet.canisters[state.id] = _with(subnet, policy, state, of=state, label="scheduled")


def next_due(subnet: Subnet) -> int | None:
    """The time at which the next snapshot is to be taken; None if none is before a canister changes."""
    pairs = ((state, _policy(subnet, state)) for state in subnet.canisters.values())
    times = (_due(subnet, state, policy) for state, policy in pairs if policy is not None)
    return min((due for due in times if due is not None), default=None)


def _due(subnet: Subnet, state: CanisterState, policy: Policy) -> int | None:
    """The time at which the next snapshot of a canister is to be taken; None if it has none to come or has not
    changed."""
    if not policy.every or state.code is None or state.damage is not None:
        return None
    own = [snapshot for snapshot in state.snapshots if snapshot.automatic]
    if not own:
        return subnet.time
    return None if own[-1].canister_version == state.version else own[-1].taken_at + policy.every * 1_000_000_000


def _policy(subnet: Subnet, state: CanisterState) -> Policy | None:
    return subnet.policies.get(state.id) or subnet.policies.get(ALL_CANISTERS) if subnet.policies else None


def _with(subnet: Subnet, policy: Policy, state: CanisterState, *, of: CanisterState, label: str) -> CanisterState:
    snapshot = replace(present(subnet, of, label), automatic=True)
    own = [s for s in (*state.snapshots, snapshot) if s.automatic]
    staying = kept(own, policy.keep, subnet.time)
    snapshots = tuple(s for s in (*state.snapshots, snapshot) if not s.automatic or s in staying)
    return replace(state, snapshots=snapshots, next_snapshot=state.next_snapshot + 1)

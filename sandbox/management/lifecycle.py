"""Create, start, stop, delete, uninstall: interface specification, "The IC management canister"."""

from __future__ import annotations

from dataclasses import replace

from sandbox.errors import ErrorCode
from sandbox.management import rejects
from sandbox.management.settings import SettingsUpdate, apply_settings
from sandbox.management.transition import Transition, World, history
from sandbox.principal import Principal
from sandbox.state import CanisterState, Change, Settings, Status, Subnet


def create_canister(world: World, settings: SettingsUpdate, specified_id: Principal | None, cycles: int) -> Transition:
    """A new empty canister: running, version 0, controlled by the caller unless `settings` say otherwise."""
    subnet = world.subnet
    canister_id, following = specified_id, subnet.next_canister
    while canister_id is None or (specified_id is None and _taken(subnet, canister_id)):
        canister_id, following = Principal.from_index(following), following + 1
    if not bytes(canister_id).endswith(b"\1"):
        raise rejects.invalid_payload(f"The `specified_id` {canister_id} is invalid: canister ids are opaque ids.")
    if _taken(subnet, canister_id):
        raise rejects.rejected(
            ErrorCode.CANISTER_ID_ALREADY_EXISTS,
            f"Unsuccessful canister creation: canister id {canister_id} already exists.",
        )
    state = CanisterState(
        id=canister_id,
        settings=Settings(controllers=(world.caller,)),
        heap=subnet.pool.memory(),
        stable=subnet.pool.memory(),
        created_at=subnet.time,
        cycles=cycles,
    )
    state = replace(state, settings=apply_settings(state, settings))
    change = Change(subnet.time, 0, world.caller, "creation", (("controllers", state.settings.controllers),))
    return Transition(
        canister=replace(state, history=history(state, change), total_changes=1),
        next_canister=following,
        reply=canister_id,
    )


def _taken(subnet: Subnet, canister_id: Principal) -> bool:
    return canister_id in subnet.canisters or canister_id in subnet.deleted


def start_canister(world: World, canister_id: Principal) -> Transition:
    """Running again; counts as a new version even if it was running."""
    state = world.controlled(canister_id)
    return Transition(canister=replace(state, status=Status.RUNNING, version=state.version + 1))


def stop_canister(world: World, canister_id: Principal) -> Transition:
    """Stopping; stopped as soon as no call to the canister is open."""
    state = world.controlled(canister_id)
    status = Status.STOPPED if state.status is Status.STOPPED else Status.STOPPING
    return Transition(canister=replace(state, status=status, version=state.version + 1))


def delete_canister(world: World, canister_id: Principal) -> Transition:
    """Gone with its snapshots; the id is never used again."""
    state = world.controlled(canister_id)
    if state.status is not Status.STOPPED:
        raise rejects.not_stopped(canister_id)
    return Transition(removed=canister_id)


def uninstall_code(world: World, canister_id: Principal) -> Transition:
    """An empty canister that keeps id, controllers, cycles, settings, history, status and snapshots."""
    state = world.controlled(canister_id)
    change = Change(world.subnet.time, state.version + 1, world.caller, "code_uninstall")
    return Transition(
        canister=replace(
            state,
            code=None,
            heap=world.subnet.pool.memory(),
            stable=world.subnet.pool.memory(),
            globals=b"",
            certified_data=b"",
            global_timer=0,
            logs=(),
            version=state.version + 1,
            history=history(state, change),
            total_changes=state.total_changes + 1,
        )
    )

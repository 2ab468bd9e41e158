"""Create, start, stop, delete, uninstall: interface specification, "The IC management canister"."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from sandbox.errors import ErrorCode
from sandbox.limits import WASM_MEMORY_LIMIT_DEFAULT
from sandbox.management import rejects
from sandbox.management.settings import SettingsUpdate, apply_settings, check_allocations
from sandbox.management.transition import ManagementContext, Transition, history
from sandbox.principal import Principal
from sandbox.state import NO_CHUNKS, CanisterState, Settings, Status, Subnet


def create_for_cycles(context: ManagementContext, settings: SettingsUpdate) -> Transition:
    """`create_canister`: the new canister owns the cycles of the call, less the fee."""
    fee = context.fees.creation
    if context.cycles < fee:
        raise rejects.creation_fee(context.cycles, fee)
    created = create_canister(context, settings, None, context.cycles - fee)
    return replace(created, accepted=context.cycles)


def create_canister(
    context: ManagementContext, settings: SettingsUpdate, specified_id: Principal | None, cycles: int
) -> Transition:
    """A new empty canister: running, version 0, controlled by the caller unless `settings` say otherwise, with the
    replica's limit for the heap (`dfinity/ic` `rs/config/src/execution_environment.rs`, DEFAULT_WASM_MEMORY_LIMIT).
    The reply is its id; the cycles come from nowhere, and must be enough for the settings
    (`rs/execution_environment/src/canister_manager.rs`, `validate_settings_for_canister_creation`)."""
    subnet = context.subnet
    blank = CanisterState(
        id=context.caller,
        settings=Settings(controllers=(context.caller,), wasm_memory_limit=WASM_MEMORY_LIMIT_DEFAULT),
        heap=subnet.pool.memory(),
        stable=subnet.pool.memory(),
        created_at=subnet.time,
        cycles=cycles,
    )
    chosen = apply_settings(blank, settings)
    check_allocations(context, blank, chosen)
    canister_id, following = _new_id(subnet, specified_id)
    state = replace(blank, id=canister_id, settings=chosen)
    variables = _hash_of_map(state.settings.environment_variables) if "environment_variables" in settings else None
    controllers = tuple(sorted(state.settings.controllers))
    change = context.change(0, "creation", controllers=controllers, environment_variables_hash=variables)
    return Transition(
        canister=replace(state, history=history(state, change), total_changes=1),
        next_canister=following,
        reply=canister_id,
    )


def _new_id(subnet: Subnet, specified: Principal | None) -> tuple[Principal, int]:
    """The id of a new canister, and the index of the one after it."""
    following = subnet.next_canister
    if specified is None:
        while True:
            canister_id, following = Principal.from_index(following), following + 1
            if not _taken(subnet, canister_id):
                return canister_id, following
    if not bytes(specified).endswith(b"\1"):
        raise rejects.invalid_payload(f"The `specified_id` {specified} is invalid: canister ids are opaque ids.")
    if _taken(subnet, specified):
        text = f"Unsuccessful canister creation: canister id {specified} already exists."
        raise rejects.rejected(ErrorCode.CANISTER_ID_ALREADY_EXISTS, text)
    return specified, following


def _hash_of_map(variables: tuple[tuple[str, str], ...]) -> bytes:
    """Interface specification, "Hash of map"."""
    pairs = (b"".join(hashlib.sha256(text.encode()).digest() for text in pair) for pair in variables)
    return hashlib.sha256(b"".join(sorted(pairs))).digest()


def _taken(subnet: Subnet, canister_id: Principal) -> bool:
    return canister_id in subnet.canisters or canister_id in subnet.deleted


def start_canister(context: ManagementContext, canister_id: Principal) -> Transition:
    """Running again; counts as a new version even if it was running."""
    state = context.controlled(canister_id)
    return Transition(canister=replace(state, status=Status.RUNNING, version=state.version + 1))


def stop_canister(context: ManagementContext, canister_id: Principal) -> Transition:
    """Stopping; stopped as soon as no call to the canister is open."""
    state = context.controlled(canister_id)
    status = Status.STOPPED if state.status is Status.STOPPED else Status.STOPPING
    return Transition(canister=replace(state, status=status, version=state.version + 1))


def delete_canister(context: ManagementContext, canister_id: Principal) -> Transition:
    """Gone with its snapshots; the id is never used again."""
    if context.caller == canister_id:
        raise rejects.deletes_itself(canister_id)
    state = context.controlled(canister_id)
    if state.status is not Status.STOPPED:
        raise rejects.not_stopped(canister_id)
    if context.awaited(canister_id):
        raise rejects.queue_not_empty(canister_id)
    return Transition(removed=canister_id)


def uninstall_code(context: ManagementContext, canister_id: Principal) -> Transition:
    """An empty canister that keeps id, controllers, cycles, settings, history, status and snapshots."""
    return Transition(canister=uninstalled(context, context.controlled(canister_id)))


def uninstalled(context: ManagementContext, state: CanisterState) -> CanisterState:
    """The canister without code and all that goes with it; version + 1 and a history entry."""
    change = context.change(state.version + 1, "code_uninstall")
    return replace(
        state,
        code=None,
        heap=context.subnet.pool.memory(),
        stable=context.subnet.pool.memory(),
        globals=b"",
        certified_data=b"",
        global_timer=0,
        chunks=NO_CHUNKS,
        logs=(),
        version=state.version + 1,
        history=history(state, change),
        total_changes=state.total_changes + 1,
    )

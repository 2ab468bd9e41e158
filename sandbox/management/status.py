"""Facts that canisters and users may read of a canister: interface specification, "IC method canister_status",
"canister_info", "canister_metadata", "fetch_canister_logs" (SPECIFICATION 5.7).

Not kept by this sandbox: query statistics (always 0) and reserved cycles (always 0: nothing is reserved for storage).
"""

from __future__ import annotations

from typing import Any

from sandbox.canister.module import compile_module
from sandbox.limits import INGRESS_PAYLOAD
from sandbox.management import rejects
from sandbox.management.settings import sees, to_candid
from sandbox.management.sizes import memory_metrics
from sandbox.management.transition import ManagementContext, Transition
from sandbox.principal import Principal
from sandbox.state import CanisterState, Change, LogRecord, Status

_QUERY_STATS = (
    "num_calls_total",
    "num_instructions_total",
    "request_payload_bytes_total",
    "response_payload_bytes_total",
)
_LOG_OVERHEAD = 32
"""Bytes that a log record takes in an answer besides its content, at most."""


def canister_status(context: ManagementContext, canister_id: Principal) -> Transition:
    """For controllers, those whom `status_visibility` admits, and the canister itself."""
    state = context.canister(canister_id)
    if context.caller != canister_id and not sees(state, state.settings.status_visibility, context.caller):
        raise rejects.status_denied(context.caller)
    return Transition(reply=_status_record(context, state))


def _status_record(context: ManagementContext, state: CanisterState) -> dict[str, Any]:
    metrics = memory_metrics(state)
    return {
        "status": {state.status.name.lower(): None},
        "ready_for_migration": state.status is Status.STOPPED and not context.awaited(state.id),
        "version": state.version,
        "settings": to_candid(state.settings),
        "module_hash": state.code.hash if state.code else None,
        "memory_size": sum(metrics.values()),
        "memory_metrics": metrics,
        "cycles": state.cycles,
        "reserved_cycles": 0,
        "idle_cycles_burned_per_day": context.fees.idle_per_day(state),
        "query_stats": dict.fromkeys(_QUERY_STATS, 0),
    }


def canister_info(context: ManagementContext, canister_id: Principal, requested: int | None) -> Transition:
    """For everybody: history (the newest `requested` entries, oldest first), module hash and controllers."""
    state = context.canister(canister_id)
    shown = state.history[-requested:] if requested else ()
    return Transition(
        reply={
            "total_num_changes": state.total_changes,
            "recent_changes": [change_record(change) for change in shown],
            "module_hash": state.code.hash if state.code else None,
            "controllers": sorted(state.settings.controllers),
        }
    )


def change_record(change: Change) -> dict[str, Any]:
    """A history entry as the `change` record."""
    if change.by_canister:
        origin = {"from_canister": {"canister_id": change.user, "canister_version": change.sender_version}}
    else:
        origin = {"from_user": {"user_id": change.user}}
    details = {name: list(value) if isinstance(value, tuple) else value for name, value in change.details}
    for name, default in (("mode", None), ("source", "taken_from_canister")):
        if name in details or (name == "source" and change.kind == "load_snapshot"):
            details[name] = {details.get(name, default): None}
    return {
        "timestamp_nanos": change.timestamp,
        "canister_version": change.version,
        "origin": origin,
        "details": {change.kind: details or None},
    }


def canister_metadata(context: ManagementContext, canister_id: Principal, name: str) -> Transition:
    """A public section for everybody, a private one for controllers; to others it is as if it were not there."""
    state = context.canister(canister_id)
    if state.code is None:
        raise rejects.no_metadata(canister_id, None)
    facts = compile_module(state.code).facts
    value = facts.public_metadata.get(name)
    if value is None and context.caller in state.settings.controllers:
        value = facts.private_metadata.get(name)
    if value is None:
        raise rejects.no_metadata(canister_id, name)
    return Transition(reply={"value": value})


def fetch_canister_logs(
    context: ManagementContext, canister_id: Principal, wanted: dict[str, Any] | None
) -> Transition:
    """For controllers and those whom `log_visibility` admits. If the records do not fit into one answer, the oldest
    are left out; with a filter (`end` is exclusive) the newest."""
    state = context.canister(canister_id)
    check_logs_visible(state, context.caller)
    records = list(state.logs)
    if wanted is None:
        records = _fitting(records[::-1])[::-1]
    else:
        [(kind, limits)] = wanted.items()
        span = range(limits["start"], limits["end"])
        records = _fitting([r for r in records if (r.index if kind == "by_idx" else r.timestamp) in span])
    shown = [{"idx": r.index, "timestamp_nanos": r.timestamp, "content": r.content} for r in records]
    return Transition(reply={"canister_log_records": shown})


def check_logs_visible(state: CanisterState, reader: Principal) -> None:
    """A reject for those who may not read the canister's log."""
    if not sees(state, state.settings.log_visibility, reader):
        raise rejects.logs_denied(reader)


def _fitting(records: list[LogRecord]) -> list[LogRecord]:
    """The first records that fit into one answer."""
    room = INGRESS_PAYLOAD - 1_000
    for count, record in enumerate(records):
        room -= len(record.content) + _LOG_OVERHEAD
        if room < 0:
            return records[:count]
    return records

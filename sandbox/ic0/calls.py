"""Inter-canister calls: interface specification, "Inter-canister method calls".

A call is built in `Execution.pending`; `call_perform` moves it to `Execution.calls`, from where it leaves the canister
if the execution succeeds. Cycles on a call leave the visible balance at once (`Execution.sent`) and come back when the
call is dropped. Texts and order of checks: `dfinity/ic` `system_api.rs` and `request_in_prep.rs`. Method names that are
not UTF-8 do not trap: the replica replaces the bad bytes.
"""

from __future__ import annotations

from sandbox.errors import ErrorCode
from sandbox.ic0.access import load, violation
from sandbox.ic0.identity import principal
from sandbox.ic0.state import Call, Execution, GuestTrap
from sandbox.limits import CALLS_SIZE, INTER_CANISTER_PAYLOAD, METHOD_NAME

MAX_TIMEOUT_SECONDS = 300
QUEUED, NOT_QUEUED = 0, 2
_NO_FUNCTION = (1 << 32) - 1
"""What a table index beyond 32 bits becomes: no table is that long."""


def _pending(x: Execution, name: str) -> Call:
    if x.pending is None:
        raise violation(f"{name} called when no call is under construction.")
    return x.pending


def drop_pending(x: Execution) -> None:
    """Forget the call under construction, if any; its cycles are the canister's again.

    Also for the end of an execution that did not perform the call it had begun.
    """
    if x.pending is not None:
        x.sent -= x.pending.cycles
        x.pending = None


def call_new(x: Execution, *args: int) -> None:
    """Arguments: address and size of callee and of method name; function and environment for reply and for reject."""
    callee_src, callee_size, name_src, name_size, reply_fun, reply_env, reject_fun, reject_env = args
    drop_pending(x)
    if name_size > METHOD_NAME:
        raise violation(f"Size of method_name {name_size} exceeds the allowed limit of {METHOD_NAME}.")
    method = load(x, "ic0.call_new method_name", name_src, name_size).decode(errors="replace")
    callee = principal(load(x, "ic0.call_new callee_src", callee_src, callee_size))
    x.pending = Call(
        callee=callee,
        method=method,
        on_reply=(min(reply_fun, _NO_FUNCTION), reply_env),
        on_reject=(min(reject_fun, _NO_FUNCTION), reject_env),
    )


def call_on_cleanup(x: Execution, fun: int, env: int) -> None:
    call = _pending(x, "ic0.call_on_cleanup")
    if call.on_cleanup is not None:
        raise violation("ic0.call_on_cleanup can be called at most once between `ic0.call_new` and `ic0.call_perform`")
    call.on_cleanup = (min(fun, _NO_FUNCTION), env)


def call_data_append(x: Execution, src: int, size: int) -> None:
    call = _pending(x, "ic0.call_data_append")
    total = _payload(call) + size
    if total > INTER_CANISTER_PAYLOAD:
        raise violation(
            f"Request to {call.callee}:{call.method} has a payload size of {total}, "
            f"which exceeds the allowed limit of {INTER_CANISTER_PAYLOAD}."
        )
    call.arg += load(x, "ic0.call_data_append", src, size)


def call_with_best_effort_response(x: Execution, timeout_seconds: int) -> None:
    call = _pending(x, "ic0.call_with_best_effort_response")
    if call.timeout_seconds is not None:
        raise violation("ic0_call_with_best_effort_response failed because a timeout is already set.")
    call.timeout_seconds = min(timeout_seconds, MAX_TIMEOUT_SECONDS)


def call_cycles_add(x: Execution, amount: int) -> None:
    _add_cycles(x, "ic0_call_cycles_add", amount)


def call_cycles_add128(x: Execution, high: int, low: int) -> None:
    _add_cycles(x, "ic0_call_cycles_add128", high << 64 | low)


def call_perform(x: Execution) -> int:
    """0: the call will be sent. 2: it cannot be, its cycles are back, and no callback will ever run."""
    call = _pending(x, "ic0.call_perform")
    upper_bound = x.env.fee_functions.get("call_perform")
    prepaid = upper_bound(_payload(call)) or 0 if upper_bound is not None else 0
    used = x.slots.get(call.callee, 0)
    full = len(x.calls) >= x.env.available_callbacks or x.sent_bytes + _payload(call) > CALLS_SIZE
    if full or x.liquid < prepaid or used + x.env.used_slots.get(call.callee, 0) >= x.env.call_slots:
        drop_pending(x)
        return NOT_QUEUED
    call.prepaid = prepaid
    x.sent += prepaid
    x.sent_bytes += _payload(call)
    x.slots[call.callee] = used + 1
    x.calls.append(call)
    x.pending = None
    return QUEUED


def _payload(call: Call) -> int:
    return len(call.method.encode()) + len(call.arg)


def _add_cycles(x: Execution, name: str, amount: int) -> None:
    call = _pending(x, name)
    if amount > x.liquid:
        raise GuestTrap(ErrorCode.CANISTER_CONTRACT_VIOLATION, f"Canister {x.env.canister_id} is out of cycles")
    call.cycles += amount
    x.sent += amount

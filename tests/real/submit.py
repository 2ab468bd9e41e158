"""Calls with Python values that are let in without being executed, and queries that are called as updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox import CallRejected, CallResult, Canister, Sandbox
from sandbox.api import runtime_of
from sandbox.api.typed import decode_results, encode_arguments, interface_of


def submit(sandbox: Sandbox, canister: Canister, method: str, *values: Any) -> Callable[[], Any]:
    """Let the call in; what is returned gives its answer (value or `CallRejected`), None while there is none."""
    function = interface_of(runtime_of(sandbox).state_of(canister.id).code, None).method(method)
    number = sandbox.submit(canister, method, encode_arguments(function, values))

    def answer() -> Any:
        result = sandbox.ingress_status(number)
        return decode_results(function, replied(result)) if isinstance(result, CallResult) else result

    return answer


def call_as_update(sandbox: Sandbox, canister: Canister, method: str, *values: Any) -> Any:
    """The answer of a query method that is called as an update."""
    answer = submit(sandbox, canister, method, *values)
    sandbox.run_until_idle()
    result = answer()
    if isinstance(result, CallRejected):
        raise result
    return result


def replied(result: CallResult) -> bytes:
    """The reply of a call that had one."""
    assert result.reply is not None
    return result.reply

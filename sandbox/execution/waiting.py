"""The open calls of a subnet in words, for errors."""

from __future__ import annotations

from sandbox.principal import Principal
from sandbox.state import Subnet

_SHOWN = 8
"""Calls that a text names."""


def described(subnet: Subnet, canister_id: Principal | None = None) -> str:
    """The open calls, of one canister or of all: `A.wait_for waits for B.ready`, by the ids of the canisters."""
    contexts = {c.id: c for c in subnet.contexts.values() if canister_id in (None, c.canister_id)}
    texts: dict[str, None] = {}
    for callback in subnet.callbacks.values():
        context = contexts.get(callback.context_id)
        if context is not None:
            callee = f"{callback.callee}.{callback.method}" if callback.method else str(callback.callee)
            texts[f"{context.canister_id}.{context.method} waits for {callee}"] = None
    if canister_id is None:
        texts |= {f"a call of stop_canister waits for {stopping} to stop": None for stopping in subnet.stops}
    lines = list(texts)[:_SHOWN]
    if len(texts) > _SHOWN:
        lines.append(f"and {len(texts) - _SHOWN} more")
    return "; ".join(lines) or "no call is open"

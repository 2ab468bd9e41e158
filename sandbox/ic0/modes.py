"""The modes in which a function of a canister runs: interface specification, "Overview of imports".

A mode is one bit, so that "may this function be called here" is one `&`. The names are the replica's, as they appear in
`"ic0_x" cannot be executed in <name> mode`.
"""

from __future__ import annotations

from enum import IntFlag


class Mode(IntFlag):
    """One entry point kind; combined with `|` into the set of modes that an import allows."""

    START = 1 << 0
    INIT = 1 << 1
    PRE_UPGRADE = 1 << 2
    UPDATE = 1 << 3
    REPLICATED_QUERY = 1 << 4
    NON_REPLICATED_QUERY = 1 << 5
    TRANSFORM_QUERY = 1 << 6
    COMPOSITE_QUERY = 1 << 7
    REPLY = 1 << 8
    REJECT = 1 << 9
    COMPOSITE_REPLY = 1 << 10
    COMPOSITE_REJECT = 1 << 11
    CLEANUP = 1 << 12
    COMPOSITE_CLEANUP = 1 << 13
    INSPECT = 1 << 14
    HEARTBEAT = 1 << 15
    GLOBAL_TIMER = 1 << 16
    LOW_WASM_MEMORY = 1 << 17


S, I, G, U, RQ, NRQ, TQ, CQ = (Mode(1 << i) for i in range(8))  # noqa: E741 (the letters are the specification's)
RY, RT, CRY, CRT, C, CC, F = (Mode(1 << i) for i in range(8, 15))
T = Mode.HEARTBEAT | Mode.GLOBAL_TIMER | Mode.LOW_WASM_MEMORY
Q = RQ | NRQ
EVERYWHERE = Mode((1 << 18) - 1)
STAR = EVERYWHERE & ~S
"""`*` of the specification: every mode but `start`."""

RESPONDING = U | RQ | NRQ | TQ | CQ | RY | RT | CRY | CRT
CALLING = U | CQ | RY | RT | CRY | CRT | T
TRACKED = EVERYWHERE & ~(Q | TQ | F)
"""Modes whose changed heap pages count (`ic0.weights`)."""
REPLICATED = I | G | U | RQ | RY | RT | C | T | S

NAMES: dict[Mode, str] = {
    Mode.START: "start",
    Mode.INIT: "init",
    Mode.PRE_UPGRADE: "pre upgrade",
    Mode.UPDATE: "update",
    Mode.REPLICATED_QUERY: "replicated query",
    Mode.NON_REPLICATED_QUERY: "non replicated query",
    Mode.TRANSFORM_QUERY: "non replicated query",
    Mode.COMPOSITE_QUERY: "composite query",
    Mode.REPLY: "reply callback",
    Mode.REJECT: "reject callback",
    Mode.COMPOSITE_REPLY: "composite reply callback",
    Mode.COMPOSITE_REJECT: "composite reject callback",
    Mode.CLEANUP: "cleanup",
    Mode.COMPOSITE_CLEANUP: "composite cleanup",
    Mode.INSPECT: "inspect message",
    Mode.HEARTBEAT: "heartbeat",
    Mode.GLOBAL_TIMER: "global timer",
    Mode.LOW_WASM_MEMORY: "on low Wasm memory",
}

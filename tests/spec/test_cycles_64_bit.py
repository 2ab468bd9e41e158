"""The functions of "Cycles" whose amounts have 64 bits: there for a 32-bit memory alone."""

from __future__ import annotations

from sandbox import ErrorCode, Sandbox
from tests.conftest import rejected
from tests.spec.conftest import CYCLES
from tests.spec.guest import *

TRAPPED = ErrorCode.CANISTER_TRAPPED
TOO_MUCH = "cycles amount exceeds 64-bit representation"


def test_the_balance_in_64_bits(a: Guest) -> None:
    assert count(a.do(reply_number(ic0("canister_cycle_balance")))) == CYCLES


def test_a_balance_beyond_64_bits_traps(sandbox: Sandbox) -> None:
    rich = guest(sandbox, cycles=1 << 64)
    rejected(TRAPPED, TOO_MUCH, rich.do, reply_number(ic0("canister_cycle_balance")))


def test_available_accept_and_refund_in_64_bits(a: Guest, b: Guest) -> None:
    callee = evaluate(ic0("msg_cycles_accept", 30)) + reply_number(ic0("msg_cycles_available"))
    begun = call_new(b, on_reply=reply(arg() + pack(ic0("msg_cycles_refunded")))) + do("call_data_append", callee)
    answer = a.do(begun, do("call_cycles_add", 100), evaluate(call_perform()))
    assert (count(answer[:8]), count(answer[8:])) == (70, 70)


def test_available_beyond_64_bits_traps(sandbox: Sandbox, b: Guest) -> None:
    rich = guest(sandbox, cycles=1 << 70)
    told = reply(reject_message())
    answer = rich.do(call(b, reply_number(ic0("msg_cycles_available")), cycles=1 << 64, on_reject=told))
    assert TOO_MUCH.encode() in answer


def test_a_refund_beyond_64_bits_traps(sandbox: Sandbox, b: Guest) -> None:
    rich = guest(sandbox, cycles=1 << 70)
    program = call(b, reply(), cycles=1 << 64, on_reply=reply_number(ic0("msg_cycles_refunded")))
    rejected(TRAPPED, TOO_MUCH, rich.do, program)

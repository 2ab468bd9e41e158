"""The cost model: free by default, the fees of a 13-node subnet when asked for."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import Canister, ErrorCode, InstructionLimits, Sandbox
from sandbox.api import runtime_of
from sandbox.candid import encode
from sandbox.execution.fees import MAINNET
from sandbox.state import evolve
from tests.conftest import fixture, guest, number, rejected, sandbox_of
from tests.spec.guest import count, evaluate, get_global, ic0, on_timer, reply, reply_number, set_global
from tests.spec.guest import guest as universal

YEAR = 365 * 86_400
CHEAP = InstructionLimits(install=100_000_000)
"""Hooks cost at most 105 million cycles."""


def counter(sandbox: Sandbox, cycles: int | None = None) -> Canister:
    canister = sandbox.create_canister(cycles=cycles)
    canister.install(fixture("counter.classical"))
    return canister


def test_by_default_nothing_costs_anything() -> None:
    sandbox = Sandbox()
    canister = counter(sandbox, cycles=0)
    canister.call("inc")
    sandbox.advance_time(YEAR)
    assert canister.call("get") == 1
    assert canister.status().cycles == 0


def test_an_update_costs_its_reception_and_its_execution() -> None:
    canister = counter(Sandbox(costs="mainnet"))
    before = canister.status().cycles
    result = canister.update("inc")
    fee = MAINNET.ingress_message(len("inc") + 6) + MAINNET.execution(result.instructions, wasm64=False)
    assert before - canister.status().cycles == fee


def test_a_trap_costs_as_much_as_it_executed() -> None:
    canister = counter(Sandbox(costs="mainnet"))
    before = canister.status().cycles
    result = rejected(ErrorCode.CANISTER_CALLED_TRAP, "boom", canister.update, "boom").result
    fee = MAINNET.ingress_message(len("boom") + 6) + MAINNET.execution(result.instructions, wasm64=False)
    assert before - canister.status().cycles == fee


def test_a_query_costs_nothing() -> None:
    canister = counter(Sandbox(costs="mainnet"))
    before = canister.status().cycles
    canister.query_raw("get")
    assert canister.status().cycles == before


def test_what_a_call_sets_aside_for_its_answer_comes_back() -> None:
    sandbox = Sandbox(costs="mainnet")
    first, second = counter(sandbox), counter(sandbox)
    before = first.status().cycles + second.status().cycles
    forward = encode("(principal, text, blob)", [second.id, "inc", b"DIDL\0\0"])
    first.update("forward", forward)
    spent = before - first.status().cycles - second.status().cycles
    set_aside = MAINNET.call_upper_bound(len(forward), 40_000_000_000, wasm64=False)
    assert 3 * MAINNET.message + MAINNET.call < spent < set_aside // 1_000


def test_a_canister_that_cannot_pay_takes_no_messages() -> None:
    canister = counter(Sandbox(costs="mainnet", instruction_limits=CHEAP), cycles=30_000_000_000)
    before = canister.raw_state()
    rejected(ErrorCode.CANISTER_OUT_OF_CYCLES, "is out of cycles", canister.update, "inc")
    assert canister.raw_state() == before


def test_a_timer_waits_for_cycles_and_keeps_nobody_else_waiting() -> None:
    sandbox = Sandbox(costs="mainnet", instruction_limits=CHEAP)
    poor = universal(sandbox, cycles=10**15)
    poor.do(on_timer(set_global(1)), evaluate(ic0("global_timer_set", 1)), reply())
    poor.update_settings(freezing_threshold=1 << 60)
    assert sandbox.run_until_idle() == 1
    poor.update_settings(freezing_threshold=0)
    sandbox.run_until_idle()
    assert count(poor.ask(reply_number(get_global()))) == 1


def test_a_canister_that_cannot_pay_for_time_loses_everything() -> None:
    sandbox = Sandbox(costs="mainnet", instruction_limits=CHEAP)
    canister = counter(sandbox, cycles=30_000_000_000)
    canister.update_settings(freezing_threshold=0)
    canister.take_snapshot()
    sandbox.advance_time(YEAR)
    status = canister.status()
    assert (status.cycles, status.module_hash, status.heap_size) == (0, None, 0)
    assert canister.list_snapshots() == []


def test_unknown_models_are_refused() -> None:
    with pytest.raises(ValueError, match="free, mainnet"):
        Sandbox(costs="cheap")


# `grow` and `grow_stable` take 100 pages; `call` does it in a callback.
GROWING = """
(table funcref (elem $grown))
(data (i32.const 100) "nothing")
(func $more (drop (memory.grow (i32.const 100))))
(func (export "canister_update grow") (call $more) (call $reply64 (i64.extend_i32_u (memory.size))))
(func (export "canister_update grow_stable") (call $reply64 (call $stable64_grow (i64.const 100))))
(func (export "canister_query grow_query") (call $more) (call $reply64 (i64.extend_i32_u (memory.size))))
(func (export "canister_update nothing") (call $reply64 (i64.const 0)))
(func (export "canister_update call")
  (call $canister_self_copy (i32.const 0) (i32.const 0) (i32.const 10))
  (call $call_new (i32.const 0) (i32.const 10) (i32.const 100) (i32.const 7)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
  (if (call $call_perform) (then unreachable)))
(func $grown (param i32) (call $more) (call $reply64 (i64.extend_i32_u (memory.size))))
"""
GROWTH = 100 << 16


@pytest.fixture
def tight() -> Canister:
    """A canister that can do everything for some time, but not pay for 6 MiB more for a year."""
    canister = Sandbox(costs="mainnet", instruction_limits=CHEAP).create_canister(cycles=10**15)
    canister.install(guest(GROWING))
    canister.update_settings(freezing_threshold=100 * YEAR)
    sandbox, state = sandbox_of(canister), runtime_of(canister).state_of(canister.id)
    spare = MAINNET.call_upper_bound(100, 40_000_000_000, wasm64=False) * 3 + MAINNET.execution(40_000_000_000, False)
    assert spare < MAINNET.freezing_limit(state, GROWTH) - MAINNET.freezing_limit(state)
    runtime_of(sandbox).subnet.canisters[canister.id] = evolve(state, cycles=MAINNET.freezing_limit(state) + spare)
    return canister


@pytest.mark.parametrize("method", ["grow", "grow_stable"])
def test_memory_that_would_freeze_the_canister_is_not_taken(method: str, tight: Canister) -> None:
    before = tight.raw_state()
    text = f"Canister cannot grow memory by {GROWTH} bytes due to insufficient cycles. At least "
    rejected(ErrorCode.INSUFFICIENT_CYCLES_IN_MEMORY_GROW, text, tight.update, method)
    assert tight.raw_state() == before
    assert number(tight.update("nothing").reply) == 0


@pytest.mark.parametrize("method", ["grow_query", "call"])
def test_queries_and_callbacks_may_take_memory_all_the_same(method: str, tight: Canister) -> None:
    assert number(tight.update(method).reply) == 101


def test_memory_that_is_paid_for_is_taken() -> None:
    canister = Sandbox(costs="mainnet").create_canister(cycles=10**15)
    canister.install(guest(GROWING))
    assert number(canister.update("grow").reply) == 101


@pytest.mark.parametrize(("kind", "wanted"), [("memory", 1 << 30), ("compute", 1)])
def test_an_allocation_that_would_freeze_the_canister_is_refused(kind: str, wanted: int, tight: Canister) -> None:
    code = ErrorCode[f"INSUFFICIENT_CYCLES_IN_{kind.upper()}_ALLOCATION"]
    text = f"Cannot increase {kind} allocation to {wanted} due to insufficient cycles. At least "
    allocation: dict[str, Any] = {f"{kind}_allocation": wanted}
    refusal = rejected(code, text, tight.update_settings, **allocation)
    assert "\nTop up the canister with more cycles. See documentation: https" in refusal.message
    tight.update_settings(freezing_threshold=0, **allocation)
    tight.update_settings(freezing_threshold=1 << 60)
    assert tight.status().settings.freezing_threshold == 1 << 60


def test_a_module_that_is_refused_costs_its_compilation() -> None:
    """6,000 instructions for each byte; what cannot be decoded costs nothing."""
    sandbox = Sandbox(costs="mainnet")
    canister = counter(sandbox)
    module = guest('(func (export "canister_wrong"))')
    for wasm, fee in ((module, MAINNET.execution(6_000 * len(module), wasm64=False)), (b"\x1f\x8b rubbish", 0)):
        before = canister.status().cycles
        rejected(ErrorCode.CANISTER_INVALID_WASM, "Wasm module is not valid", canister.install, wasm, mode="upgrade")
        assert before - canister.status().cycles == fee
    assert canister.call("get") == 0
    rejected(ErrorCode.CANISTER_INVALID_WASM, "not valid", counter(Sandbox()).install, module, mode="upgrade")


def test_an_installation_costs_its_hooks_and_its_compilation() -> None:
    canister = Sandbox(costs="mainnet").create_canister()
    before = canister.status().cycles
    result = canister.install(fixture("counter.classical"))
    spent = MAINNET.execution(result.instructions + result.compilation, wasm64=False)
    assert before - canister.status().cycles == spent
    assert result.compilation % 6_000 == 0

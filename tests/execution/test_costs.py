"""The cost model: free by default, the fees of a 13-node subnet when asked for."""

from __future__ import annotations

import pytest

from sandbox import Canister, ErrorCode, InstructionLimits, Sandbox
from sandbox.candid import encode
from sandbox.execution.fees import MAINNET
from tests.conftest import fixture, rejected

YEAR = 365 * 86_400
CHEAP = InstructionLimits(install=100_000_000)
"""Installing costs at most 105 million cycles."""


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
    canister.query("get")
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
    rejected(ErrorCode.CANISTER_OUT_OF_CYCLES, "is out of cycles: please top up", canister.update, "inc")
    assert canister.raw_state() == before


def test_a_canister_that_cannot_pay_for_time_loses_everything() -> None:
    sandbox = Sandbox(costs="mainnet", instruction_limits=CHEAP)
    canister = counter(sandbox, cycles=30_000_000_000)
    canister.take_snapshot()
    sandbox.advance_time(YEAR)
    status = canister.status()
    assert (status.cycles, status.module_hash, status.heap_size) == (0, None, 0)
    assert canister.list_snapshots() == []


def test_unknown_models_are_refused() -> None:
    with pytest.raises(ValueError, match="free, mainnet"):
        Sandbox(costs="cheap")

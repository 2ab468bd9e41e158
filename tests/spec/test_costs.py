"""Cycles in hooks, and what code installation costs: interface specification, "Cycles", "Costs", "install_code"."""

from __future__ import annotations

import pytest

from sandbox import CallResult, ErrorCode, Sandbox
from tests.conftest import FEW_INSTRUCTIONS, rejected
from tests.spec.conftest import BOTH, CYCLES
from tests.spec.guest import *

RICH = 1 << 60
pytestmark = BOTH


@pytest.fixture
def charged(bits: int) -> Guest:
    sandbox = Sandbox(costs="mainnet", instruction_limits=FEW_INSTRUCTIONS)
    return guest(sandbox, bits=bits, cycles=RICH)


def cycles(canister: Guest) -> int:
    return canister.status().cycles


def test_post_upgrade_cannot_burn_what_pre_upgrade_has_burned(a: Guest, bits: int) -> None:
    a.do(on_pre_upgrade(evaluate(burn(CYCLES - 7))), reply())
    a.upgrade(module(bits), code(set_slot(6, burn(CYCLES))))
    assert (count(a.ask(reply(slot(6)))), cycles(a)) == (7, 0)


@pytest.mark.parametrize("where", ["init", "post_upgrade"])
def test_hooks_see_the_prices_that_messages_see(where: str, charged: Guest, bits: int) -> None:
    prices = wide("cost_create_canister") + wide("cost_call", 10, 100)
    charged.install(module(bits), code(set_slot(6, prices)), mode="reinstall" if where == "init" else "upgrade")
    assert charged.ask(reply(slot(6))) == charged.ask(reply(prices))


def test_hooks_cannot_burn_what_keeps_the_canister_alive(charged: Guest, bits: int) -> None:
    charged.upgrade(module(bits), code(evaluate(burn(RICH))))
    assert charged.ask(reply("not frozen")) == b"not frozen"


def fee(result: CallResult, bits: int) -> int:
    """What an installation costs: a message, and one cycle for each instruction, with a 64-bit memory two."""
    return 5_000_000 + (result.instructions + result.compilation) * (2 if bits == 64 else 1)


def test_an_installation_is_paid_for(charged: Guest, bits: int) -> None:
    for times in (1, 100_000):
        before = cycles(charged)
        result = charged.install(module(bits), code(spin(times)), mode="reinstall")
        assert before - cycles(charged) == fee(result, bits)
        assert times < result.instructions < result.compilation


def test_an_installation_that_traps_is_paid_for(charged: Guest, bits: int) -> None:
    before = cycles(charged)
    error = rejected(ErrorCode.CANISTER_CALLED_TRAP, "no", charged.upgrade, module(bits), code(trap("no")))
    assert before - cycles(charged) == fee(error.result, bits)
    assert 0 < error.result.instructions < error.result.compilation


def test_an_installation_that_cannot_be_paid_is_refused(bits: int) -> None:
    poor = Sandbox(costs="mainnet").create_canister(cycles=1_000_000_000)
    text = f"Canister installation failed with `Canister {poor.id} is out of cycles: please top up the canister with at"
    error = rejected(ErrorCode.CANISTER_OUT_OF_CYCLES, text, poor.install, module(bits))
    assert " additional cycles`.\nTop up the canister with more cycles. See documentation: https" in error.message
    assert poor.status().module_hash is None

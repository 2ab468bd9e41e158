"""Interface specification, "Canister settings" and "Costs", "Certified data": what they do to a running canister."""

from __future__ import annotations

import pytest

from sandbox import CallRejected, ErrorCode, Principal, Sandbox
from sandbox.api import runtime_of
from tests.conftest import everything, rejected, sandbox_of
from tests.management.methods import encoded
from tests.spec.conftest import BOTH, CYCLES
from tests.spec.guest import *

PAGE = 65536
LIMIT_EXCEEDED = ErrorCode.CANISTER_WASM_MEMORY_LIMIT_EXCEEDED


def limited(canister: Guest, pages: int) -> Guest:
    """The canister whose heap may grow by so many pages."""
    canister.update_settings(wasm_memory_limit=len(canister.raw_state().heap) + pages * PAGE)
    return canister


@BOTH
def test_an_update_may_not_grow_beyond_the_memory_limit(a: Guest) -> None:
    limited(a, 2).do(evaluate(memory_grow(2)), reply())
    rejected(LIMIT_EXCEEDED, "exceeded its current Wasm memory limit", a.do, evaluate(memory_grow(1)), reply())


def test_growing_beyond_the_memory_limit_changes_nothing(a: Guest, sandbox: Sandbox) -> None:
    limited(a, 0)
    before = everything(sandbox, a)
    rejected(LIMIT_EXCEEDED, "limit", a.do, evaluate(memory_grow(1)), reply())
    assert everything(sandbox, a) == before


def test_the_memory_limit_does_not_bind_queries(a: Guest) -> None:
    assert limited(a, 0).ask(evaluate(memory_grow(1)), reply("fine")) == b"fine"


def test_the_memory_limit_does_not_bind_callbacks(a: Guest, b: Guest) -> None:
    limited(a, 1)
    pages = count(a.ask(reply_number(memory_size())))
    a.do(call(b, reply(), on_reply=evaluate(memory_grow(3)) + reply()))
    assert count(a.ask(reply_number(memory_size()))) == pages + 3


def test_the_memory_limit_does_not_bind_timers(a: Guest, sandbox: Sandbox) -> None:
    limited(a, 1)
    pages = count(a.ask(reply_number(memory_size())))
    a.do(on_timer(evaluate(memory_grow(3))), do("global_timer_set", 1), reply())
    sandbox.tick()
    assert count(a.ask(reply_number(memory_size()))) == pages + 3


def test_the_memory_limit_binds_post_upgrade(a: Guest) -> None:
    limited(a, 1)
    rejected(LIMIT_EXCEEDED, "limit", a.upgrade, module(), code(evaluate(memory_grow(5))))


def test_the_memory_limit_cannot_be_below_what_is_used(a: Guest) -> None:
    rejected(
        ErrorCode.CANISTER_CONTRACT_VIOLATION,
        "is below the current Wasm memory usage",
        a.update_settings,
        wasm_memory_limit=PAGE // 2,
    )


# --- minimum_incoming_canister_call_cycles


@pytest.fixture
def dear(b: Guest) -> Guest:
    b.update_settings(minimum_incoming_canister_call_cycles=1000)
    return b


def test_a_call_with_too_few_cycles_is_rejected_and_refunded(a: Guest, dear: Guest) -> None:
    told = reply(pack(reject_code()) + refunded())
    answer = a.do(call(dear, evaluate(accept()) + reply(), cycles=999, on_reject=told))
    assert (answer[0], count(answer[8:])) == (5, 999)
    assert (a.status().cycles, dear.status().cycles) == (CYCLES, CYCLES)


def test_a_call_with_enough_cycles_is_executed(a: Guest, dear: Guest) -> None:
    assert a.do(call(dear, reply("fine"), cycles=1000)) == b"fine"


def test_users_pay_no_minimum(dear: Guest) -> None:
    assert dear.do(reply("fine")) == b"fine"


def test_queries_of_users_pay_no_minimum(dear: Guest) -> None:
    assert dear.ask(reply("fine")) == b"fine"


def test_a_canister_that_calls_itself_pays_no_minimum(dear: Guest) -> None:
    assert dear.do(call(dear, reply("fine"))) == b"fine"


# --- freezing


@pytest.fixture
def frozen(sandbox: Sandbox) -> Guest:
    """A canister whose balance is below what its freezing threshold asks for."""
    sandbox = Sandbox(costs="mainnet")
    c = guest(sandbox, cycles=2_000_000_000_000)
    c.update_settings(freezing_threshold=1 << 60)
    return c


def test_a_frozen_canister_takes_no_updates(frozen: Guest) -> None:
    text = f"Canister {frozen.id} is out of cycles: please top up the canister with at least "
    owner = frozen.status().settings.controllers[0]
    rejected(ErrorCode.CANISTER_OUT_OF_CYCLES, text, frozen.do, reply(), sender=owner)


@pytest.mark.parametrize("composite", [False, True])
def test_a_frozen_canister_answers_no_queries(composite: bool, frozen: Guest) -> None:
    text = (
        f"Canister {frozen.id} is unable to process query calls because it's frozen. "
        "Please top up the canister with cycles and try again."
    )
    ask = frozen.ask_composite if composite else frozen.ask
    error = rejected(ErrorCode.CANISTER_OUT_OF_CYCLES, text, ask, reply())
    assert (error.message, error.reject_code) == (text, 2)


def test_a_frozen_canister_rejects_calls(frozen: Guest) -> None:
    c = guest(sandbox_of(frozen), cycles=10_000_000_000_000)
    told = reply(pack(reject_code()) + reject_message())
    answer = c.do(call(frozen, reply(), on_reject=told))
    assert (answer[0], b"IC0207" in answer, b"is out of cycles" in answer) == (2, True, True)


def test_a_frozen_canister_has_no_timers(frozen: Guest, sandbox: Sandbox) -> None:
    frozen.update_settings(freezing_threshold=0)
    frozen.do(on_timer(set_global(1)), do("global_timer_set", 1), reply())
    frozen.update_settings(freezing_threshold=1 << 60)
    sandbox_of(frozen).tick()
    frozen.update_settings(freezing_threshold=0)
    assert count(frozen.ask(reply_number(get_global()))) == 0


def test_a_canister_that_freezes_while_it_waits_gets_its_answer(frozen: Guest) -> None:
    frozen.update_settings(freezing_threshold=0)
    other = guest(sandbox_of(frozen), cycles=1 << 60)
    frozen.update_settings(controllers=[other.id])
    arg = encoded("update_settings", {"canister_id": frozen.id, "settings": {"freezing_threshold": 1 << 60}})
    freeze = call(Principal.management(), arg, method="update_settings", on_reply=reply("frozen"))
    assert frozen.do(call(other, freeze)) == b"frozen"
    rejected(ErrorCode.CANISTER_OUT_OF_CYCLES, "is out of cycles", frozen.do, reply())


def test_without_a_threshold_it_works_again(frozen: Guest) -> None:
    frozen.update_settings(freezing_threshold=0)
    assert frozen.do(reply("warm")) == b"warm"


def test_out_of_cycles_open_calls_are_rejected() -> None:
    sandbox = Sandbox(costs="mainnet")
    poor, other = guest(sandbox, cycles=10_000_000_000_000), guest(sandbox, cycles=1 << 60)
    poor.update_settings(freezing_threshold=0)
    other.update_settings(controllers=[other.id])
    waits = call(Principal.management(), encoded("stop_canister", {"canister_id": other.id}), method="stop_canister")
    number = sandbox.submit(poor, "update", code(call(other, waits)))
    sandbox.tick()
    assert sandbox.ingress_status(number) is None
    sandbox.advance_time(100 * 365 * 24 * 3600 * 1000)
    assert poor.status().module_hash is None
    answer = sandbox.ingress_status(number)
    assert isinstance(answer, CallRejected)
    assert (answer.reject_code, answer.message) == (4, "Canister has been uninstalled.")


# --- costs


KEYS = ["cost_sign_with_ecdsa", "cost_sign_with_schnorr", "cost_vetkd_derive_key"]


@BOTH
def test_by_default_everything_costs_nothing(a: Guest) -> None:
    costs = wide("cost_call", 10, 10) + wide("cost_create_canister") + wide("cost_http_request", 10, 10)
    assert a.do(reply(costs)) == bytes(48)


@BOTH
@pytest.mark.parametrize("name", KEYS)
def test_signing_with_an_unknown_curve_is_1(name: str, a: Guest) -> None:
    assert count(a.do(reply_number(ic0(name, "key_1", 77, 0)))) == 1


@pytest.fixture
def mainnet(bits: int) -> Guest:
    return guest(Sandbox(costs="mainnet"), bits=bits, cycles=1 << 60)


@BOTH
@pytest.mark.parametrize("name", KEYS)
def test_signing_with_an_unknown_key_is_2_and_writes_nothing(name: str, mainnet: Guest) -> None:
    program = store(0, 77) + set_global(ic0(name, "no such key", 0, 0))
    assert count(mainnet.do(program, reply_number(get_global() * 1000 + load(0)))) == 2077


@BOTH
def test_published_prices(mainnet: Guest) -> None:
    assert count(mainnet.do(reply(wide("cost_create_canister")))) == 500_000_000_000
    larger = wide("cost_call", 10, 110)
    answer = mainnet.do(reply(wide("cost_call", 10, 10) + larger))
    assert count(answer[16:]) - count(answer[:16]) == 100 * 1000


# --- certified data


@BOTH
@pytest.mark.parametrize("size", [0, 1, 32])
def test_certified_data_takes_effect_when_the_message_succeeds(size: int, a: Guest, sandbox: Sandbox) -> None:
    a.do(do("certified_data_set", b"x" * size), reply())
    assert runtime_of(sandbox).state_of(a.id).certified_data == b"x" * size


@BOTH
def test_certified_data_has_at_most_32_bytes(a: Guest) -> None:
    text = "ic0_certified_data_set failed because the passed data must be no larger than 32 bytes. Found 33 bytes."
    rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, text, a.do, do("certified_data_set", bytes(33)))


def test_a_trap_certifies_nothing(a: Guest, sandbox: Sandbox) -> None:
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "no", a.do, do("certified_data_set", "x"), trap("no"))
    assert runtime_of(sandbox).state_of(a.id).certified_data == b""


def test_the_last_certified_data_of_a_message_counts(a: Guest, sandbox: Sandbox) -> None:
    a.do(do("certified_data_set", "first"), do("certified_data_set", "last"), reply())
    assert runtime_of(sandbox).state_of(a.id).certified_data == b"last"


def test_callbacks_certify(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    a.do(call(b, reply(), on_reply=do("certified_data_set", "callback") + reply()))
    assert runtime_of(sandbox).state_of(a.id).certified_data == b"callback"

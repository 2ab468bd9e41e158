"""Interface specification, "Global timer", "Heartbeat", "On low Wasm memory": tasks that nobody calls."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode, Principal, Sandbox
from sandbox.api import runtime_of
from tests.conftest import everything, rejected
from tests.spec.conftest import BOTH
from tests.spec.guest import *

COUNTED = set_global(get_global() + 1)


def state(canister: Guest) -> int:
    return count(canister.ask(reply_number(get_global())))


def set_timer(when_: N) -> Number:
    return ic0("global_timer_set", when_)


# --- timer


@BOTH
def test_a_timer_fires_when_its_time_has_come(a: Guest, sandbox: Sandbox) -> None:
    due = sandbox.time + 10_000_000_000
    a.do(on_timer(COUNTED), evaluate(set_timer(due)), reply())
    sandbox.advance_time(9.999)
    sandbox.tick()
    assert state(a) == 0
    sandbox.advance_time(0.001)
    sandbox.tick()
    assert state(a) == 1


def test_a_timer_in_the_past_fires_in_the_next_round(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_timer(COUNTED), evaluate(set_timer(1)), reply())
    sandbox.tick()
    assert state(a) == 1


def test_a_timer_fires_once(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_timer(COUNTED), evaluate(set_timer(1)), reply())
    sandbox.tick(3)
    assert state(a) == 1


def test_setting_a_timer_tells_the_one_before(a: Guest) -> None:
    assert count(a.do(reply_number(set_timer(5)))) == 0
    assert count(a.do(reply_number(set_timer(6)))) == 5
    assert count(a.do(reply_number(set_timer(0)))) == 6
    assert count(a.do(reply_number(set_timer(0)))) == 0


def test_setting_a_timer_twice_in_a_message_tells_the_first(a: Guest) -> None:
    assert count(a.do(evaluate(set_timer(5)), reply_number(set_timer(6)))) == 5


def test_zero_switches_a_timer_off(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_timer(COUNTED), evaluate(set_timer(1)), reply())
    a.do(evaluate(set_timer(0)), reply())
    sandbox.tick()
    assert state(a) == 0


def test_a_trap_sets_no_timer(a: Guest, sandbox: Sandbox) -> None:
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "no", a.do, evaluate(set_timer(1)), trap("no"))
    assert runtime_of(sandbox).state_of(a.id).global_timer == 0


def test_the_timer_is_off_when_it_runs(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_timer(set_global(set_timer(0) + 100)), evaluate(set_timer(1)), reply())
    sandbox.tick()
    assert state(a) == 100


def test_a_timer_may_set_itself_again(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_timer(COUNTED + evaluate(set_timer(ic0("time") + 1_000_000_000))), evaluate(set_timer(1)), reply())
    for expected in range(1, 6):
        sandbox.tick()
        assert state(a) == expected
        sandbox.advance_time(1)


def test_a_timer_that_traps_stays_off_and_leaves_a_log(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_timer(COUNTED + trap("timer")), evaluate(set_timer(1)), reply())
    before = sandbox.raw_state(a)
    sandbox.tick(2)
    assert sandbox.raw_state(a) == before
    assert runtime_of(sandbox).state_of(a.id).global_timer == 0
    assert [record.content for record in a.logs()] == [b"[TRAP]: timer"]


def test_a_timer_waits_while_its_canister_is_stopped(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_timer(COUNTED), evaluate(set_timer(1)), reply())
    a.stop()
    sandbox.tick()
    a.start()
    assert state(a) == 0
    sandbox.tick()
    assert state(a) == 1


def test_the_caller_of_a_timer_is_the_management_canister(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_timer(set_slot(6, caller() + "!")), evaluate(set_timer(1)), reply())
    sandbox.tick()
    assert a.ask(reply(slot(6))) == b"!"


def test_a_timer_may_call(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    calling = call(b, COUNTED + reply(), on_reply=set_global(get_global() + 10))
    a.do(on_timer(calling), evaluate(set_timer(1)), reply())
    sandbox.run_until_idle()
    assert (state(a), state(b)) == (10, 1)


def test_a_callback_of_a_timer_cannot_answer(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    a.do(on_timer(call(b, reply(), on_reply=set_global(5) + reply())), evaluate(set_timer(1)), reply())
    sandbox.run_until_idle()
    assert state(a) == 0


def test_a_timer_survives_reading_and_stays_through_snapshots(a: Guest, sandbox: Sandbox) -> None:
    a.do(evaluate(set_timer(1 << 62)), reply())
    snapshot = a.take_snapshot()
    a.do(evaluate(set_timer(1 << 61)), reply())
    a.load_snapshot(snapshot.id)
    assert runtime_of(sandbox).state_of(a.id).global_timer == 1 << 61


@pytest.mark.parametrize("how", ["reinstall", "upgrade", "uninstall"])
def test_new_code_clears_the_timer(how: str, a: Guest, sandbox: Sandbox) -> None:
    a.do(evaluate(set_timer(1 << 62)), reply())
    if how == "uninstall":
        a.uninstall()
    else:
        a.install(module(), mode=how)
    assert runtime_of(sandbox).state_of(a.id).global_timer == 0


def test_post_upgrade_may_set_the_timer(a: Guest, sandbox: Sandbox) -> None:
    a.upgrade(module(), code(evaluate(set_timer(99))))
    assert runtime_of(sandbox).state_of(a.id).global_timer == 99


# --- heartbeat


def beating(sandbox: Sandbox, program: Do, bits: int = 32) -> Guest:
    return guest(sandbox, on_heartbeat(program), wasm=module(bits, hooks=("heartbeat",)))


@BOTH
def test_a_heartbeat_runs_once_each_round(sandbox: Sandbox, bits: int) -> None:
    c = beating(sandbox, COUNTED, bits)
    sandbox.tick(5)
    assert state(c) == 5


def test_a_heartbeat_does_not_run_while_its_canister_is_stopped(sandbox: Sandbox) -> None:
    c = beating(sandbox, COUNTED)
    c.stop()
    sandbox.tick(3)
    c.start()
    assert state(c) == 0


def test_a_heartbeat_that_traps_changes_nothing_and_is_logged(sandbox: Sandbox) -> None:
    c = beating(sandbox, COUNTED + trap("beat"))
    before = everything(sandbox, c)
    sandbox.tick(2)
    assert everything(sandbox, c) == before
    assert [record.content for record in c.logs()] == [b"[TRAP]: beat"] * 2


def test_a_heartbeat_may_call_and_not_answer(sandbox: Sandbox, b: Guest) -> None:
    c = beating(sandbox, call(b, COUNTED + reply(), on_reply=COUNTED))
    sandbox.tick()
    assert (state(b), state(c)) == (1, 1)
    c.upgrade(module(hooks=("heartbeat",)), code(on_heartbeat(set_global(9) + reply())))
    sandbox.tick()
    assert state(c) == 0


def test_the_caller_of_a_heartbeat_is_the_management_canister(sandbox: Sandbox) -> None:
    c = beating(sandbox, set_slot(6, caller() + "!"))
    sandbox.tick()
    assert c.ask(reply(slot(6))) == bytes(Principal.management()) + b"!"


def test_a_heartbeat_raises_the_version(sandbox: Sandbox) -> None:
    c = beating(sandbox, Do())
    version = c.status().version
    sandbox.tick(2)
    assert c.status().version == version + 2


# --- low memory


LOW = 1 << 40
"""A threshold that every heap is within."""


def test_the_hook_runs_once_when_memory_becomes_low(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_low_memory(COUNTED), reply())
    sandbox.tick()
    assert state(a) == 0
    a.update_settings(wasm_memory_threshold=LOW)
    sandbox.tick(3)
    assert state(a) == 1


def test_growing_makes_memory_low(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_low_memory(COUNTED), reply())
    used = len(a.raw_state().heap)
    a.update_settings(wasm_memory_limit=used + 4 * 65536, wasm_memory_threshold=2 * 65536)
    sandbox.tick()
    assert state(a) == 0
    a.do(evaluate(memory_grow(3)), reply())
    sandbox.tick()
    assert state(a) == 1


def test_the_hook_runs_again_when_memory_was_enough_meanwhile(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_low_memory(COUNTED), reply())
    for threshold in (LOW, 0, LOW):
        a.update_settings(wasm_memory_threshold=threshold)
        sandbox.tick()
    assert state(a) == 2


def test_the_hook_runs_before_other_messages(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_low_memory(set_slot(6, slot(6) + "hook ")), reply())
    sandbox.submit(a, "update", code(set_slot(6, slot(6) + "message "), reply()))
    a.update_settings(wasm_memory_threshold=LOW)
    sandbox.run_until_idle()
    assert a.ask(reply(slot(6))) == b"hook message "


def test_a_hook_that_traps_changes_nothing_and_does_not_run_again(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_low_memory(COUNTED + trap("low")), reply())
    a.update_settings(wasm_memory_threshold=LOW)
    sandbox.tick(2)
    assert state(a) == 0
    assert [record.content for record in a.logs()] == [b"[TRAP]: low"]


def test_a_hook_may_call(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    a.do(on_low_memory(call(b, COUNTED + reply(), on_reply=COUNTED)), reply())
    a.update_settings(wasm_memory_threshold=LOW)
    sandbox.run_until_idle()
    assert (state(a), state(b)) == (1, 1)


def test_the_hook_waits_while_its_canister_is_stopped(a: Guest, sandbox: Sandbox) -> None:
    a.do(on_low_memory(COUNTED), reply())
    a.stop()
    a.update_settings(wasm_memory_threshold=LOW)
    sandbox.tick(2)
    a.start()
    assert state(a) == 0
    sandbox.run_until_idle()
    sandbox.tick()
    assert state(a) == 1

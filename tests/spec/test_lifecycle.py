"""Interface specification, "Canister module installation", "upgrades", "uninstallation", "Stopping", "Deleting"."""

from __future__ import annotations

import pytest

from sandbox import CallRejected, ErrorCode, Principal, Sandbox
from tests.conftest import everything, rejected
from tests.management.methods import encoded
from tests.spec.conftest import BOTH, CYCLES
from tests.spec.guest import *

CALLED_TRAP = ErrorCode.CANISTER_CALLED_TRAP
MANAGEMENT = Principal.management()


def state(canister: Guest) -> int:
    return count(canister.ask(reply_number(get_global())))


# --- install


@BOTH
def test_init_gets_the_argument_and_runs_once(sandbox: Sandbox, bits: int) -> None:
    c = guest(sandbox, set_global(get_global() + 1) + set_slot(6, arg()), bits=bits)
    assert state(c) == 1
    assert c.ask(reply(slot(6))) == (set_global(get_global() + 1) + set_slot(6, arg())).code


@BOTH
def test_start_runs_before_init(sandbox: Sandbox, bits: int) -> None:
    wasm = module(bits, start=set_global(5))
    assert state(guest(sandbox, set_global(get_global() + 1), wasm=wasm)) == 6


def test_start_does_not_run_before_messages(sandbox: Sandbox) -> None:
    c = guest(sandbox, wasm=module(start=set_global(get_global() + 1)))
    c.do(reply())
    assert state(c) == 1


def test_what_start_does_is_part_of_the_installation(sandbox: Sandbox) -> None:
    start = evaluate(stable_grow(1)) + stable_write(0, "start") + set_slot(6, "slot")
    c = guest(sandbox, wasm=module(start=start))
    assert c.ask(reply(stable_read(0, 5) + slot(6))) == b"startslot"


@pytest.mark.parametrize("where", ["start", "init"])
def test_a_trap_in_an_installation_leaves_the_canister_empty(where: str, sandbox: Sandbox) -> None:
    c = sandbox.create_canister()
    before = everything(sandbox, c)
    wasm = module(start=trap("start")) if where == "start" else module()
    rejected(CALLED_TRAP, f"'{where}'", c.install, wasm, code(trap(where)))
    assert everything(sandbox, c) == before


def test_a_reinstallation_forgets_everything(a: Guest) -> None:
    a.do(set_global(3), set_slot(6, "x"), evaluate(stable_grow(1)), reply())
    a.install(module(), mode="reinstall")
    program = reply(slot(6) + pack(get_global()) + pack(ic0("stable64_size")))
    assert a.ask(program) == bytes(16)


def test_a_reinstallation_keeps_cycles_controllers_and_settings(a: Guest) -> None:
    before = a.status()
    a.install(module(), mode="reinstall")
    after = a.status()
    assert (after.cycles, after.settings) == (before.cycles, before.settings)


# --- upgrade


@BOTH
def test_an_upgrade_begins_with_a_fresh_heap_and_fresh_globals(a: Guest, bits: int) -> None:
    a.do(set_global(3), set_slot(6, "x"), reply())
    a.upgrade(module(bits))
    assert a.ask(reply(slot(6) + pack(get_global()))) == bytes(8)


def test_pre_upgrade_runs_in_the_old_code_and_post_upgrade_in_the_new(a: Guest) -> None:
    a.do(evaluate(stable_grow(1)), on_pre_upgrade(stable_write(0, "old")), reply())
    a.upgrade(module(), code(stable_write(3, "new")))
    assert a.ask(reply(stable_read(0, 6))) == b"oldnew"


@pytest.mark.parametrize("where", ["pre", "start", "post"])
def test_a_trap_in_an_upgrade_changes_nothing(where: str, a: Guest, sandbox: Sandbox) -> None:
    a.do(evaluate(stable_grow(1)), stable_write(0, "kept"), set_global(4), reply())
    if where == "pre":
        a.do(on_pre_upgrade(stable_write(0, "lost") + trap("pre")), reply())
    wasm = module(start=stable_write(0, "lost") + trap("start")) if where == "start" else module()
    before = everything(sandbox, a)
    post = stable_write(0, "lost") + trap("post")
    rejected(CALLED_TRAP, f"'{where}'", a.upgrade, wasm, code(post))
    assert everything(sandbox, a) == before
    assert state(a) == 4


def test_pre_upgrade_may_be_skipped(a: Guest) -> None:
    a.do(on_pre_upgrade(trap("pre")), reply())
    a.upgrade(module(), skip_pre_upgrade=True)
    assert a.do(reply("new")) == b"new"


def test_an_upgrade_does_not_run_init(a: Guest) -> None:
    a.upgrade(module(), code(set_global(7)))
    assert state(a) == 7


def test_a_stopped_canister_may_be_upgraded(a: Guest) -> None:
    a.stop()
    a.upgrade(module())
    assert a.status().status == "stopped"


@pytest.mark.parametrize("where", ["pre", "post"])
def test_upgrade_hooks_cannot_call(where: str, a: Guest, b: Guest) -> None:
    calling = call_new(b)
    if where == "pre":
        a.do(on_pre_upgrade(calling), reply())
    text = '"ic0_call_new" cannot be executed in ' + ("pre upgrade" if where == "pre" else "init") + " mode"
    rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, text, a.upgrade, module(), code(calling))


def test_a_call_that_is_open_during_an_upgrade_is_called_back_in_the_new_code(a: Guest, b: Guest) -> None:
    b.update_settings(controllers=[a.id])
    install = {"mode": {"upgrade": None}, "canister_id": b.id, "wasm_module": module(), "arg": set_global(6).code}
    a.do(set_slot(6, encoded("install_code", install)), reply())
    upgrade = call(MANAGEMENT, slot(6), method="install_code", on_reply=reply("upgraded"))
    program = call(a, upgrade, on_reply=reply(blob("back ") + arg()))
    # The new heap holds no program where the old one kept it: the callback finds nothing to do.
    rejected(ErrorCode.CANISTER_DID_NOT_REPLY, "did not reply", b.do, program)
    assert state(b) == 6


def one_way(method: str, target: Guest) -> Do:
    """A call of the management canister that nobody waits for."""
    begun = call_new(MANAGEMENT, method) + do("call_data_append", encoded(method, {"canister_id": target.id}))
    return begun + evaluate(call_perform())


# --- uninstall


@BOTH
def test_an_uninstalled_canister_is_empty(a: Guest) -> None:
    a.do(evaluate(stable_grow(1)), do("certified_data_set", "x"), do("global_timer_set", 9), reply())
    a.uninstall()
    raw, status = a.raw_state(), a.status()
    assert (raw.module, raw.heap, raw.stable, raw.globals) == (None, b"", b"", b"")
    assert (status.module_hash, status.status, status.cycles) == (None, "running", CYCLES)


def test_uninstalling_rejects_open_calls(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    b.update_settings(controllers=[a.id])
    uninstall = call(MANAGEMENT, encoded("uninstall_code", {"canister_id": b.id}), method="uninstall_code")
    number = sandbox.submit(b, "update", code(call(a, uninstall)))
    sandbox.run_until_idle()
    answer = sandbox.ingress_status(number)
    assert isinstance(answer, CallRejected)
    assert (answer.reject_code, answer.message) == (4, "Canister has been uninstalled.")


def test_callbacks_of_an_uninstalled_canister_never_run_and_cycles_come_back(
    a: Guest, b: Guest, sandbox: Sandbox
) -> None:
    b.update_settings(controllers=[a.id, sandbox.identity("default")])
    uninstall = call(MANAGEMENT, encoded("uninstall_code", {"canister_id": b.id}), method="uninstall_code")
    sandbox.submit(b, "update", code(call(a, uninstall, cycles=5000, on_reply=set_global(1))))
    sandbox.run_until_idle()
    assert b.status().cycles == CYCLES
    b.install(module())
    assert state(b) == 0


def test_an_uninstalled_canister_is_stopped_when_its_calls_are_answered(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    b.update_settings(controllers=[a.id, sandbox.identity("default")])
    program = NOTHING
    for method in ("uninstall_code", "stop_canister", "delete_canister"):
        program += one_way(method, b)
    sandbox.submit(b, "update", code(call(a, program + call(a, reply()), cycles=5000)))
    sandbox.run_until_idle()
    assert (b.status().status, b.status().cycles) == ("stopped", CYCLES)


# --- stop, start, delete


def test_a_stopping_canister_takes_no_calls(a: Guest, b: Guest) -> None:
    b.update_settings(controllers=[a.id])
    told = reply(pack(reject_code()) + reject_message())
    program = one_way("stop_canister", b) + call(b, reply(), on_reject=told)
    answer = b.do(call(a, program))
    assert (answer[0], answer[8:].decode()) == (5, f"Canister {b.id} is stopping")


def test_a_stopping_canister_takes_answers_and_is_stopped_then(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    b.update_settings(controllers=[a.id, sandbox.identity("default")])
    assert b.do(call(a, one_way("stop_canister", b) + call(a, reply()), on_reply=reply("answered"))) == b"answered"
    assert b.status().status == "stopped"


def test_stop_is_answered_when_the_canister_is_stopped(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    b.update_settings(controllers=[a.id, sandbox.identity("default")])
    stop = call(MANAGEMENT, encoded("stop_canister", {"canister_id": b.id}), method="stop_canister")
    assert a.do(stop) == b"DIDL\0\0"
    assert a.do(stop) == b"DIDL\0\0"
    assert b.status().status == "stopped"


def test_starting_cancels_a_stop(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    b.update_settings(controllers=[a.id, b.id, sandbox.identity("default")])
    stop = call(MANAGEMENT, encoded("stop_canister", {"canister_id": b.id}), method="stop_canister")
    number = sandbox.submit(b, "update", code(stop))
    sandbox.run_until_idle()
    assert (sandbox.ingress_status(number), b.status().status) == (None, "stopping")
    b.start()
    sandbox.run_until_idle()
    answer = sandbox.ingress_status(number)
    assert isinstance(answer, CallRejected)
    assert answer.message == f"Canister {b.id}'s stop request was cancelled."
    assert b.do(reply("running")) == b"running"


def test_a_stopped_canister_can_be_started(a: Guest) -> None:
    a.stop()
    a.start()
    assert a.do(reply("again")) == b"again"


def test_starting_and_stopping_are_idempotent(a: Guest) -> None:
    a.start()
    a.stop()
    a.stop()
    assert a.status().status == "stopped"
    a.start()
    a.start()
    assert a.status().status == "running"


def test_a_canister_that_waits_for_itself_to_stop_is_told_after_five_minutes(a: Guest, sandbox: Sandbox) -> None:
    a.update_settings(controllers=[a.id])
    stop = call(MANAGEMENT, encoded("stop_canister", {"canister_id": a.id}), method="stop_canister")
    number = sandbox.submit(a, "update", code(stop))
    sandbox.run_until_idle()
    assert sandbox.ingress_status(number) is None
    sandbox.advance_time(299)
    sandbox.run_until_idle()
    assert sandbox.ingress_status(number) is None
    sandbox.advance_time(1)
    sandbox.run_until_idle()
    answer = sandbox.ingress_status(number)
    assert isinstance(answer, CallRejected)
    assert answer.message == "Stop canister request timed out"
    assert a.status().status == "stopped"


def test_only_a_stopped_canister_is_deleted(a: Guest) -> None:
    rejected(ErrorCode.CANISTER_NOT_STOPPED, f"Canister {a.id} must be stopped before it is deleted.", a.delete)


def test_a_canister_cannot_delete_itself(a: Guest) -> None:
    a.update_settings(controllers=[a.id])
    delete = call(MANAGEMENT, encoded("delete_canister", {"canister_id": a.id}), method="delete_canister")
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, f"Canister {a.id} cannot delete itself.", a.do, delete)


def test_a_canister_creates_installs_and_calls_another(a: Guest, sandbox: Sandbox) -> None:
    create = call(MANAGEMENT, encoded("create_canister", {}), method="create_canister", cycles=10_000)
    made = Principal(a.do(create)[-10:])
    install = encoded(
        "install_code", {"mode": {"install": None}, "canister_id": made, "wasm_module": module(), "arg": b"DIDL\0\0"}
    )
    a.do(call(MANAGEMENT, install, method="install_code"))
    assert a.do(call(made, reply(caller()))) == bytes(a.id)
    assert sandbox.canister(made).status().cycles == 10_000

"""Interface specification, "Canister snapshots": what loading brings back and what it leaves as it is."""

from __future__ import annotations

from sandbox import ErrorCode, Principal, Sandbox
from sandbox.api import runtime_of
from sandbox.execution import CallResult
from sandbox.execution.rounds import step
from tests.conftest import rejected
from tests.spec.conftest import BOTH, CYCLES
from tests.spec.guest import *

pytestmark = BOTH
GROWN = evaluate(stable_grow(1))


def test_heap_globals_and_stable_memory_come_back(a: Guest, sandbox: Sandbox) -> None:
    a.do(set_global(1), set_slot(6, "old"), GROWN, stable_write(0, "old"), reply())
    exact, snapshot = sandbox.raw_state(a), a.take_snapshot()
    a.do(set_global(2), set_slot(6, "new"), GROWN, stable_write(0, "new"), evaluate(memory_grow(3)), reply())
    a.load_snapshot(snapshot.id)
    assert sandbox.raw_state(a) == exact
    assert a.ask(reply(slot(6) + stable_read(0, 3) + pack(get_global()))) == b"oldold\1" + bytes(7)


def test_the_module_comes_back_and_no_hook_runs(a: Guest, bits: int) -> None:
    snapshot = a.take_snapshot()
    other = module(bits, start=trap("start"), hooks=("heartbeat",))
    a.do(on_pre_upgrade(trap("pre")), reply())
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "pre", a.upgrade, other)
    a.install(module(96 - bits), mode="reinstall")
    a.load_snapshot(snapshot.id)
    assert a.raw_state().module == module(bits)
    assert a.do(reply("runs")) == b"runs"


def test_certified_data_comes_back(a: Guest, sandbox: Sandbox) -> None:
    a.do(do("certified_data_set", "old"), reply())
    snapshot = a.take_snapshot()
    a.do(do("certified_data_set", "new"), reply())
    a.load_snapshot(snapshot.id)
    assert runtime_of(sandbox).state_of(a.id).certified_data == b"old"


def test_cycles_settings_and_logs_stay(a: Guest) -> None:
    a.do(debug_print("before"), reply())
    snapshot = a.take_snapshot()
    a.update_settings(freezing_threshold=77)
    a.do(debug_print("after"), evaluate(burn(5)), reply())
    a.load_snapshot(snapshot.id)
    assert (a.status().cycles, a.status().settings.freezing_threshold) == (CYCLES - 5, 77)
    assert [record.content for record in a.logs()] == [b"before", b"after"]


def test_time_does_not_go_back(a: Guest, sandbox: Sandbox) -> None:
    snapshot = a.take_snapshot()
    sandbox.advance_time(60)
    a.load_snapshot(snapshot.id)
    assert count(a.ask(reply_number(ic0("time")))) == sandbox.time


def test_the_version_goes_up(a: Guest) -> None:
    snapshot = a.take_snapshot()
    before = count(a.do(reply_number(ic0("canister_version"))))
    a.load_snapshot(snapshot.id)
    assert count(a.ask(reply_number(ic0("canister_version")))) == before + 2


def test_a_snapshot_can_be_loaded_again_and_again(a: Guest) -> None:
    a.do(set_global(1), reply())
    snapshot = a.take_snapshot()
    for _ in range(3):
        a.do(set_global(2), reply())
        a.load_snapshot(snapshot.id)
        assert count(a.ask(reply_number(get_global()))) == 1


def test_snapshots_survive_an_uninstallation(a: Guest) -> None:
    a.do(set_global(1), reply())
    snapshot = a.take_snapshot()
    a.uninstall()
    a.load_snapshot(snapshot.id)
    assert count(a.ask(reply_number(get_global()))) == 1


def test_an_open_call_is_called_back_after_loading(a: Guest, sandbox: Sandbox) -> None:
    """The snapshot is taken while the call is open, so that the heap that comes back knows its callback."""
    later = call(Principal.management(), b"DIDL\0\0", method="raw_rand", on_reply=reply_number(get_global()))
    number = sandbox.submit(a, "update", code(set_global(2), later))
    env = runtime_of(sandbox).environment()
    while runtime_of(sandbox).subnet.queue:
        assert step(env)
    snapshot = a.take_snapshot()
    a.do(set_global(3), reply())
    a.load_snapshot(snapshot.id)
    sandbox.run_until_idle()
    answer = sandbox.ingress_status(number)
    assert isinstance(answer, CallResult)
    assert count(answer.reply or b"") == 2

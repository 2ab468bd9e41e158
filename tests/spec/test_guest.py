"""The universal guest itself: its operations do what `operations.h` says."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode, Sandbox
from sandbox.api import runtime_of
from sandbox.ic0.table import BY_NAME, SYSTEM_API
from tests.conftest import rejected
from tests.spec import guest as u
from tests.spec.guest import FUNCTIONS, Guest, blob, count, guest, reply, reply_number


@pytest.fixture(params=[32, 64])
def canister(request: pytest.FixtureRequest, sandbox: Sandbox) -> Guest:
    return guest(sandbox, bits=request.param)


def test_it_imports_every_function_of_the_table() -> None:
    assert list(FUNCTIONS) == [row.name for row in SYSTEM_API]
    for name, function in FUNCTIONS.items():
        row = BY_NAME[name]
        assert (function.params, function.result, function.narrow) == (row.params, row.results, row.only_32_bit)


def test_arithmetic(canister: Guest) -> None:
    seven = u.number(7)
    for expected, value in [
        (10, seven + 3),
        (2**64 - 1, seven - 8),
        (21, seven * 3),
        (2, seven // 3),
        (1, seven.equals(7)),
        (0, seven.equals(6)),
        (1, seven.less(8)),
        (0, seven.less(7)),
    ]:
        assert count(canister.ask(reply_number(value))) == expected
    rejected(ErrorCode.CANISTER_TRAPPED, "integer division by 0", canister.ask, reply_number(seven // 0))


def test_blobs(canister: Guest) -> None:
    assert canister.ask(reply(blob("ab") + "cd" + b"" + u.pack(1))) == b"abcd\1" + bytes(7)
    assert count(canister.ask(reply_number(blob("ab").equals("ab") + blob("ab").equals("ac")))) == 1
    assert count(canister.ask(reply_number(u.unpack(b"\1\2")))) == 0x201
    assert canister.ask(reply(u.self_id() + u.caller())) == bytes(canister.id) + b"\4"


def test_control(canister: Guest) -> None:
    yes, no = u.append("yes"), u.append("no")
    assert canister.ask(u.when(1, yes, no), u.when(0, yes, no), u.when(0, yes), reply()) == b"yesno"
    assert canister.ask(u.repeat(3, yes), u.repeat(0, no), u.run(no), reply()) == b"yesyesyesno"
    assert canister.ask(reply(), u.finished(), u.unreachable()) == b""
    assert canister.ask(u.evaluate(1), u.evaluate("x"), u.jump(u.OTHER_TYPE), u.spin(10), reply()) == b""


def test_state(canister: Guest) -> None:
    pages = count(canister.ask(reply_number(u.memory_size())))
    canister.do(u.set_global(5), u.set_slot(6, "six"), u.evaluate(u.memory_grow(2)), u.store(65536 * pages, 7), reply())
    assert canister.ask(reply(u.slot(6))) == b"six"
    assert count(canister.ask(reply_number(u.load(65536 * pages) * 1000 + u.get_global()))) == 7005
    assert count(canister.ask(reply_number(u.memory_size()))) == pages + 2
    canister.do(u.evaluate(u.stable_grow(1)), u.stable_write(5, "stable"), reply())
    assert canister.ask(reply(u.stable_read(4, 8))) == b"\0stable\0"


def test_a_program_of_any_size(canister: Guest) -> None:
    large = bytes(1_500_000)
    assert canister.do(reply(large)) == large
    for _ in range(3):
        canister.do(u.set_slot(6, large), reply())
    assert len(canister.raw_state().heap) < 10_000_000


def test_programs_of_hooks_replace_themselves(canister: Guest, sandbox: Sandbox) -> None:
    second = u.on_timer(u.set_global(20)) + u.evaluate(blob("x" * 20) + "y") + u.set_global(u.get_global() + 10)
    canister.do(u.on_timer(second), u.set_global(1), u.do("global_timer_set", 1), reply())
    for expected in (11, 20):
        sandbox.run_until_idle()
        assert count(canister.ask(reply_number(u.get_global()))) == expected
        canister.do(u.do("global_timer_set", 1), reply())


def test_calls(canister: Guest, sandbox: Sandbox) -> None:
    other = guest(sandbox)
    assert canister.do(u.call(other, reply(u.caller()))) == bytes(canister.id)
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, "no", canister.do, u.call(other, u.reject("no")))
    program = u.call(other, u.trap("no"), on_reject=reply(u.reject_message() + u.pack(u.reject_code())))
    answer = canister.do(program)
    assert b"with message: 'no'" in answer
    assert answer.endswith(b"\5" + bytes(7))
    program = u.call(other, reply(), on_reply=u.trap("no"), on_cleanup=u.set_global(3))
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "'no'", canister.do, program)
    assert count(canister.ask(reply_number(u.get_global()))) == 3


def test_init_hooks_and_start(sandbox: Sandbox) -> None:
    for bits in (32, 64):
        wasm = u.module(bits, hooks=("heartbeat", "inspect_message"), start=u.set_global(4))
        count_beats = u.on_heartbeat(u.set_global(u.get_global() + 1))
        canister = guest(sandbox, count_beats, u.on_inspect(u.Do()), wasm=wasm)
        rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, "Canister rejected the message", canister.do, reply())
        assert count(canister.ask(reply_number(u.get_global()))) == 4
        sandbox.tick()
        assert count(canister.ask(reply_number(u.get_global()))) == 5
        canister.stop()


def test_without_hooks_rounds_change_nothing(canister: Guest, sandbox: Sandbox) -> None:
    before = runtime_of(sandbox).state_of(canister.id)
    sandbox.tick(3)
    assert runtime_of(sandbox).state_of(canister.id) == before

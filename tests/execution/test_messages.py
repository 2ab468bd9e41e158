"""One message: what it commits, what it leaves when it traps, who answers, what the canister's log keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import Canister, ErrorCode, RejectCode, Sandbox
from sandbox.api import runtime_of
from tests.conftest import everything, guest, number, rejected

Install = Callable[..., Canister]
VIOLATION, TRAPPED = ErrorCode.CANISTER_CONTRACT_VIOLATION, ErrorCode.CANISTER_TRAPPED
REJECTED = ErrorCode.CANISTER_REJECTED_MESSAGE

STATE = """
(global $g (mut i64) (i64.const 5)) (global $shown (export "shown") (mut f32) (f32.const 1))
(data (i32.const 0) "hello") (data $seg "segment")
(func $grow_heap (drop (memory.grow (i32.const 2))) (i32.store (i32.const 196600) (i32.const 7)))
(func $grow_stable (drop (call $stable64_grow (i64.const 2)))
  (call $stable64_write (i64.const 131000) (i64.const 0) (i64.const 5)))
(func $write (i64.store (i32.const 100) (i64.const -1)) (global.set $g (i64.const 6)) (global.set $shown (f32.const 2)))
(func $rest (call $certified_data_set (i32.const 0) (i32.const 5)) (drop (call $global_timer_set (i64.const 9)))
  (call $cycles_burn128 (i64.const 0) (i64.const 1000) (i32.const 200)))
(func (export "canister_update heap") (call $write) (call $grow_heap) unreachable)
(func (export "canister_update stable") (call $write) (call $grow_stable) unreachable)
(func (export "canister_update both") (call $write) (call $grow_heap) (call $grow_stable) (call $rest) unreachable)
(func (export "canister_update replied") (call $write) (call $reply64 (i64.const 1)) (call $rest) unreachable)
(func (export "canister_update fine")
  (call $write) (call $grow_heap) (call $grow_stable) (call $rest) (call $reply64 (global.get $g)))
(func (export "canister_query ask") (call $write) (call $grow_heap) (call $grow_stable) (call $reply64 (global.get $g)))
(func (export "canister_query look") (call $reply64 (global.get $g)))
(func (export "canister_update drop")
  (memory.init $seg (i32.const 300) (i32.const 0) (i32.const 7)) (data.drop $seg)
  (call $reply (i32.const 300) (i32.const 7)))
(func (export "canister_update drop_and_trap") (data.drop $seg) unreachable)"""


@pytest.mark.parametrize("method", ["heap", "stable", "both", "replied"])
def test_a_trap_leaves_every_byte_and_later_messages_work(method: str, install: Install, sandbox: Sandbox) -> None:
    canister = install(guest(STATE))
    for _ in range(3):
        before = everything(sandbox, canister)
        rejected(TRAPPED, "unreachable", canister.update, method)
        assert everything(sandbox, canister) == before
        assert number(canister.query_raw("look").reply) == 5
    assert number(canister.update("fine").reply) == 6
    raw, state = canister.raw_state(), runtime_of(sandbox).state_of(canister.id)
    assert (len(raw.heap), len(raw.stable), raw.stable[131000:131005]) == (3 * 65536, 2 * 65536, b"hello")
    assert (state.certified_data, state.global_timer) == (b"hello", 9)
    before = everything(sandbox, canister)
    rejected(TRAPPED, "unreachable", canister.update, method)
    assert everything(sandbox, canister) == before


@pytest.mark.parametrize("replicated", [False, True])
def test_a_query_sees_its_own_changes_and_leaves_none(replicated: bool, install: Install, sandbox: Sandbox) -> None:
    canister = install(guest(STATE))
    before = everything(sandbox, canister)
    for _ in range(3):
        assert number((canister.update if replicated else canister.query_raw)("ask").reply) == 6
        assert everything(sandbox, canister) == before
        assert number(canister.query_raw("look").reply) == 5


def test_dropped_segments_are_back_in_the_next_message(install: Install) -> None:
    canister = install(guest(STATE))
    for _ in range(2):
        assert canister.update("drop").reply == b"segment"
        rejected(TRAPPED, "unreachable", canister.update, "drop_and_trap")
    start = """(data $d "abcd") (start $s)
      (func $s (memory.init $d (i32.const 0) (i32.const 0) (i32.const 4)) (data.drop $d))
      (func (export "canister_update x") (memory.init $d (i32.const 8) (i32.const 0) (i32.const 4))
        (call $reply (i32.const 8) (i32.const 4)))"""
    canister = install(guest(start))
    assert canister.update("x").reply == b"abcd"
    canister.install(guest(start), mode="upgrade")
    assert canister.update("x").reply == b"abcd"


# --- answers

ANSWERS = """(data (i32.const 0) "no, thanks")
(func (export "canister_update twice") (call $msg_reply) (call $msg_reply))
(func (export "canister_update reject") (call $msg_reject (i32.const 0) (i32.const 10)))
(func (export "canister_update both") (call $msg_reject (i32.const 0) (i32.const 10)) (call $msg_reply))
(func (export "canister_query silent_query"))
(func (export "canister_composite_query composite") (call $reply64 (i64.const 3)))
(func (export "canister_update caller")
  (call $msg_caller_copy (i32.const 50) (i32.const 0) (call $msg_caller_size))
  (call $reply (i32.const 50) (call $msg_caller_size)))
(func (export "canister_query replicated") (call $reply64 (i64.extend_i32_u (call $in_replicated_execution))))"""


def test_answers_and_refusals(install: Install, sandbox: Sandbox) -> None:
    canister = install(guest(ANSWERS))
    before = everything(sandbox, canister)
    rejected(VIOLATION, "ic0.msg_reply: the call is already replied", canister.update, "twice")
    rejected(VIOLATION, "already", canister.update, "both")
    silent = f"Canister {canister.id} did not produce a response"
    assert rejected(ErrorCode.CANISTER_DID_NOT_REPLY, silent, canister.query_raw, "silent_query").message == silent
    silent = f"Canister {canister.id} did not reply to the call"
    code = ErrorCode.COMPOSITE_QUERY_CALLED_IN_REPLICATED_MODE
    rejected(code, "Composite query cannot be called in replicated mode", canister.update, "composite")
    assert everything(sandbox, canister) == before
    error = rejected(REJECTED, "no, thanks", canister.update, "reject")
    assert (error.message, error.reject_code) == ("no, thanks", RejectCode.CANISTER_REJECT)
    assert canister.status().version == before[1][0]["version"] + 1
    assert number(canister.query_raw("composite").reply) == 3
    assert (number(canister.update("replicated").reply), number(canister.query_raw("replicated").reply)) == (1, 0)
    eve = sandbox.identity("eve")
    assert canister.update("caller", sender=eve).reply == bytes(eve)
    assert canister.update("caller").reply == b"\x04"


@pytest.mark.parametrize("call", ["update", "query"])
def test_a_method_that_is_not_there_is_named_with_its_kind(call: str, install: Install) -> None:
    canister = install(guest('(func (export "canister_update only_update") (call $reply64 (i64.const 1)))'))
    ask = canister.query_raw if call == "query" else canister.update
    method = "only_update" if call == "query" else "nobody"
    text = f"Error from Canister {canister.id}: Canister has no {call} method '{method}'.."
    error = rejected(ErrorCode.CANISTER_METHOD_NOT_FOUND, text, ask, method)
    assert error.message.endswith("#method-not-found")


# --- inspect_message

INSPECT = """(data (i32.const 0) "accept")
(func (export "canister_inspect_message") (call $debug_print (i32.const 0) (i32.const 6))
  (i32.store (i32.const 100) (i32.const 1)) {body})
(func (export "canister_update u") (call $reply64 (i64.load32_u (i32.const 100))))
(func (export "canister_query q") (call $reply64 (i64.load32_u (i32.const 100))))"""


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ("", REJECTED, "Canister rejected the message"),
        ("unreachable", TRAPPED, "Canister trapped: unreachable"),
        (
            "(call $accept_message) (call $accept_message)",
            VIOLATION,
            "ic0.accept_message: the function was already called.",
        ),
        ("(call $accept_message) unreachable", TRAPPED, "Canister trapped: unreachable"),
        ("(call $accept_message) (call $msg_reply)", VIOLATION, "cannot be executed in inspect message mode"),
        ("(call $accept_message) (loop $l (br $l))", ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, "5000000"),
    ],
)
def test_inspection_refuses(body: str, code: ErrorCode, text: str, install: Install, sandbox: Sandbox) -> None:
    canister = install(guest(INSPECT.format(body=body)))
    before = everything(sandbox, canister)
    for method in ("u", "q", "nobody"):
        rejected(code, text, canister.update, method)
    assert number(canister.query_raw("q").reply) == 0
    assert everything(sandbox, canister) == before
    assert canister.logs() == ()


def test_inspection_accepts_and_is_forgotten(install: Install) -> None:
    canister = install(guest(INSPECT.format(body="(call $accept_message)")))
    assert number(canister.update("u").reply) == 0
    assert canister.raw_state().heap[100] == 0
    rejected(ErrorCode.CANISTER_METHOD_NOT_FOUND, "", canister.update, "nobody")


# --- logs

LOGS = """(memory $m 2) (data (i32.const 0) "abcdefghij")
(func (export "canister_update print") (local $size i32)
  (call $msg_arg_data_copy (i32.const 1000) (i32.const 0) (i32.const 4)) (local.set $size (i32.load (i32.const 1000)))
  (call $debug_print (i32.const 0) (local.get $size)) (call $reply64 (i64.const 0)))
(func (export "canister_update print_and_trap") (call $debug_print (i32.const 0) (i32.const 5)) unreachable)
(func (export "canister_query ask") (call $debug_print (i32.const 0) (i32.const 3)) (call $reply64 (i64.const 0)))
(func (export "canister_update outside")
  (call $debug_print (i32.const 131070) (i32.const 3)) (call $reply64 (i64.const 0)))
(func (export "canister_init") (call $debug_print (i32.const 0) (i32.const 4)))"""


@pytest.fixture
def printer(install: Install) -> Canister:
    return install(guest(LOGS, ""))


def contents(canister: Canister) -> list[bytes]:
    return [record.content for record in canister.logs()]


def printed(canister: Canister, size: int) -> None:
    canister.update("print", size.to_bytes(4, "little"))


def test_the_log_keeps_prints_and_traps_of_replicated_messages_with_numbers(
    printer: Canister, sandbox: Sandbox
) -> None:
    printed(printer, 2)
    sandbox.advance_time(seconds=1)
    error = rejected(TRAPPED, "unreachable", printer.update, "print_and_trap")
    assert error.result.logs == ("abcde",)
    assert printer.query_raw("ask").logs == ("abc",)
    printer.update("ask")
    printer.update("outside")
    outside = b"(debug_print message out of memory bounds)"
    assert contents(printer) == [b"abcd", b"ab", b"abcde", b"[TRAP]: unreachable", b"abc", outside]
    assert [record.index for record in printer.logs()] == list(range(6))
    assert printer.logs()[2].timestamp == printer.logs()[1].timestamp + 1_000_000_000


def test_the_log_holds_4_kib_and_the_oldest_give_way(printer: Canister) -> None:
    for _ in range(60):
        printed(printer, 100)
    assert sum(map(len, contents(printer))) == 4000
    assert printer.logs()[-1].index == 60
    printed(printer, 4000)
    assert [len(content) for content in contents(printer)] == [4000]


@pytest.mark.parametrize("size", [4096, 4097, 5000, 32768, 32769, 100_000])
def test_a_print_beyond_4_kib_is_cut_and_not_lost(size: int, printer: Canister) -> None:
    printed(printer, size)
    assert [len(content) for content in contents(printer)] == [4096]
    printed(printer, 1)
    assert contents(printer) == [b"a"]


def test_logs_survive_an_upgrade_and_restart_with_a_reinstallation(printer: Canister) -> None:
    printed(printer, 3)
    printer.install(guest(LOGS, ""), mode="upgrade")
    assert contents(printer) == [b"abcd", b"abc"]
    index = printer.logs()[-1].index
    printer.install(guest(LOGS, ""), mode="reinstall")
    assert contents(printer) == [b"abcd"]
    assert printer.logs()[0].index > index


def test_listeners_hear_everything_as_it_happens(install: Install, sandbox: Sandbox) -> None:
    heard: list[tuple[object, str]] = []
    sandbox.on_log = lambda canister_id, text: heard.append((canister_id, text))
    canister = install(guest(LOGS, ""))
    rejected(TRAPPED, "", canister.update, "print_and_trap")
    canister.query_raw("ask")
    assert heard == [(canister.id, "abcd"), (canister.id, "abcde"), (canister.id, "abc")]

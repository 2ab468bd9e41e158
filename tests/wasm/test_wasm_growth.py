"""`memory.grow` behind the rewrite: the same answers, and an end to loops of failures."""

from __future__ import annotations

import pytest
import wasmtime

from sandbox import CallRejected, Canister, ErrorCode, InstructionLimits, Sandbox

GROWING = """(module
  (import "ic0" "msg_reply_data_append" (func $append (param {i} {i})))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "stable64_grow" (func $stable (param i64) (result i64)))
  (memory {word} 2 5)
  (func $answer (param {i})
    ({i}.store ({i}.const 0) (local.get 0)) (call $append ({i}.const 0) ({i}.const 4)) (call $reply))
  (func (export "canister_update three") (call $answer (memory.grow ({i}.const 3))))
  (func (export "canister_update none") (call $answer (memory.grow ({i}.const 0))))
  (func (export "canister_update all") (call $answer (memory.grow ({i}.const -1))))
  (func (export "canister_update size") (block (if (i32.const 0) (then unreachable))) (call $answer (memory.size)))
  (func (export "canister_update for ever") (loop $more (drop (memory.grow ({i}.const -1))) (br $more)))
  (func (export "canister_update nothing for ever") (loop $more (drop (memory.grow ({i}.const 0))) (br $more)))
  (func (export "canister_update stable for ever") (loop $more (drop (call $stable (i64.const -1))) (br $more))))"""


def module(word: str) -> bytes:
    return bytes(wasmtime.wat2wasm(GROWING.format(i=word or "i32", word="i64" if word == "i64" else "")))


@pytest.fixture(params=["i32", "i64"])
def canister(request: pytest.FixtureRequest) -> Canister:
    limits = InstructionLimits(update=20_000_000)
    installed = Sandbox(instruction_limits=limits).create_canister()
    installed.install(module(request.param))
    return installed


def answer(canister: Canister, method: str) -> int:
    reply = canister.update(method).reply
    assert reply is not None
    return int.from_bytes(reply, "little", signed=True)


def test_growth_answers_as_the_instruction_does(canister: Canister) -> None:
    assert [answer(canister, method) for method in ("size", "none", "all", "three")] == [2, 2, -1, 2]
    assert [answer(canister, method) for method in ("size", "none", "three", "size")] == [5, 5, -1, 5]


@pytest.mark.parametrize("method", ["for ever", "nothing for ever", "stable for ever"])
def test_a_loop_of_growths_ends_at_the_instruction_limit(canister: Canister, method: str) -> None:
    before = canister.raw_state()
    with pytest.raises(CallRejected) as rejected:
        canister.update(method)
    assert rejected.value.error_code is ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED
    assert canister.raw_state() == before

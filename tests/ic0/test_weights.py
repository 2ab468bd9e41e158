"""Instruction counts of system calls and of whole messages: the platform's, to the digit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import CallRejected, CallResult, Canister, Sandbox
from sandbox.ic0.table import ONLY_32_BIT, SYSTEM_API
from tests.conftest import guest, number, wat

Install = Callable[..., Canister]
WORDS = pytest.mark.parametrize("word", ["i32", "i64"], ids=["wasm32", "wasm64"])
SIZE = 7
"""The value of every argument below."""
BASE = {
    "is_controller": 1_000,
    "call_new": 1_500,
    "call_perform": 5_000,
    "performance_counter": 200,
    "debug_print": 100,
    "cost_http_request_v2": 10_000,
    "mint_cycles128": 0,
    "stable_size": 0,
    "stable64_size": 0,
    "stable_grow": 100,
    "stable64_grow": 100,
    "stable_read": 20,
    "stable64_read": 20,
    "stable_write": 20,
    "stable64_write": 20,
}
BYTES = {
    **dict.fromkeys(("msg_caller_copy", "msg_arg_data_copy", "msg_method_name_copy", "msg_reject_msg_copy"), SIZE),
    **dict.fromkeys(("canister_self_copy", "subnet_self_copy", "root_key_copy", "data_certificate_copy"), SIZE),
    **dict.fromkeys(("msg_caller_info_data_copy", "msg_caller_info_signer_copy"), SIZE),
    **dict.fromkeys(("env_var_name_copy", "env_var_value_copy", "certified_data_set", "is_controller"), SIZE),
    **dict.fromkeys(("cost_sign_with_ecdsa", "cost_sign_with_schnorr", "cost_vetkd_derive_key"), SIZE),
    **dict.fromkeys(("stable_read", "stable64_read", "stable_write", "stable64_write"), SIZE),
    **dict.fromkeys(("msg_reply_data_append", "msg_reject", "call_data_append"), 50 * SIZE),
    "call_new": 2 * SIZE,
    "debug_print": (2 + 50) * SIZE,
    "trap": (1 + 2 + 50) * SIZE,
}


def instructions(call: Callable[..., CallResult], *arguments: str | bytes) -> int:
    """The instructions of a call, whether or not it was rejected."""
    try:
        return call(*arguments).instructions
    except CallRejected as error:
        result: CallResult = error.result
        return result.instructions


@WORDS
def test_every_system_call_counts_by_its_formula_whatever_becomes_of_it(word: str) -> None:
    """In queries, in which many may not be called: paid is where the call begins."""
    letters = {"i": "i32", "l": "i64", "I": word}
    rows = [row for row in SYSTEM_API if word == "i32" or row.name not in ONLY_32_BIT]
    imports, functions, expected = [], [], []
    for n, row in enumerate(rows):
        kinds = [letters[letter] for letter in row.params]
        result = f"(result {letters[row.results]})" if row.results else ""
        imports.append(f'(import "ic0" "{row.name}" (func $f{n} (param {" ".join(kinds)}) {result}))')
        arguments = " ".join(f"({kind}.const {SIZE})" for kind in kinds)
        call = f"(call $f{n} {arguments})"
        functions.append(f'(func (export "canister_query {row.name}") {f"(drop {call})" if result else call})')
        around = 1 + len(kinds) + 5 + len(row.results)
        expected.append((row.name, around + BASE.get(row.name, 500) + BYTES.get(row.name, 0)))
    canister = Sandbox().create_canister()
    canister.install(
        wat(f"(module {' '.join(imports)} (memory {'i64' if word == 'i64' else ''} 1) {' '.join(functions)})")
    )
    counted = [(name, instructions(canister.query_raw, name)) for name, _ in expected]
    assert counted == expected


ROUNDS = """(func (export "canister_update {name}") (local $i i32)
  (loop $round (if (i32.lt_s (local.get $i) (i32.const {rounds})) (then
    {body} (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $round)))))"""
"""A loop of the replica's benchmarks: 11 instructions a round, and 6."""
BENCHMARKS: dict[str, tuple[str, int, int]] = {
    "empty loop": ("", 11, 0),
    "msg_caller_size": ("(drop (call $caller_size))", 517, 0),
    "msg_arg_data_copy 1": ("(call $copy ({w}.const 0) ({w}.const 0) ({w}.const 1))", 520, 0),
    "msg_arg_data_copy 10": ("(call $copy ({w}.const 0) ({w}.const 0) ({w}.const 10))", 529, 1),
    "msg_reply_data_append": ("(call $append ({w}.const 0) ({w}.const 1))", 568, 0),
    "debug_print": ("(call $print ({w}.const 0) ({w}.const 1))", 170, 0),
}
"""Name → body, what a round counts, heap pages that change."""


def benchmarks(word: str, rounds: int) -> Canister:
    loops = " ".join(
        ROUNDS.format(name=name, rounds=rounds, body=body.format(w=word)) for name, (body, _, _) in BENCHMARKS.items()
    )
    canister = Sandbox().create_canister()
    canister.install(
        wat(
            f"""(module
            (import "ic0" "msg_caller_size" (func $caller_size (result {word})))
            (import "ic0" "msg_arg_data_copy" (func $copy (param {word} {word} {word})))
            (import "ic0" "msg_reply_data_append" (func $append (param {word} {word})))
            (import "ic0" "debug_print" (func $print (param {word} {word})))
            (import "ic0" "msg_reply" (func $reply))
            (memory {"i64" if word == "i64" else ""} 1)
            (func (export "canister_update empty") (drop (i32.const 0)))
            (func (export "canister_update reply") (call $reply)) {loops})"""
        )
    )
    return canister


def check_benchmarks(word: str, rounds: int) -> None:
    canister = benchmarks(word, rounds)
    assert instructions(canister.update, "empty") == 3
    assert canister.update("reply").instructions == 506
    page = 1_000 if word == "i32" else 4_000
    for name, (_, each, pages) in BENCHMARKS.items():
        assert (name, instructions(canister.update, name, b"\x00123456789")) == (name, rounds * each + 6 + pages * page)


@WORDS
def test_the_replicas_benchmarks_with_fewer_rounds(word: str) -> None:
    check_benchmarks(word, 1_000)


@pytest.mark.slow
@WORDS
def test_the_replicas_benchmarks(word: str) -> None:
    """The constants that the replica's own benchmarks expect."""
    check_benchmarks(word, 1_000_000)


def test_printing_costs_what_is_free_in_the_messages_own_log(install: Install) -> None:
    """Records of 1,024 bytes: 4,096 bytes are free for the first, then 3,032, 1,968, and 904 for ever."""
    before = "(call $debug_print (i32.const 0) (i32.const 1024))"
    canister = install(
        guest(
            f"""(func (export "canister_update go") (local $n i64) {before * 6}
              (call $reply64 (call $performance_counter (i32.const 0))))
            (func (export "canister_update large") (call $debug_print (i32.const 0) (i32.const 60000)) {before}
              (call $reply64 (call $performance_counter (i32.const 0))))"""
        )
    )
    counter = 1 + 1 + 5 + 200 + 5 + 0  # the function, the counter's argument and calls, all of one block
    prints = 6 * (2 + 5 + 100 + 2 * 1_024) + 50 * (3 * 1_024 + 3 * 904)
    for _ in range(2):  # the log of each message begins empty
        assert number(canister.update("go").reply) == counter + prints
    large = (2 + 5 + 100 + 2 * 4_096 + 50 * 4_096) + (2 + 5 + 100 + 2 * 1_024)  # the first record fills the log
    assert number(canister.update("large").reply) == counter + large


def test_a_canister_sees_its_whole_block_and_the_call_of_the_counter(install: Install) -> None:
    read = "(i64.store (i32.const 0) (call $performance_counter (i32.const 0)))"
    canister = install(
        guest(
            f"""(func (export "canister_update go") {read} (nop) (nop)
              (call $msg_reply_data_append (i32.const 0) (i32.const 8)) (call $msg_reply))
            (func (export "canister_update split") (nop) (block {read}) (nop) (nop)
              (call $msg_reply_data_append (i32.const 0) (i32.const 8)) (call $msg_reply))"""
        )
    )
    first, rest = 2 + 5 + 1, 2 + 2 + 5 + 5
    whole = canister.update("go")
    assert number(whole.reply) == 1 + first + rest + 200
    split = canister.update("split")
    assert number(split.reply) == 1 + 1 + first + 200
    assert whole.instructions == 1 + first + rest + 200 + 500 + 50 * 8 + 500 + 1_000

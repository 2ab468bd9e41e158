"""Instruction counts: what system calls and instructions count, seen by the canister itself and by its caller."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import Canister
from tests.conftest import guest, number

Install = Callable[..., Canister]


def count(install: Install, body: str) -> int:
    """Instructions of an update whose body is this, before it replies."""
    canister = install(guest(f'(func (export "canister_update go") {body} (call $msg_reply))'))
    return canister.update("go").instructions


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        ("(drop (call $time))", 1 + 500),
        ("(drop (call $canister_version))", 1 + 500),
        ("(drop (call $performance_counter (i32.const 0)))", 2 + 200),
        ("(call $debug_print (i32.const 0) (i32.const 0))", 3 + 100),
        ("(call $msg_reply_data_append (i32.const 0) (i32.const 9))", 3 + 500),
        ("(drop (i32.div_u (i32.const 6) (i32.const 3)))", 3),
        ("(block (loop (nop)))", 0),
        ("(memory.fill (i32.const 0) (i32.const 0) (i32.const 1000))", 4 + 1000),
    ],
)
def test_what_counts(install: Install, body: str, cost: int) -> None:
    base = count(install, "")
    assert [count(install, body * times) - base for times in (1, 2, 100)] == [cost, 2 * cost, 100 * cost]


def test_a_canister_sees_the_same_count_as_its_caller(install: Install) -> None:
    body = "(i64.store (i32.const 0) (call $performance_counter (i32.const 0)))"
    append = "(call $msg_reply_data_append (i32.const 0) (i32.const 8))"
    canister = install(guest(f'(func (export "canister_update go") {body} {append} (call $msg_reply))'))
    result = canister.update("go")
    after = 1 + 3 + 500 + 1 + 500  # the store, the append, the reply
    assert result.instructions == number(result.reply) + after

"""The older functions of "Stable memory": 32 bits wide, there for a 32-bit heap alone."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode
from tests.conftest import rejected
from tests.spec.guest import *

TRAPPED = ErrorCode.CANISTER_TRAPPED
TOO_LARGE = "32 bit stable memory api used on a memory larger than 4GB"
NONE = (1 << 32) - 1


def test_both_apis_see_the_same_memory(a: Guest) -> None:
    program = evaluate(ic0("stable_grow", 1)) + do("stable_write", 5, blob("hello"))
    assert a.do(program, reply(stable_read(5, 5))) == b"hello"
    assert count(a.ask(reply_number(ic0("stable_size") + ic0("stable64_size")))) == 2


def test_reading(a: Guest) -> None:
    a.do(evaluate(stable_grow(1)), stable_write(3, "abc"), reply())
    assert a.ask(do("stable_read", 0, 3, 3), reply(at(0, 3))) == b"abc"


def test_growing_beyond_4_gib_fails(a: Guest) -> None:
    assert count(a.do(reply_number(ic0("stable_grow", 65536)))) == 0
    assert count(a.do(reply_number(ic0("stable_grow", 1)))) == NONE
    assert count(a.do(reply_number(ic0("stable_grow", NONE)))) == NONE
    assert count(a.do(reply_number(ic0("stable_size")))) == 65536


@pytest.mark.parametrize("name", ["stable_size", "stable_grow", "stable_read", "stable_write"])
def test_a_memory_beyond_4_gib_is_for_the_newer_functions(name: str, a: Guest) -> None:
    a.do(evaluate(stable_grow(65537)), reply())
    rejected(TRAPPED, TOO_LARGE, a.do, do(name, *[1] * len(FUNCTIONS[name].params)))


@pytest.mark.parametrize(("name", "arguments"), [("stable_read", (0, 65536, 1)), ("stable_write", (65536, 0, 1))])
def test_beyond_the_stable_memory_is_out_of_bounds(name: str, arguments: tuple[int, ...], a: Guest) -> None:
    rejected(TRAPPED, "stable memory out of bounds", a.do, evaluate(stable_grow(1)), do(name, *arguments))


@pytest.mark.parametrize(("name", "arguments"), [("stable_read", (NONE, 0, 2)), ("stable_write", (0, NONE, 2))])
def test_beyond_the_heap_is_out_of_bounds(name: str, arguments: tuple[int, ...], a: Guest) -> None:
    rejected(TRAPPED, "heap out of bounds", a.do, evaluate(stable_grow(1)), do(name, *arguments))

"""Interface specification, "Stable memory"."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode, Sandbox
from tests.conftest import rejected
from tests.spec.conftest import BOTH
from tests.spec.guest import *

pytestmark = BOTH
TRAPPED = ErrorCode.CANISTER_TRAPPED
PAGE = 65536
MOST = 8_192_000
NONE = (1 << 64) - 1
GROWN = evaluate(stable_grow(1))


def test_it_is_empty_at_first(a: Guest) -> None:
    assert count(a.do(reply_number(ic0("stable64_size")))) == 0


def test_growing_tells_the_size_before(a: Guest) -> None:
    assert count(a.do(reply_number(stable_grow(3)))) == 0
    assert count(a.do(reply_number(stable_grow(2)))) == 3
    assert count(a.ask(reply_number(ic0("stable64_size")))) == 5


def test_growing_by_nothing_tells_the_size(a: Guest) -> None:
    assert count(a.do(GROWN, reply_number(stable_grow(0)))) == 1


def test_new_pages_are_zero(a: Guest) -> None:
    assert a.do(GROWN, reply(stable_read(PAGE - 8, 8))) == bytes(8)


def test_it_grows_to_500_gib_and_no_further(a: Guest) -> None:
    assert count(a.do(reply_number(stable_grow(MOST + 1)))) == NONE
    assert count(a.do(evaluate(stable_grow(MOST)), reply_number(ic0("stable64_size")))) == MOST
    assert count(a.do(reply_number(stable_grow(1)))) == NONE
    assert count(a.do(reply_number(stable_grow(NONE)))) == NONE


def test_the_last_byte_of_500_gib_is_there(a: Guest) -> None:
    a.do(evaluate(stable_grow(MOST)), stable_write(MOST * PAGE - 1, "z"), reply())
    assert a.ask(reply(stable_read(MOST * PAGE - 1, 1))) == b"z"
    rejected(TRAPPED, "stable memory out of bounds", a.ask, reply(stable_read(MOST * PAGE - 1, 2)))


def test_what_is_written_is_read(a: Guest) -> None:
    a.do(GROWN, stable_write(100, "stable"), reply())
    assert a.ask(reply(stable_read(98, 10))) == b"\0\0stable\0\0"


@pytest.mark.parametrize("address", [PAGE, 1 << 32, NONE])
@pytest.mark.parametrize("write", [False, True])
def test_beyond_the_stable_memory_is_out_of_bounds(write: bool, address: int, a: Guest) -> None:
    access = stable_write(address, "x") if write else evaluate(stable_read(address, 1))
    rejected(TRAPPED, "stable memory out of bounds", a.do, GROWN, access)


@pytest.mark.parametrize("name", ["stable64_read", "stable64_write"])
def test_beyond_the_heap_is_out_of_bounds(name: str, a: Guest) -> None:
    size = memory_size() * PAGE
    heap_first = name == "stable64_read"
    arguments = (size, 0, 1) if heap_first else (0, size, 1)
    rejected(TRAPPED, "heap out of bounds", a.do, GROWN, do(name, *arguments))
    fits = (size - 1, 0, 1) if heap_first else (0, size - 1, 1)
    assert a.do(GROWN, do(name, *fits), reply("fits")) == b"fits"


@pytest.mark.parametrize("name", ["stable64_read", "stable64_write"])
def test_nothing_is_nowhere_out_of_bounds(name: str, a: Guest) -> None:
    """The replica returns at once when the size is 0; the specification has no such exception."""
    assert a.do(do(name, 1 << 40, 1 << 40, 0), reply("fine")) == b"fine"


def test_a_trap_takes_back_growth_and_writes(a: Guest, sandbox: Sandbox) -> None:
    a.do(GROWN, stable_write(0, "before"), reply())
    before = sandbox.raw_state(a)
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "no", a.do, GROWN, stable_write(0, "after"), trap("no"))
    assert sandbox.raw_state(a) == before


def test_it_survives_an_upgrade_and_no_reinstallation(a: Guest, bits: int) -> None:
    a.do(GROWN, stable_write(0, "kept"), reply())
    a.upgrade(module(bits))
    assert a.ask(reply(stable_read(0, 4))) == b"kept"
    a.install(module(bits), mode="reinstall")
    assert count(a.ask(reply_number(ic0("stable64_size")))) == 0


def test_a_canister_of_the_other_width_reads_it(a: Guest, bits: int) -> None:
    a.do(GROWN, stable_write(0, "kept"), reply())
    a.upgrade(module(96 - bits))
    assert a.ask(reply(stable_read(0, 4))) == b"kept"


def test_post_upgrade_reads_what_pre_upgrade_wrote(a: Guest, bits: int) -> None:
    a.do(set_slot(6, "precious"), on_pre_upgrade(GROWN + stable_write(0, slot(6))), reply())
    a.upgrade(module(bits), code(set_slot(6, stable_read(0, 8))))
    assert a.ask(reply(slot(6))) == b"precious"

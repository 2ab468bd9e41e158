"""Interface specification, "Blob-typed arguments and results": every address and size is checked, none is believed."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode
from tests.conftest import rejected
from tests.spec.conftest import BOTH
from tests.spec.contexts import CONTEXTS, Sample
from tests.spec.guest import *
from tests.spec.test_contexts import sample as contexts_world

pytestmark = BOTH
VIOLATION = ErrorCode.CANISTER_CONTRACT_VIOLATION
FAR = 0xFFFF_FFF0
"""An address that no heap of these guests reaches, and that a pointer of either width can hold."""

COPIES = {
    "msg_arg_data_copy": "update",
    "msg_caller_copy": "update",
    "msg_caller_info_data_copy": "update",
    "msg_caller_info_signer_copy": "update",
    "msg_reject_msg_copy": "reject",
    "msg_method_name_copy": "inspect_message",
    "canister_self_copy": "update",
    "subnet_self_copy": "update",
    "root_key_copy": "update",
}
"""A context in which each function may be called."""
SOURCES = {
    "msg_reply_data_append": Do(),
    "msg_reject": Do(),
    "is_controller": Do(),
    "certified_data_set": Do(),
    "call_data_append": call_new("x"),
    "env_var_name_exists": Do(),
    "env_var_value_size": Do(),
}
"""Functions of (address, size) and what must come before."""
WIDE = {
    "canister_cycle_balance128": (),
    "canister_liquid_cycle_balance128": (),
    "msg_cycles_available128": (),
    "msg_cycles_accept128": (0, 1),
    "cycles_burn128": (0, 1),
    "cost_call": (1, 1),
    "cost_create_canister": (),
    "cost_http_request": (1, 1),
}
"""Functions that store 16 bytes at their last argument, and the arguments before it."""


def said(bits: int, context: str, program: Do) -> str:
    there: Sample = contexts_world(bits)
    outcome = there.outcome(CONTEXTS[context], program)
    assert outcome is not None
    return outcome


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_may_not_read_past_the_end_of_the_blob(name: str, bits: int) -> None:
    size = ic0(name.replace("_copy", "_size"))
    assert "exceeds the slice size=" in said(bits, COPIES[name], do(name, 0, 0, size + 1))
    assert "exceeds the slice size=" in said(bits, COPIES[name], do(name, 0, size + 1, 0))
    assert "exceeds the slice size=" in said(bits, COPIES[name], do(name, 0, 0xFFFF_FFFF, 2))
    assert said(bits, COPIES[name], do(name, 0, size, 0)) == ""


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_may_not_write_past_the_end_of_the_heap(name: str, bits: int) -> None:
    size = memory_size() * 65536
    text = f"ic0.{name} heap: src="
    assert text in said(bits, COPIES[name], do(name, size + 1, 0, 0))
    assert text in said(bits, COPIES[name], do(name, FAR, 0, 0))
    assert said(bits, COPIES[name], do(name, size, 0, 0)) == ""


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_must_lie_in_the_heap(name: str, bits: int) -> None:
    size = memory_size() * 65536
    text = "src + size is out of bounds" if name == "certified_data_set" else "exceeds the slice size="
    assert text in said(bits, "update", SOURCES[name] + do(name, size, 1))
    assert text in said(bits, "update", SOURCES[name] + do(name, FAR, 0))
    outcome = said(bits, "update", SOURCES[name] + do(name, size, 0))
    assert outcome == "" or "Environment variable  not found." in outcome


@pytest.mark.parametrize("name", WIDE)
def test_an_amount_must_fit_where_it_is_stored(name: str, bits: int) -> None:
    size = memory_size() * 65536
    outcome = said(bits, "update", do(name, *WIDE[name], size - 15))
    assert f"ic0_{name} failed because dst + size is out of bounds." in outcome
    assert said(bits, "update", do(name, *WIDE[name], size - 16)) == ""


@pytest.mark.parametrize("name", ["cost_sign_with_ecdsa", "cost_sign_with_schnorr", "cost_vetkd_derive_key"])
def test_a_key_name_must_lie_in_the_heap(name: str, bits: int) -> None:
    assert f"ic0.{name} heap: src=" in said(bits, "update", do(name, at(FAR, 1), 0, 0))


def test_callee_and_method_name_must_lie_in_the_heap(bits: int) -> None:
    text = said(bits, "update", do("call_new", at(FAR, 1), "x", 0, 0, 0, 0))
    assert "ic0.call_new callee_src: src=" in text
    text = said(bits, "update", do("call_new", "x", at(FAR, 1), 0, 0, 0, 0))
    assert "ic0.call_new method_name: src=" in text


def test_sums_beyond_the_address_space_are_no_addresses(bits: int) -> None:
    text = said(bits, "update", append(at((1 << 64) - 1, 1)))
    wrong = {32: "src=4294967295 + length=1 exceeds", 64: "src=18446744073709551615 + length=1 is an invalid address"}
    assert wrong[bits] in text


@pytest.mark.parametrize("name", ["debug_print", "trap"])
def test_debugging_never_fails_for_a_bad_range(name: str, bits: int, a: Guest) -> None:
    if name == "debug_print":
        assert a.do(do(name, at(FAR, 4)) + reply("fine")) == b"fine"
        assert a.logs()[-1].content == b"(debug_print message out of memory bounds)"
    else:
        text = "Canister called `ic0.trap` with message: '(trap message out of memory bounds)'"
        rejected(ErrorCode.CANISTER_CALLED_TRAP, text, a.do, do(name, at(FAR, 4)))


@pytest.mark.parametrize("size", [30, 100])
def test_a_principal_has_at_most_29_bytes(size: int, bits: int, a: Guest) -> None:
    text = "Canister provided invalid principal id"
    rejected(VIOLATION, text, a.do, do("is_controller", bytes(size)))
    rejected(VIOLATION, text, a.do, call_new(bytes(size)))
    assert count(a.do(reply_number(ic0("is_controller", bytes(29))))) == 0


def test_range_errors_are_contract_violations_and_real_accesses_are_traps(bits: int, a: Guest) -> None:
    rejected(VIOLATION, "Canister violated contract", a.do, append(at(FAR, 1)))
    rejected(ErrorCode.CANISTER_TRAPPED, "heap out of bounds", a.do, evaluate(load(FAR)))

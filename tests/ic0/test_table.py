"""Every function in every mode: interface specification, "Overview of imports"."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.errors import ErrorCode
from sandbox.ic0.help import suggestion
from sandbox.ic0.modes import NAMES, Mode
from sandbox.ic0.row import Row
from sandbox.ic0.state import Execution, GuestTrap
from sandbox.ic0.table import BY_NAME, ONLY_32_BIT, ROWS, bind, modes_of, signatures

Start = Callable[..., Execution]

LETTERS = {
    "s": [Mode.START],
    "I": [Mode.INIT],
    "G": [Mode.PRE_UPGRADE],
    "U": [Mode.UPDATE],
    "RQ": [Mode.REPLICATED_QUERY],
    "NRQ": [Mode.NON_REPLICATED_QUERY],
    "TQ": [Mode.TRANSFORM_QUERY],
    "CQ": [Mode.COMPOSITE_QUERY],
    "Ry": [Mode.REPLY],
    "Rt": [Mode.REJECT],
    "CRy": [Mode.COMPOSITE_REPLY],
    "CRt": [Mode.COMPOSITE_REJECT],
    "C": [Mode.CLEANUP],
    "CC": [Mode.COMPOSITE_CLEANUP],
    "F": [Mode.INSPECT],
    "T": [Mode.HEARTBEAT, Mode.GLOBAL_TIMER, Mode.LOW_WASM_MEMORY],
}

# The comments of the specification's list of imports, in its order.
SPECIFIED = """
msg_arg_data_size msg_arg_data_copy: I U RQ NRQ TQ CQ Ry CRy F
msg_caller_size msg_caller_copy: *
msg_caller_info_data_size msg_caller_info_data_copy: U RQ NRQ CQ Ry Rt CRy CRt C CC F
msg_caller_info_signer_size msg_caller_info_signer_copy: U RQ NRQ CQ Ry Rt CRy CRt C CC F
msg_reject_code: Ry Rt CRy CRt C
msg_reject_msg_size msg_reject_msg_copy: Rt CRt
msg_deadline: U RQ NRQ CQ Ry Rt CRy CRt
msg_reply_data_append msg_reply msg_reject: U RQ NRQ TQ CQ Ry Rt CRy CRt
msg_cycles_available128 msg_cycles_available msg_cycles_accept128 msg_cycles_accept: U RQ Rt Ry
msg_cycles_refunded128 msg_cycles_refunded: Rt Ry
cycles_burn128: I G U RQ Ry Rt C T
canister_self_size canister_self_copy: *
canister_cycle_balance128 canister_cycle_balance canister_liquid_cycle_balance128: *
canister_status canister_version: *
subnet_self_size subnet_self_copy: *
msg_method_name_size msg_method_name_copy accept_message: F
call_new call_on_cleanup call_data_append call_with_best_effort_response call_perform: U CQ Ry Rt CRy CRt T
call_cycles_add128 call_cycles_add: U Ry Rt T
stable64_size stable64_grow stable64_write stable64_read: * s
stable_size stable_grow stable_write stable_read: * s
root_key_size root_key_copy: I G U RQ Ry Rt C T
certified_data_set: I G U Ry Rt T
data_certificate_present: *
data_certificate_size data_certificate_copy: NRQ CQ
time: *
global_timer_set: I G U Ry Rt C T
performance_counter is_controller in_replicated_execution: * s
cost_call cost_create_canister cost_http_request: * s
cost_sign_with_ecdsa cost_sign_with_schnorr cost_vetkd_derive_key: * s
env_var_count env_var_name_size env_var_name_copy: *
env_var_name_exists env_var_value_size env_var_value_copy: *
debug_print trap: * s
"""
UNPUBLISHED = """
mint_cycles128: U Ry Rt T
cost_http_request_v2: * s
"""


def parsed(text: str) -> dict[str, set[Mode]]:
    table = {}
    for line in text.strip().splitlines():
        names, letters = line.split(":")
        modes: set[Mode] = set()
        for letter in letters.split():
            modes |= set(Mode) - {Mode.START} if letter == "*" else set(LETTERS[letter])
        for name in names.split():
            table[name] = modes
    return table


ALLOWED = parsed(SPECIFIED) | parsed(UNPUBLISHED)
CASES = [pytest.param(row, mode, id=f"{row.name}-{mode.name}") for row in ROWS if row.function for mode in Mode]


def text_of(x: Execution, row: Row, arguments: list[int]) -> str:
    """The text of the trap; empty after a return."""
    try:
        bind(row)(x, *arguments)
    except GuestTrap as trap:
        return trap.text
    return ""


def test_table_is_the_specifications_list() -> None:
    assert {row.name for row in ROWS if row.public} == set(parsed(SPECIFIED))
    assert {row.name for row in ROWS if not row.public} == set(parsed(UNPUBLISHED))
    assert len(BY_NAME) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.name))
def test_modes_of_a_function(row: Row) -> None:
    assert set(modes_of(row)) == ALLOWED[row.name]


@pytest.mark.parametrize(("row", "mode"), CASES)
def test_a_function_runs_only_in_its_modes(row: Row, mode: Mode, start: Start) -> None:
    x = start(mode, certificate=b"certificate")
    arguments = [0] * len(row.params)
    if mode in ALLOWED[row.name]:
        outcome = text_of(x, row, arguments)
        assert "cannot be executed in" not in outcome or row.name == "mint_cycles128"
        return
    with pytest.raises(GuestTrap) as caught:
        bind(row)(x, *arguments)
    name = "ic0.root_key_copy" if row.name == "root_key_copy" else f"ic0_{row.name}"
    name = "ic0.subnet_self_copy" if row.name == "subnet_self_copy" else name
    assert caught.value.code is ErrorCode.CANISTER_CONTRACT_VIOLATION
    assert caught.value.text == f'Canister violated contract: "{name}" cannot be executed in {NAMES[mode]} mode'
    assert suggestion(caught.value.code, caught.value.text) == (
        "Check the ICP documentation to make sure APIs are being called in the correct message types. "
        "See documentation: https://internetcomputer.org/docs/current/references/execution-errors"
        "#calling-a-system-api-from-the-wrong-mode"
    )


@pytest.mark.parametrize("row", [row for row in ROWS if row.function], ids=lambda row: str(row.name))
def test_without_a_memory_a_function_with_addresses_cannot_be_called(row: Row, start: Start) -> None:
    takes_address = "I" in row.params and row.name not in ("call_on_cleanup", "env_var_name_size")
    for mode in Mode:
        outcome = text_of(start(mode, memory=None), row, [0] * len(row.params))
        missing = outcome == "Canister violated contract: WebAssembly module must define memory"
        assert missing is takes_address, mode


def test_stable_memory_functions_are_not_host_functions() -> None:
    with pytest.raises(ValueError, match="companion"):
        bind(BY_NAME["stable64_read"])


def test_signatures_have_the_modules_pointer_type() -> None:
    narrow, wide = signatures("i"), signatures("l")
    assert narrow["msg_arg_data_copy"] == ("iii", "")
    assert wide["msg_arg_data_copy"] == ("lll", "")
    assert wide["cost_sign_with_ecdsa"] == ("llil", "i")
    assert narrow["stable64_write"] == wide["stable64_write"] == ("lll", "")
    assert set(narrow) - set(wide) == ONLY_32_BIT


def test_32_bit_functions_are_those_with_a_wider_sister() -> None:
    assert {
        "canister_cycle_balance",
        "msg_cycles_available",
        "msg_cycles_accept",
        "msg_cycles_refunded",
        "call_cycles_add",
        "stable_size",
        "stable_grow",
        "stable_read",
        "stable_write",
    } == ONLY_32_BIT


def test_replicated_execution_is_known_everywhere(start: Start) -> None:
    replicated = [mode for letter in ("I", "G", "U", "RQ", "Ry", "Rt", "C", "T", "s") for mode in LETTERS[letter]]
    for mode in Mode:
        assert bind(BY_NAME["in_replicated_execution"])(start(mode)) == int(mode in replicated)

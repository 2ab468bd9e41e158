"""Every function in every mode: interface specification, "Overview of imports"."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.ic0.function import SystemApiFunction
from sandbox.ic0.modes import NAMES, Mode
from sandbox.ic0.state import Execution, GuestTrap
from sandbox.ic0.table import BY_NAME, ONLY_32_BIT, SYSTEM_API, bind, signatures
from tests.spec.imports import ALLOWED, PUBLIC, UNPUBLISHED

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

TASKS = LETTERS["T"]
CASES = [pytest.param(row, mode, id=f"{row.name}-{mode.name}") for row in SYSTEM_API if row.function for mode in TASKS]


def text_of(x: Execution, row: SystemApiFunction, arguments: list[int]) -> str:
    """The text of the trap; empty after a return."""
    try:
        bind(row)(x, *arguments)
    except GuestTrap as trap:
        return trap.text
    return ""


def test_table_is_the_specifications_list() -> None:
    assert {row.name for row in SYSTEM_API if row.public} == set(PUBLIC)
    assert {row.name for row in SYSTEM_API if not row.public} == set(UNPUBLISHED)
    assert len(BY_NAME) == len(SYSTEM_API)


@pytest.mark.parametrize("row", SYSTEM_API, ids=lambda row: str(row.name))
def test_modes_of_a_function(row: SystemApiFunction) -> None:
    assert {mode for mode in Mode if mode & row.modes} == {
        mode for letter in ALLOWED[row.name] for mode in LETTERS[letter]
    }


@pytest.mark.parametrize(("row", "mode"), CASES)
def test_a_task_that_calls_what_it_may_not_traps_with_the_text_that_nobody_reads(
    row: SystemApiFunction, mode: Mode, start: Start
) -> None:
    outcome = text_of(start(mode), row, [0] * len(row.params))
    if "T" in ALLOWED[row.name]:
        assert "cannot be executed in" not in outcome or row.name == "mint_cycles128"
        return
    name = "ic0.root_key_copy" if row.name == "root_key_copy" else f"ic0_{row.name}"
    name = "ic0.subnet_self_copy" if row.name == "subnet_self_copy" else name
    assert outcome == f'Canister violated contract: "{name}" cannot be executed in {NAMES[mode]} mode'


@pytest.mark.parametrize("row", [row for row in SYSTEM_API if row.function], ids=lambda row: str(row.name))
def test_without_a_memory_a_function_with_addresses_cannot_be_called(row: SystemApiFunction, start: Start) -> None:
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

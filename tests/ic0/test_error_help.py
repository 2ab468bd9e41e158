"""Help, backtraces and log records as the replica prints them."""

from __future__ import annotations

import pytest

from sandbox.canister.failure import Failure
from sandbox.errors import ErrorCode
from sandbox.ic0.error_help import TOOLCHAIN, backtrace, log_record, suggestion, with_backtrace
from sandbox.principal import Principal

VIOLATION = "Canister violated contract: "
INVALID = "Canister's Wasm module is not valid: "
LINK = "See documentation: https://internetcomputer.org/docs/current/references/execution-errors#"
Code = ErrorCode


@pytest.mark.parametrize(
    ("code", "text", "anchor"),
    [
        (Code.CANISTER_TRAPPED, "Canister trapped: unreachable", "trapped"),
        (Code.CANISTER_CALLED_TRAP, "Canister called `ic0.trap` with message: ''", "trapped-explicitly"),
        (Code.CANISTER_METHOD_NOT_FOUND, "Canister has no update method 'm'.", "method-not-found"),
        (Code.CANISTER_WASM_MODULE_NOT_FOUND, "Attempted to execute", "wasm-module-not-found"),
        (Code.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, "Canister exceeded", "instruction-limit-exceeded"),
        (Code.CANISTER_OUT_OF_MEMORY, "Canister cannot grow its memory usage.", "out-of-memory"),
        (Code.CANISTER_WASM_MEMORY_LIMIT_EXCEEDED, "Canister exceeded", "wasm-memory-limit-exceeded"),
        (Code.CANISTER_MEMORY_ACCESS_LIMIT_EXCEEDED, "Canister exceeded", "memory-access-limit-exceeded"),
        (
            Code.CANISTER_CONTRACT_VIOLATION,
            VIOLATION + "Request to aaaaa-aa:m has a payload size of 1, which exceeds the allowed limit of 0.",
            "canister-made-a-call-with-too-large-payload",
        ),
        (
            Code.CANISTER_CONTRACT_VIOLATION,
            VIOLATION + "ic0.msg_reply_data_append: application payload size (3) cannot be larger than 2.",
            "msg_reply_data_append-payload-too-large",
        ),
        (Code.CANISTER_INVALID_WASM, INVALID + "Wasm module size of 9 exceeds", "wasm-module-too-large"),
        (
            Code.CANISTER_INVALID_WASM,
            INVALID + "Duplicate function 'a b' exported multiple times with different call types",
            "wasm-module-duplicate-exports",
        ),
        (
            Code.CANISTER_INVALID_WASM,
            INVALID + "Wasm module contains a function at index 3 of size 7 that exceeds",
            "wasm-module-function-too-large",
        ),
    ],
)
def test_help_that_links_to_the_documentation(code: ErrorCode, text: str, anchor: str) -> None:
    assert suggestion(code, text).endswith(LINK + anchor)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (Code.CANISTER_CONTRACT_VIOLATION, VIOLATION + "ic0.msg_reply: the call is already replied"),
        (Code.CANISTER_CONTRACT_VIOLATION, VIOLATION + "function invocation does not match its signature"),
        (Code.CANISTER_CONTRACT_VIOLATION, "Canister provided invalid principal id"),
        (Code.CANISTER_FUNCTION_NOT_FOUND, "Canister requested to invoke a non-existent Wasm function 1 from table 0"),
        (Code.CANISTER_INVALID_WASM, INVALID + "Wasm module has an invalid import section. Module imports"),
    ],
)
def test_errors_of_the_toolchain(code: ErrorCode, text: str) -> None:
    assert suggestion(code, text) == TOOLCHAIN


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (Code.CANISTER_CONTRACT_VIOLATION, "Canister aaaaa-aa is out of cycles"),
        (Code.CANISTER_CONTRACT_VIOLATION, "Environment variable x not found."),
        (Code.CANISTER_CONTRACT_VIOLATION, VIOLATION + "Error getting performance counter type 2"),
        (Code.CANISTER_CONTRACT_VIOLATION, VIOLATION + "ic0.env_var_name_exists: Variable name is too large."),
        (Code.CANISTER_REJECTED_MESSAGE, "Canister rejected the message"),
        (Code.CANISTER_TRAPPED, "Canister trapped: a\n\ncall_on_cleanup also failed:\n\nCanister trapped: b"),
    ],
)
def test_errors_without_help(code: ErrorCode, text: str) -> None:
    assert suggestion(code, text) == ""
    canister = Principal.from_index(0)
    assert Failure(code, text).message(canister) == f"Error from Canister {canister}: {text}"


def test_the_whole_text_of_an_explicit_trap() -> None:
    canister = Principal.from_index(0)
    functions = ("inner", "unknown function at index 300", "outer")
    code, text = Code.CANISTER_CALLED_TRAP, "Canister called `ic0.trap` with message: 'uh oh'"
    trace = backtrace(functions)
    assert trace == "Canister Backtrace:\ninner\nunknown function at index 300\nouter\n"
    assert Failure(code, text, functions).message(canister) == (
        "Error from Canister rwlgt-iiaaa-aaaaa-aaaaa-cai: Canister called `ic0.trap` with message: 'uh oh'\n"
        "Canister Backtrace:\ninner\nunknown function at index 300\nouter\n"
        ".\nConsider gracefully handling failures from this canister or altering the canister to handle exceptions. "
        + LINK
        + "trapped-explicitly"
    )
    assert log_record(code, text, trace) == b"[TRAP]: uh oh\n" + trace.encode()


def test_a_backtrace_without_a_single_name_is_none() -> None:
    assert backtrace([]) == ""
    assert with_backtrace(Code.CANISTER_TRAPPED, "text", "") == "text"


def test_what_is_logged() -> None:
    assert log_record(Code.CANISTER_TRAPPED, "Canister trapped: heap out of bounds", "") == (
        b"[TRAP]: heap out of bounds"
    )
    text = "Canister called `ic0.trap` with message: ''"
    assert log_record(Code.CANISTER_CALLED_TRAP, text, "") == b"[TRAP]: (no message)"
    assert log_record(Code.CANISTER_CONTRACT_VIOLATION, VIOLATION + "x", "trace") is None
    assert with_backtrace(Code.CANISTER_CONTRACT_VIOLATION, VIOLATION + "x", "trace") == VIOLATION + "x"

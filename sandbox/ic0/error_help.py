"""The replica's help after an error, and its log records: suggestions, links, backtraces.

A reject of an execution reads `Error from Canister <id>: <text>` and, where there is help, `.`, a line end, the help.
`<text>` is a trap's text with the backtrace, if there is one and the caller may see it (who may read the canister's
logs): `with_backtrace`. The log always has the backtrace: `log_record`.

Source: `dfinity/ic` `rs/interfaces/src/execution_environment/errors.rs` (`HypervisorError`, `CanisterBacktrace`),
`rs/types/wasm_types/src/errors.rs` (`ErrorHelp`, `WasmValidationError`), `system_api.rs`, `request_in_prep.rs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sandbox.errors import ErrorCode

DOCUMENTATION = "https://internetcomputer.org/docs/current/references/execution-errors#"
TOOLCHAIN = (
    "If you are running this canister in a test environment (e.g., dfx), make sure the test environment is up to date. "
    "Otherwise, this is likely an error with the compiler/CDK toolchain being used to build the canister. Please "
    "report the error to IC devs on the forum: https://forum.dfinity.org and include which language/CDK was used to "
    "create the canister."
)
_HANDLE = "Consider gracefully handling failures from this canister or altering the canister to handle exceptions."
_SMALLER_FUNCTIONS = "Try breaking large functions up into multiple smaller functions."
_SHRINK = "using tools like `ic-wasm` or splitting the logic across multiple canisters."
_TOP_UP = "Try topping up the canister."

Code = ErrorCode


def _link(suggestion: str, anchor: str) -> str:
    return f"{suggestion} See documentation: {DOCUMENTATION}{anchor}"


_BY_CODE: dict[ErrorCode, str] = {
    Code.CANISTER_TRAPPED: _link(_HANDLE, "trapped"),
    Code.CANISTER_CALLED_TRAP: _link(_HANDLE, "trapped-explicitly"),
    Code.CANISTER_FUNCTION_NOT_FOUND: TOOLCHAIN,
    Code.CANISTER_METHOD_NOT_FOUND: _link(
        "Check that the method being called is exported by the target canister.", "method-not-found"
    ),
    Code.CANISTER_WASM_MODULE_NOT_FOUND: _link(
        "Please install code to this canister before calling it.", "wasm-module-not-found"
    ),
    Code.CANISTER_INSTRUCTION_LIMIT_EXCEEDED: _link(
        "Try optimizing this method to consume fewer instructions or split the work across multiple messages.",
        "instruction-limit-exceeded",
    ),
    Code.CANISTER_OUT_OF_MEMORY: _link(
        "Check the canister's memory usage against its allocation and the system wide limits to determine why more "
        "memory cannot be allocated.",
        "out-of-memory",
    ),
    Code.CANISTER_MEMORY_ACCESS_LIMIT_EXCEEDED: _link(
        "Try optimizing the use of stable memory so that individual messages don't need to access as much stable "
        "memory.",
        "memory-access-limit-exceeded",
    ),
    Code.INSUFFICIENT_CYCLES_IN_MEMORY_GROW: _link(_TOP_UP, "insufficient-cycles-in-memory-grow"),
    Code.RESERVED_CYCLES_LIMIT_EXCEEDED_IN_MEMORY_GROW: _link(
        "Try increasing the canister's reserved cycles limit.", "reserved-cycles-limit-exceeded-in-memory-grow"
    ),
    Code.INSUFFICIENT_CYCLES_IN_MESSAGE_MEMORY_GROW: _link(_TOP_UP, "insufficient-cycles-in-message-memory-grow"),
    Code.CANISTER_WASM_MEMORY_LIMIT_EXCEEDED: _link(
        "Try checking the canister for a possible memory leak or modifying it to use more stable memory instead of "
        "Wasm memory.",
        "wasm-memory-limit-exceeded",
    ),
}

_VIOLATION = "Canister violated contract: "
_CONTRACT: tuple[tuple[str, str], ...] = (
    (
        r'"ic0[_.][a-z0-9_]+" cannot be executed in [A-Za-z ]+ mode',
        _link(
            "Check the ICP documentation to make sure APIs are being called in the correct message types.",
            "calling-a-system-api-from-the-wrong-mode",
        ),
    ),
    (
        r"ic0\.msg_reply_data_append: application payload size",
        _link(
            "Consider checking the response size and returning an error if it is too long.",
            "msg_reply_data_append-payload-too-large",
        ),
    ),
    (
        r"ic0\.msg_reject: application payload size",
        _link("Try truncating the error messages that are too long.", "msg_reject-payload-too-large"),
    ),
    (
        r"ic0_certified_data_set failed because the passed data",
        _link(
            "Try certifying just the hash of your data instead of the full contents.",
            "certified_data_set-payload-too-large",
        ),
    ),
    (
        r"Size of method_name ",
        _link(
            "Size of method_name {} exceeds the allowed limit of {}.",  # the replica forgot to fill this in
            "canister-made-a-call-with-too-large-method-name",
        ),
    ),
    (
        r"Request to ",
        _link(
            "Check the canister for errors or redesign the target API to allow shorter messages",
            "canister-made-a-call-with-too-large-payload",
        ),
    ),
    (
        r"ic0\.env_var_[a-z_]+: Variable name is not a valid UTF-8 string\.",
        "Provide a valid UTF-8 string for the environment variable name. See documentation: ",
    ),
    (r"ic0\.env_var_[a-z_]+: Variable name is too large\.", ""),
    (r"Error getting performance counter type ", ""),
    ("", TOOLCHAIN),
)

_INVALID = "Canister's Wasm module is not valid: "
_MODULE: tuple[tuple[str, str], ...] = (
    (
        r"The number of exported functions called ",
        _link("Try combining multiple endpoints into a single endpoint.", "wasm-module-exports-too-many-methods"),
    ),
    (
        r"The sum of `<name>` lengths ",
        _link("Try using shorter method names.", "wasm-module-sum-of-exported-name-lengths-too-large"),
    ),
    (
        r"Wasm module defined \d+ functions ",
        _link("Try spliting this canister into multiple canisters.", "wasm-module-too-many-functions"),
    ),
    (
        r"Wasm module defined \d+ globals ",
        _link(
            "Try collecting multiple globals into a single structured which can be stored on the heap.",
            "wasm-module-too-many-globals",
        ),
    ),
    (
        r"Wasm module contains a function at index \d+ with complexity ",
        _link(_SMALLER_FUNCTIONS, "wasm-module-function-complexity-too-high"),
    ),
    (
        r"Wasm module contains a function at index \d+ of size ",
        _link(_SMALLER_FUNCTIONS, "wasm-module-function-too-large"),
    ),
    (
        r"Wasm module code section size of ",
        _link(f"Try shrinking the module code section {_SHRINK}", "wasm-module-code-section-too-large"),
    ),
    (r"Wasm module size of ", _link(f"Try shrinking the module {_SHRINK}", "wasm-module-too-large")),
    ("", TOOLCHAIN),
)
_DUPLICATE = re.compile(r"Duplicate function '(.*)' exported multiple times", re.DOTALL)
_CLEANUP = "\n\ncall_on_cleanup also failed:\n\n"


def suggestion(code: ErrorCode, text: str) -> str:
    """The replica's help for an error whose text begins with `text`; empty where it gives none."""
    if _CLEANUP in text:
        return ""
    if code == Code.CANISTER_CONTRACT_VIOLATION:
        if text.startswith(_VIOLATION):
            return _first(_CONTRACT, text[len(_VIOLATION) :])
        return TOOLCHAIN if text == "Canister provided invalid principal id" else ""
    if code == Code.CANISTER_INVALID_WASM:
        return _module_help(text[len(_INVALID) :]) if text.startswith(_INVALID) else ""
    if code == Code.CANISTER_OUT_OF_MEMORY and text.startswith("Canister tried to allocate pages reserved"):
        return _link("Upgrade the canister to the latest version of Motoko.", "reserved-pages-for-old-motoko")
    return _BY_CODE.get(code, "")


def _module_help(reason: str) -> str:
    duplicate = _DUPLICATE.match(reason)
    if duplicate is None:
        return _first(_MODULE, reason)
    name = duplicate.group(1)
    return _link(
        "Try defining different versions of the function for each call type, "
        f"e.g. `{name}_update`, `{name}_query`, etc.",
        "wasm-module-duplicate-exports",
    )


def _first(table: tuple[tuple[str, str], ...], text: str) -> str:
    return next(help_text for pattern, help_text in table if re.match(pattern, text))


def backtrace(functions: Iterable[str]) -> str:
    """The printed backtrace, innermost function first; empty if there are none."""
    lines = "".join(f"{name}\n" for name in functions)
    return f"Canister Backtrace:\n{lines}" if lines else ""


def with_backtrace(code: ErrorCode, text: str, trace: str) -> str:
    """The trap's text as a reject shows it: only traps proper and explicit ones have a backtrace."""
    return f"{text}\n{trace}" if trace and code in _TRACED else text


def log_record(code: ErrorCode, text: str, trace: str) -> bytes | None:
    """The record for the canister's log of a trap; None for errors that are not logged."""
    if code not in _TRACED:
        return None
    message = text.removeprefix("Canister trapped: ")
    if code == Code.CANISTER_CALLED_TRAP:
        message = text.removeprefix("Canister called `ic0.trap` with message: '").removesuffix("'") or "(no message)"
    return f"[TRAP]: {message}\n{trace}".encode() if trace else f"[TRAP]: {message}".encode()


_TRACED = frozenset({Code.CANISTER_TRAPPED, Code.CANISTER_CALLED_TRAP})

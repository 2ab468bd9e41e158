"""The instructions that system calls count besides the one that calls them, as one table.

A call pays where it begins, before its arguments are checked: a fixed part, and a part for each byte of its size
arguments. Sources: `dfinity/ic` `rs/embedders/src/wasmtime_embedder/system_api_complexity.rs` (`overhead`, the fixed
parts) and `linker.rs` (what is paid for bytes). Stable memory functions: `ic0.stable`. Instructions: `wasm.weights`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.errors import Unsupported
from sandbox.limits import LOG_SIZE


@dataclass(frozen=True, slots=True)
class Charge:
    """`sizes`: the numbers of the size arguments; `per_byte`: what each byte costs; `logs`: whether the bytes are
    written to the log, which costs more (`LOGGED_BYTE`, `STORED_BYTE`)."""

    fixed: int
    sizes: tuple[int, ...] = ()
    per_byte: int = 1
    logs: bool = False


LOGGED_BYTE: Final = 2
"""For each byte of a text that the message's log could hold when empty, `LOG_CAPACITY`."""
STORED_BYTE: Final = 50
"""For each byte of it that is free there now."""
LOG_CAPACITY: Final = LOG_SIZE
LOG_RECORD: Final = 40
"""Bytes that a record takes in the message's log besides its text."""

_USUAL: Final = Charge(500)
_COPY: Final = Charge(500, (2,))  # destination, offset, size
_READ: Final = Charge(500, (1,))  # source, size
_SENT: Final = Charge(500, (1,), per_byte=50)

CHARGES: Final[dict[str, Charge]] = {
    "msg_caller_copy": _COPY,
    "msg_arg_data_copy": _COPY,
    "msg_method_name_copy": _COPY,
    "msg_reject_msg_copy": _COPY,
    "msg_caller_info_data_copy": _COPY,
    "msg_caller_info_signer_copy": _COPY,
    "canister_self_copy": _COPY,
    "subnet_self_copy": _COPY,
    "root_key_copy": _COPY,
    "data_certificate_copy": _COPY,
    "env_var_name_copy": Charge(500, (3,)),  # index, destination, offset, size
    "env_var_value_copy": Charge(500, (4,)),  # name's address and size, destination, offset, size
    "certified_data_set": _READ,
    "cost_sign_with_ecdsa": _READ,
    "cost_sign_with_schnorr": _READ,
    "cost_vetkd_derive_key": _READ,
    "msg_reply_data_append": _SENT,
    "msg_reject": _SENT,
    "call_data_append": _SENT,
    "is_controller": Charge(1_000, (1,)),
    "call_new": Charge(1_500, (1, 3)),  # sizes of callee and method name
    "call_perform": Charge(5_000),
    "performance_counter": Charge(200),
    "debug_print": Charge(100, (1,), per_byte=0, logs=True),
    "trap": Charge(500, (1,), logs=True),
    "cost_http_request_v2": Charge(10_000),
    "mint_cycles128": Charge(0),
}
"""Functions with another charge than `_USUAL`."""

STABLE_GROW: Final = 100
STABLE_ACCESS: Final = 20
"""The fixed part of reads and writes, each byte counts 1 besides (`dfinity/ic` `rs/embedders/src/wasm_utils/
system_api_replacements.rs`). The size of stable memory costs nothing."""
STABLE_PAGE: Final = 1_000
"""For each page of 4 KiB that the message has not written before, before it is written."""


HEAP_PAGE: Final = 1_000
HEAP_PAGE_WASM64: Final = 4_000
"""For each page of 4 KiB of the heap whose bytes an execution has changed, after it has ended (`dfinity/ic`
`rs/embedders/src/wasm_executor.rs`, before #10789)."""


RULES: Final = "classic"
"""The name of the rules of this file: those of every node and of PocketIC until July 2026."""
_UNSUPPORTED: Final = {
    "2026": "the rules of July 2026, which charge the first access to each page of memory at once (`dfinity/ic` #10789)"
}


def check_rules(name: str) -> None:
    """Check that instructions can be counted by the rules `name`; `Unsupported` for the platform's newer ones,
    `ValueError` for unknown ones."""
    if name in _UNSUPPORTED:
        raise Unsupported(f'metering="{name}", {_UNSUPPORTED[name]}')
    if name != RULES:
        raise ValueError(f"metering is {RULES}, not {name!r}")


def charge_of(name: str) -> Charge:
    """What a call of this function of `ic0` pays."""
    return CHARGES.get(name, _USUAL)

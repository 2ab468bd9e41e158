"""Tiny guests from text, real ones from files, and what most tests ask of a sandbox."""

from __future__ import annotations

import gc
import gzip
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import wasmtime
from hypothesis import HealthCheck, settings

from sandbox import CallRejected, Canister, ErrorCode, InstructionLimits, RawState, Sandbox
from sandbox.api import runtime_of

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "wasm"
FEW_INSTRUCTIONS = InstructionLimits(update=600_000_000, query=200_000_000, install=50_000_000, inspect=5_000_000)
"""Enough for every fixture and for the largest messages, each byte of which counts 50. A loop without end costs some
tenths of a second."""
STRATEGIES = ("protect", "scan", "pagemap", "compare")

_UNTIMED: dict[str, Any] = {"database": None, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fixed", derandomize=True, **_UNTIMED)
settings.register_profile("fresh", derandomize=False, print_blob=True, **_UNTIMED)
settings.load_profile("fixed")
"""Hypothesis draws the same examples on every machine; `scripts/test --all` takes the profile `fresh`: new ones."""


@cache
def wat(text: str) -> bytes:
    """A module from its text."""
    return bytes(wasmtime.wat2wasm(text))


def fixture(name: str) -> bytes:
    """A module that `fixtures/wasm/MANIFEST.yaml` describes."""
    packed = FIXTURES / f"{name}.wasm.gz"
    return gzip.decompress(packed.read_bytes()) if packed.exists() else (FIXTURES / f"{name}.wasm").read_bytes()


_SIGNATURES = {
    "canister_version": "(result i64)",
    "global_timer_set": "(param i64) (result i64)",
    "time": "(result i64)",
    "debug_print": "(param i32 i32)",
    "trap": "(param i32 i32)",
    "msg_arg_data_size": "(result i32)",
    "msg_arg_data_copy": "(param i32 i32 i32)",
    "msg_reply_data_append": "(param i32 i32)",
    "msg_reply": "",
    "msg_reject": "(param i32 i32)",
    "msg_caller_size": "(result i32)",
    "msg_caller_copy": "(param i32 i32 i32)",
    "msg_caller_info_data_size": "(result i32)",
    "msg_caller_info_data_copy": "(param i32 i32 i32)",
    "msg_caller_info_signer_size": "(result i32)",
    "msg_caller_info_signer_copy": "(param i32 i32 i32)",
    "msg_method_name_size": "(result i32)",
    "msg_method_name_copy": "(param i32 i32 i32)",
    "accept_message": "",
    "msg_reject_msg_size": "(result i32)",
    "msg_reject_msg_copy": "(param i32 i32 i32)",
    "certified_data_set": "(param i32 i32)",
    "data_certificate_present": "(result i32)",
    "data_certificate_size": "(result i32)",
    "data_certificate_copy": "(param i32 i32 i32)",
    "root_key_size": "(result i32)",
    "root_key_copy": "(param i32 i32 i32)",
    "subnet_self_size": "(result i32)",
    "subnet_self_copy": "(param i32 i32 i32)",
    "call_new": "(param i32 i32 i32 i32 i32 i32 i32 i32)",
    "call_data_append": "(param i32 i32)",
    "call_perform": "(result i32)",
    "canister_status": "(result i32)",
    "canister_self_copy": "(param i32 i32 i32)",
    "performance_counter": "(param i32) (result i64)",
    "in_replicated_execution": "(result i32)",
    "cycles_burn128": "(param i64 i64 i32)",
    "stable64_size": "(result i64)",
    "stable64_grow": "(param i64) (result i64)",
    "stable64_write": "(param i64 i64 i64)",
    "stable64_read": "(param i64 i64 i64)",
}
_RESULTS = """
(func $reply (param $at i32) (param $size i32)
  (call $msg_reply_data_append (local.get $at) (local.get $size)) (call $msg_reply))
(func $reply64 (param $value i64)
  (i64.store (i32.const 65528) (local.get $value)) (call $reply (i32.const 65528) (i32.const 8)))
"""


@cache
def guest(body: str, memory: str = '(memory (export "memory") 1)') -> bytes:
    """A wasm32 module around `body`: every `$name` of the system interface that it calls is imported. Also there:
    `$reply` (address, size) and `$reply64` (number), which needs the last 8 bytes of the first page."""
    whole = body + (_RESULTS if "$reply" in body else "")
    names = [name for name in _SIGNATURES if re.search(rf"\${name}\b", whole)]
    imports = "".join(f'(import "ic0" "{name}" (func ${name} {_SIGNATURES[name]}))\n' for name in names)
    return wat(f"(module {imports}{memory}\n{whole})")


def with_section(module: bytes, name: str, content: bytes = b"") -> bytes:
    """The module with one more custom section at its end; all sizes below 16 KiB."""
    body = bytes([len(name)]) + name.encode() + content
    return module + b"\0" + bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) + body


def number(reply: bytes | None) -> int:
    """A little-endian number."""
    assert reply is not None
    return int.from_bytes(reply, "little")


def operations(action: Callable[[], object]) -> int:
    """The number of calls, of functions in Python and in C, that `action` makes: a measure that no other process
    disturbs."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    gc.collect()
    gc.disable()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


def sandbox_of(canister: Canister) -> Sandbox:
    """The sandbox that a canister is in."""
    sandbox = Sandbox.__new__(Sandbox)
    sandbox._stand_on(runtime_of(canister))
    return sandbox


def everything(sandbox: Sandbox, canister: Canister) -> tuple[RawState, Any]:
    """All that a rejected call must leave alone: the exact bytes and the rest of the record, logs excepted."""
    state = runtime_of(sandbox).state_of(canister.id)
    rest = {
        name: getattr(state, name)
        for name in ("settings", "status", "version", "certified_data", "global_timer", "cycles", "history")
    }
    return sandbox.raw_state(canister), (rest, state.total_changes, state.last_installed_at, state.snapshots)


def rejected(code: ErrorCode, text: str, action: Callable[..., Any], *args: Any, **options: Any) -> CallRejected:
    """Do `action`, which must be rejected with `code` and a message that contains `text`."""
    with pytest.raises(CallRejected) as caught:
        action(*args, **options)
    error = caught.value
    assert error.error_code is code, error
    assert error.reject_code is code.reject_code
    assert text in error.message, error.message
    return error


@pytest.fixture
def sandbox() -> Sandbox:
    """A sandbox in which a loop without end ends soon."""
    return Sandbox(instruction_limits=FEW_INSTRUCTIONS, max_snapshots=10)


@pytest.fixture
def install(sandbox: Sandbox) -> Callable[..., Canister]:
    """`install(module, **options)`: a new canister of `sandbox` with this code."""

    def make(module: bytes, **options: Any) -> Canister:
        canister = sandbox.create_canister()
        canister.install(module, **options)
        return canister

    return make

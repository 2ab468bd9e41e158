"""A heap that is carried over must fit the module that goes on with it.

Source: `dfinity/ic` `rs/execution_environment/src/hypervisor.rs` (`validate_wasm_memory`, 2026). The prefix and the
code of the error are the sandbox's own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.api import runtime_of
from tests.conftest import everything, rejected, wat, with_section
from tests.management.test_methods_upload import load, put, upload

PAGE, GIB = 65_536, 1 << 30
NOT_VALID = "Canister's Wasm memory is not valid: the Wasm memory ({} bytes) "
SMALL = "is smaller than the minimum Wasm memory ({} bytes) declared by the canister module."
LARGE = "exceeds the maximum Wasm memory (4294967296 bytes) allowed for the Wasm execution mode of the canister module."
DECLARED = "exceeds the maximum Wasm memory ({} bytes) declared by the canister module."
NONE = "is not empty although the canister module declares no Wasm memory."

BEYOND = 5 * GIB // PAGE
CASES = [
    ("(memory 1)", 1, "(memory 1)", None),
    ("(memory 1)", 3, "(memory 3)", None),
    ("(memory 1)", 3, "(memory 1 3)", None),
    ("(memory i64 1)", 2, "(memory 1)", None),
    ("", 0, "", None),
    ("(memory 0)", 0, "", None),
    ("(memory 1)", 1, "(memory 2)", SMALL.format(2 * PAGE)),
    ("(memory i64 1)", 2, "(memory i64 3)", SMALL.format(3 * PAGE)),
    ("", 0, "(memory 1)", SMALL.format(PAGE)),
    ("(memory 1)", 1, "", NONE),
    ("(memory 1)", 3, "(memory 1 2)", DECLARED.format(2 * PAGE)),
    ("(memory i64 1)", BEYOND, "(memory 1)", LARGE),
    ("(memory i64 1)", BEYOND, "", LARGE),
]


def module(memory: str) -> bytes:
    """A module that keeps its heap; `grow` takes as many pages as its argument has bytes."""
    kind = "i64" if "i64" in memory else "i32"
    grow = (
        ""
        if not memory
        else """(func (export "canister_update grow")
        (drop (memory.grow (call $size))) (call $reply))"""
    )
    return with_section(
        wat(
            f"""(module
            (import "ic0" "msg_reply" (func $reply))
            (import "ic0" "msg_arg_data_size" (func $size (result {kind})))
            {memory} {grow}
            (func (export "canister_update ok") (call $reply)))"""
        ),
        "icp:private enhanced-orthogonal-persistence",
    )


def grown(sandbox: Sandbox, memory: str, pages: int) -> Canister:
    """A canister with so many pages of heap."""
    canister = sandbox.create_canister(settings={"wasm_memory_limit": 0})
    canister.install(module(memory))
    missing = pages - canister.status().heap_size // PAGE
    if missing:
        canister.update("grow", bytes(missing))
    assert canister.status().heap_size == pages * PAGE
    return canister


@pytest.mark.parametrize(("before", "pages", "after", "reason"), CASES)
def test_an_upgrade_that_keeps_the_heap(
    before: str, pages: int, after: str, reason: str | None, sandbox: Sandbox
) -> None:
    canister = grown(sandbox, before, pages)
    if reason is None:
        canister.upgrade(module(after))
        assert canister.status().heap_size == pages * PAGE
    else:
        text = f"Error from Canister {canister.id}: {NOT_VALID.format(pages * PAGE)}{reason}"
        version = canister.status().version
        error = rejected(ErrorCode.CANISTER_INVALID_WASM, text, canister.upgrade, module(after))
        assert error.message == text
        assert (canister.status().version, canister.status().heap_size) == (version, pages * PAGE)
        assert canister.metadata("enhanced-orthogonal-persistence") == b""
    canister.update("ok")


def test_what_is_refused_changes_nothing(sandbox: Sandbox) -> None:
    canister = grown(sandbox, "(memory 1)", 2)
    state = everything(sandbox, canister)
    rejected(ErrorCode.CANISTER_INVALID_WASM, "not valid", canister.upgrade, module("(memory 3)"))
    assert everything(sandbox, canister) == state


def test_an_upgrade_that_replaces_the_heap_takes_any_module(sandbox: Sandbox) -> None:
    for memory in ("(memory 2)", "", "(memory 1 1)"):
        canister = grown(sandbox, "(memory 1)", 3)
        canister.upgrade(module(memory), wasm_memory_persistence="replace")
        canister.update("ok")


@pytest.mark.parametrize(
    ("pages", "memory", "reason"),
    [
        *(case[1:] for case in CASES if case[1] or case[3]),
        (BEYOND, "(memory i64 1)", None),
        (7 * GIB // PAGE, "(memory i64 1)", LARGE.replace("4294967296", "6442450944")),
    ],
)
def test_a_load_of_an_uploaded_snapshot(pages: int, memory: str, reason: str | None, sandbox: Sandbox) -> None:
    target, wasm = sandbox.create_canister(), module(memory)
    made = upload(sandbox, target, globals=[], wasm_module_size=len(wasm), wasm_memory_size=pages * PAGE)
    put(sandbox, target, made, "wasm_module", 0, wasm)
    if reason is None:
        target.update_settings(wasm_memory_limit=0)
        load(sandbox, target, made)
        target.update("ok")
        return
    text = f"Error from Canister {target.id}: {NOT_VALID.format(pages * PAGE)}{reason}"
    before = runtime_of(sandbox).state_of(target.id)
    error = rejected(ErrorCode.CANISTER_INVALID_WASM, text, load, sandbox, target, made)
    assert error.message == text
    assert runtime_of(sandbox).state_of(target.id) == before


def test_a_snapshot_of_the_canister_itself_fits(sandbox: Sandbox) -> None:
    canister = grown(sandbox, "(memory 1)", 3)
    kept = canister.take_snapshot()
    canister.upgrade(module("(memory 2)"))
    canister.load_snapshot(kept.id)
    assert canister.status().heap_size == 3 * PAGE
    canister.update("ok")


def test_a_snapshot_with_a_heap_that_no_module_may_have_is_copied_and_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    target, wasm, size = sandbox.create_canister(), module("(memory i64 1)"), 7 * GIB
    made = upload(sandbox, target, globals=[], wasm_module_size=len(wasm), wasm_memory_size=size)
    put(sandbox, target, made, "wasm_module", 0, wasm)
    file = sandbox.snapshots.download(made, tmp_path / "x.icsnap")
    copy = sandbox.snapshots.upload(target, file)
    assert copy.content_id == sandbox.snapshots.list(target)[0].content_id
    rejected(ErrorCode.CANISTER_INVALID_WASM, f"({size} bytes) exceeds", load, sandbox, target, copy.id)

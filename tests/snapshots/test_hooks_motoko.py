"""Motoko's enhanced persistence by way of the hooks, where copying the heap to stable memory and back takes steps.

The compiler's limit of instructions for a step (`--stabilization-instruction-limit`) is a constant of the module that
its build for Node cannot set: it is patched, in place, into the module as built.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from sandbox import CallRejected, Canister, ErrorCode, InstructionLimits, Sandbox
from sandbox.api import runtime_of
from sandbox.canister.module import compile_module
from sandbox.canister.motoko import DESTABILIZE, STABILIZE, to_destabilize
from tests.conftest import fixture, rejected, sandbox_of
from tests.snapshots.hook_guests import Install, people, untouched

DEFAULTS = (180_000_000_000, 18_000_000_000)
"""In `src/mo_config/flags.ml` of the compiler: of an upgrade, and of a message before or after it."""
LIMITS = [(1_000_000, 1_000_000), (1, 3_000_000), (5_000_000, 300_000)]
NOTHING = b"DIDL\0\0"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """With the platform's limits of instructions."""
    with Sandbox() as made:
        yield made


def constant(value: int) -> bytes:
    """`i64.const` with as many bytes as the defaults take (signed LEB128, padded)."""
    groups = [value >> 7 * n & 0x7F for n in range(6)]
    return bytes([0x42, *(group | 0x80 for group in groups[:-1]), groups[-1]])


@cache
def stepwise(name: str, *limits: int) -> bytes:
    """The module with other limits for the steps."""
    module = fixture(f"{name}.enhanced")
    for default, limit in zip(DEFAULTS, limits, strict=True):
        assert module.count(constant(default)) == 1
        module = module.replace(constant(default), constant(limit))
    return module


def call(canister: Canister, method: str) -> None:
    canister.update(method, NOTHING, sender=canister.status().settings.controllers[0])


def regions(canister: Canister) -> Any:
    rows = canister.call("regions")
    return rows, [
        canister.call("read", n, at, 4096) for n, row in enumerate(rows) for at in range(0, row["pages"] << 16, 65_536)
    ]


@pytest.mark.parametrize("limits", LIMITS)
def test_an_upgrade_by_copy_needs_steps_and_stays_blocked_until_they_are_done(
    install: Install, limits: tuple[int, int]
) -> None:
    """As the platform does it: what the hook path must be equal to, and that the limits are low enough."""
    canister = install(stepwise("people_v1", *limits))
    canister.call("fill", 2000)
    before = people(canister)
    call(canister, STABILIZE)
    canister.upgrade(stepwise("people_v1", *limits), wasm_memory_persistence="replace")
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "Messages are blocked", canister.call, "size")
    untouched(sandbox_of(canister), canister, lambda: canister.take_snapshot(via_hooks=True))
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "Messages are blocked", canister.take_snapshot, via_hooks=True)
    call(canister, DESTABILIZE)
    assert people(canister) == before


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("limits", LIMITS)
def test_all_steps_are_done_via_hooks(install: Install, sandbox: Sandbox, limits: tuple[int, int], plain: bool) -> None:
    canister = install(stepwise("people_v1", *limits))
    canister.call("fill", 2000)
    before = people(canister)
    untouched(sandbox, canister, lambda: canister.take_snapshot(via_hooks=not plain))
    [snapshot] = canister.list_snapshots()
    canister.call("fill", 5)
    canister.load_snapshot(snapshot.id, via_hooks=True)
    assert people(canister) == before
    assert canister.call("fill", 1) == 2001
    other = sandbox.create_canister()
    other.load_snapshot(snapshot.id, via_hooks=True, wasm=stepwise("people_v2_good", *limits))
    assert other.call("active_count") == other.call("size") == 2000


def test_regions_are_kept_over_the_steps(install: Install, sandbox: Sandbox) -> None:
    canister = install(stepwise("regions", 1, 20_000))
    canister.call("fill")
    before = regions(canister)
    snapshot = canister.take_snapshot(via_hooks=True)
    canister.load_snapshot(snapshot.id, via_hooks=True)
    assert regions(canister) == before
    assert snapshot.id == canister.list_snapshots()[0].id


def test_a_stabilization_that_has_begun_is_completed(install: Install, sandbox: Sandbox) -> None:
    canister = install(stepwise("people_v1", *LIMITS[0]))
    canister.call("fill", 500)
    before = people(canister)
    call(canister, STABILIZE)
    untouched(sandbox, canister, lambda: canister.take_snapshot(via_hooks=True))
    [snapshot] = canister.list_snapshots()
    canister.load_snapshot(snapshot.id, via_hooks=True)
    assert people(canister) == before


@pytest.mark.parametrize("via_hooks", [True, False])
def test_a_step_that_fails_changes_nothing(via_hooks: bool) -> None:
    """A message may execute less than the module thinks: the step is stopped, in whichever direction."""
    with Sandbox(instruction_limits=InstructionLimits(update=6_000_000), max_snapshots=3) as sandbox:
        canister = sandbox.create_canister()
        canister.install(stepwise("people_v1", 1, 1_000_000))
        for _ in range(40):
            canister.call("fill", 50)
        before = people(canister)
        snapshot = canister.take_snapshot(via_hooks=via_hooks)
        slow = stepwise("people_v1", 1, 10**12)
        other, raw = sandbox.create_canister(), canister.raw_state()
        for target in (canister, other):
            whole = sandbox.state_hash()
            rejected(
                ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED,
                "6000000",
                target.load_snapshot,
                snapshot.id,
                via_hooks=True,
                wasm=slow,
            )
            assert sandbox.state_hash() == whole
        assert (people(canister), canister.raw_state()) == (before, raw)
        canister.upgrade(slow, wasm_memory_persistence="keep")
        untouched(sandbox, canister, lambda: canister.take_snapshot(via_hooks=True))
        with pytest.raises(CallRejected, match="6000000"):
            canister.take_snapshot(via_hooks=True)
        assert people(canister) == before


@pytest.mark.parametrize(
    ("words", "copy"),
    [
        *(((0, version), version in (3, 4, 7, 8)) for version in range(9)),
        ((0, 9), True),
        ((1, 7), False),
    ],
)
def test_stable_memory_says_whether_a_copy_is_to_be_read(
    install: Install, sandbox: Sandbox, words: tuple[int, int], copy: bool
) -> None:
    """By its first word and its last one, of which the compiler may make more."""
    first, last = (word.to_bytes(4, "little") for word in words)
    memory = runtime_of(sandbox).pool.memory(65_536)
    memory.write(0, first + bytes(65_528) + last)
    state = runtime_of(sandbox).state_of(install(fixture("people_v1.enhanced")).id)
    assert state.code is not None
    assert to_destabilize(compile_module(state.code), memory) is copy

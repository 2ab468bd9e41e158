"""The hook path: a snapshot that the canister's own hooks make, of which the canister never knows, and back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import CallRejected, ErrorCode, Sandbox
from sandbox.api import runtime_of
from sandbox.limits import MESSAGES_ALONE, WASM_PAGE
from tests.conftest import FEW_INSTRUCTIONS, fixture, rejected, wat, with_section
from tests.snapshots.hook_guests import PLAIN, SPIN, TRAP, Install, added, module, told, untouched


def test_the_snapshot_has_the_stable_memory_that_the_hook_leaves_and_no_heap(install: Install) -> None:
    canister = install(PLAIN)
    added(canister, 30)
    version = canister.status().version
    snapshot = canister.take_snapshot("x", via_hooks=True)
    state = runtime_of(canister).state_of(canister.id).snapshots[-1]
    assert (snapshot.via_hooks, state.via_hooks, canister.list_snapshots()) == (True, True, [snapshot])
    assert state.stable.read(0, 16) == (30).to_bytes(8, "little") + version.to_bytes(8, "little")
    assert (state.stable.size, state.heap.size, state.globals) == (WASM_PAGE, 0, b"")
    assert state.certified_data == (30).to_bytes(8, "little")
    assert snapshot.total_size == len(PLAIN) + WASM_PAGE + 8


@pytest.mark.parametrize("hook", ["", TRAP, SPIN, "unreachable"])
def test_taking_via_hooks_leaves_no_trace_in_the_canister(install: Install, sandbox: Sandbox, hook: str) -> None:
    canister = install(module(hook))
    added(canister, 3)
    canister.update("stable")
    untouched(sandbox, canister, lambda: canister.take_snapshot(via_hooks=True))
    assert added(canister, 4) == 7


def test_a_hook_that_traps_is_the_error_with_all_evidence(install: Install, sandbox: Sandbox) -> None:
    canister = install(module(TRAP))
    heard: list[str] = []
    sandbox.on_log = lambda _, text: heard.append(text)
    with pytest.raises(CallRejected) as caught:
        canister.take_snapshot(via_hooks=True)
    result = caught.value.result
    assert caught.value.reject.error_code is ErrorCode.CANISTER_CALLED_TRAP
    assert "saved" in caught.value.message
    assert heard == ["saved"] == list(result.logs)
    assert result.instructions > 0
    assert canister.logs() == ()


def test_a_hook_without_end_ends_at_the_limit(install: Install) -> None:
    canister = install(module(SPIN))
    rejected(ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, "50000000", canister.take_snapshot, via_hooks=True)


def test_nobody_else_may_and_an_empty_canister_has_none(install: Install, sandbox: Sandbox) -> None:
    canister, bob = install(PLAIN), sandbox.identity("bob")
    code = ErrorCode.CANISTER_INVALID_CONTROLLER
    rejected(code, str(bob), canister.take_snapshot, sender=bob, via_hooks=True)
    snapshot = canister.take_snapshot(via_hooks=True)
    rejected(code, str(bob), canister.load_snapshot, snapshot.id, bob, via_hooks=True)
    other = sandbox.create_canister(controllers=[bob])
    code = ErrorCode.CANISTER_REJECTED_MESSAGE
    rejected(code, "Only a controller", other.load_snapshot, snapshot.id, via_hooks=True)
    rejected(code, "empty canister", other.take_snapshot, via_hooks=True)


def test_without_hooks_it_is_loaded_only_via_hooks(install: Install, sandbox: Sandbox) -> None:
    canister = install(PLAIN)
    snapshot = canister.take_snapshot(via_hooks=True)
    text = "has only stable memory: it was taken via hooks, load it via hooks (via_hooks=True, --via-hooks)"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, canister.load_snapshot, snapshot.id)
    with pytest.raises(TypeError, match="wasm"):
        canister.load_snapshot(snapshot.id, wasm=PLAIN)


def test_a_load_is_an_upgrade_from_the_snapshot(install: Install, sandbox: Sandbox) -> None:
    canister = install(PLAIN)
    added(canister, 30)
    snapshot = canister.take_snapshot(via_hooks=True)
    added(canister, 12)
    sandbox.advance_time(5)
    before = runtime_of(sandbox).state_of(canister.id)
    result = canister.load_snapshot(snapshot.id, via_hooks=True)
    after = runtime_of(sandbox).state_of(canister.id)
    assert (told(canister, "sum"), told(canister, "loads")) == (30, before.version + 1)
    assert (after.version, after.last_installed_at) == (before.version + 1, sandbox.time)
    assert after.history[-1].kind == "code_deployment"
    assert dict(after.history[-1].details)["mode"] == "upgrade"
    assert (after.certified_data, after.global_timer) == ((30).to_bytes(8, "little"), 0)
    assert [record.content for record in after.logs] == [b"loaded"]
    assert result.logs == ("loaded",)
    assert result.instructions > 0
    assert after.snapshots == before.snapshots
    assert canister.load_snapshot(snapshot.id, via_hooks=True).instructions == result.instructions


def test_another_module_may_take_over(install: Install, sandbox: Sandbox) -> None:
    canister, second = install(PLAIN), module(gain=1000)
    added(canister, 30)
    snapshot = canister.take_snapshot(via_hooks=True)
    canister.load_snapshot(snapshot.id, via_hooks=True, wasm=second)
    assert (told(canister, "sum"), canister.raw_state().module) == (1030, second)
    other = sandbox.create_canister()
    other.load_snapshot(snapshot.id, via_hooks=True)
    assert (told(other, "sum"), other.raw_state().module) == (30, PLAIN)
    assert told(canister, "sum") == 1030


@pytest.mark.parametrize("post", [TRAP, SPIN])
def test_a_load_whose_hook_fails_changes_nothing(install: Install, sandbox: Sandbox, post: str) -> None:
    canister = install(PLAIN)
    added(canister, 30)
    snapshot = canister.take_snapshot(via_hooks=True)
    added(canister, 12)
    before, raw, whole = runtime_of(sandbox).state_of(canister.id), canister.raw_state(), sandbox.state_hash()
    heard: list[str] = []
    sandbox.on_log = lambda _, text: heard.append(text)
    with pytest.raises(CallRejected) as caught:
        canister.load_snapshot(snapshot.id, via_hooks=True, wasm=module(post=post))
    assert list(caught.value.result.logs) == heard == ["loaded"]
    assert caught.value.result.instructions > 0
    assert (runtime_of(sandbox).state_of(canister.id), canister.raw_state(), sandbox.state_hash()) == (
        before,
        raw,
        whole,
    )
    assert told(canister, "sum") == 42
    load = partial(canister.load_snapshot, snapshot.id, via_hooks=True)
    rejected(ErrorCode.CANISTER_INVALID_WASM, "not valid", load, wasm=b"\0asm")


def test_a_plain_snapshot_is_saved_by_its_own_hook_first(install: Install, sandbox: Sandbox) -> None:
    canister = install(PLAIN)
    added(canister, 30)
    snapshot = canister.take_snapshot()
    added(canister, 12)
    result = canister.load_snapshot(snapshot.id, via_hooks=True, wasm=module(gain=1))
    assert (told(canister, "sum"), result.logs) == (31, ("saved", "loaded"))
    assert [record.content for record in canister.logs()] == [b"loaded"]


def test_skipping_the_hook_of_a_plain_snapshot_loses_what_only_its_heap_holds(install: Install) -> None:
    canister = install(PLAIN)
    added(canister, 30)
    canister.update("run_hook")
    added(canister, 12)
    snapshot = canister.take_snapshot()
    canister.load_snapshot(snapshot.id, via_hooks=True, skip_pre_upgrade=True)
    assert told(canister, "sum") == 30


def test_a_plain_snapshot_whose_hook_traps_can_still_be_loaded_without_it(install: Install, sandbox: Sandbox) -> None:
    canister = install(module(TRAP))
    canister.update("stable")
    snapshot = canister.take_snapshot()
    untouched(sandbox, canister, lambda: canister.load_snapshot(snapshot.id, via_hooks=True))
    canister.load_snapshot(snapshot.id, via_hooks=True, skip_pre_upgrade=True, wasm=PLAIN)
    assert told(canister, "sum") == 0


def test_enhanced_persistence_without_a_way_out_of_the_heap_is_refused(install: Install) -> None:
    canister = install(with_section(PLAIN, "icp:private enhanced-orthogonal-persistence"))
    code, text = ErrorCode.CANISTER_REJECTED_MESSAGE, "__motoko_stabilize_before_upgrade"
    rejected(code, text, canister.take_snapshot, via_hooks=True)
    rejected(code, text, canister.load_snapshot, canister.take_snapshot().id, via_hooks=True)


ALONE = """(module
  (import "ic0" "call_new" (func $call_new (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ic0" "call_perform" (func $call_perform (result i32)))
  (import "ic0" "canister_self_copy" (func $self (param i32 i32 i32)))
  (import "ic0" "msg_caller_copy" (func $caller (param i32 i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "stable64_grow" (func $grow (param i64) (result i64)))
  (memory 1) (table 1 funcref) (elem (i32.const 0) $again) (data (i32.const 100) "more")
  (global $left (mut i32) (i32.const {times}))
  (func $again (param i32)
    (if (i32.eqz (global.get $left)) (then (call $reply) (return)))
    (global.set $left (i32.sub (global.get $left) (i32.const 1)))
    (call $self (i32.const 0) (i32.const 0) (i32.const 10))
    {before}
    (call $call_new (i32.const 0) (i32.const 10) (i32.const 100) (i32.const 4)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
    (drop (call $call_perform)))
  (func (export "canister_update __motoko_stabilize_before_upgrade") (call $again (i32.const 0)))
  (func (export "canister_update more")
    (call $self (i32.const 0) (i32.const 0) (i32.const 10)) (call $caller (i32.const 10) (i32.const 0) (i32.const 10))
    (if (i64.ne (i64.load (i32.const 0)) (i64.load (i32.const 10))) (then (unreachable)))
    (drop (call $grow (i64.const 1))) {more}))"""


def alone(times: int, before: str = "", more: str = "(call $reply)") -> bytes:
    """Declares enhanced persistence; saves in `times` calls of itself, each of which grows stable memory by a page."""
    text = ALONE.format(times=times, before=before, more=more)
    return with_section(wat(text), "icp:private enhanced-orthogonal-persistence")


def test_saving_may_take_many_messages(install: Install, sandbox: Sandbox) -> None:
    canister = install(alone(7))
    untouched(sandbox, canister, lambda: canister.take_snapshot(via_hooks=True))
    assert runtime_of(sandbox).state_of(canister.id).snapshots[-1].stable.size == 7 * WASM_PAGE


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (alone(1 << 30), f"no end: {MESSAGES_ALONE} messages"),
        (alone(3, before="(i32.store8 (i32.const 0) (i32.const 9))"), "cannot be made by a canister that is alone"),
        (alone(3, before="(i32.store8 (i32.const 100) (i32.const 65))"), "no update method 'Aore'"),
        (alone(3, more="unreachable"), "unreachable"),
        (alone(30, more="(call $again (i32.const 0))"), "more than 4 deep"),
    ],
)
def test_saving_by_messages_that_do_not_end_well_is_rejected(
    install: Install, sandbox: Sandbox, module: bytes, problem: str
) -> None:
    canister = install(module)
    untouched(sandbox, canister, lambda: canister.take_snapshot(via_hooks=True))
    with pytest.raises(CallRejected, match=problem):
        canister.take_snapshot(via_hooks=True)


def test_the_argument_reaches_post_upgrade(install: Install) -> None:
    canister = install(fixture("people_stable_rs_v1"))
    snapshot = canister.take_snapshot(via_hooks=True)
    canister.load_snapshot(snapshot.id, via_hooks=True, arg={"title": "new", "max_people": 3})
    assert canister.call("config") == {"title": "new", "max_people": 3}


def test_the_mark_is_kept_on_disk(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path) as sandbox:
        canister = sandbox.create_canister()
        canister.install(PLAIN)
        added(canister, 30)
        taken = canister.take_snapshot(via_hooks=True)
        checksum, canister_id = taken.checksum, canister.id
    with Sandbox.open(tmp_path) as sandbox:
        canister = sandbox.canister(canister_id)
        [snapshot] = canister.list_snapshots()
        assert (snapshot, snapshot.checksum) == (taken, checksum)
        added(canister, 3)
        canister.load_snapshot(snapshot.id, via_hooks=True)
    with Sandbox.open(tmp_path) as sandbox:
        assert told(sandbox.canister(canister_id), "sum") == 30


def test_an_anchor_undoes_a_load_via_hooks(install: Install, sandbox: Sandbox) -> None:
    canister = install(PLAIN)
    snapshot = canister.take_snapshot(via_hooks=True)
    added(canister, 30)
    raw = canister.raw_state()
    with sandbox.anchor():
        canister.load_snapshot(snapshot.id, via_hooks=True, wasm=module(gain=5))
        assert told(canister, "sum") == 5
    assert canister.raw_state() == raw
    assert told(canister, "sum") == 30


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 1000)),
        st.tuples(st.sampled_from(["stable", "hook", "plain", "load"]), st.integers(0, 3)),
    ),
    max_size=12,
)


@given(steps=STEPS)
@settings(max_examples=40, deadline=None)
def test_the_hook_path_is_the_identity_on_answers_whatever_happens_between(steps: list[Step]) -> None:
    """A model of what each snapshot must bring back beside the canister itself."""
    with Sandbox(max_snapshots=10, instruction_limits=FEW_INSTRUCTIONS) as sandbox:
        canister = sandbox.create_canister()
        canister.install(PLAIN)
        total, known = 0, dict[bytes, int]()
        for kind, value in steps:
            if kind == "add":
                total += value
                added(canister, value)
            elif kind == "stable":
                canister.update("stable")
            elif kind == "load" and known:
                chosen = sorted(known)[value % len(known)]
                total = known[chosen]
                canister.load_snapshot(chosen, via_hooks=True)
            elif kind in ("hook", "plain") and len(known) < 10:
                untouched(sandbox, canister, partial(canister.take_snapshot, via_hooks=kind == "hook"))
                known[canister.list_snapshots()[-1].id] = total
            assert told(canister, "sum") == total

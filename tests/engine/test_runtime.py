"""Deterministic arithmetic, the feature set of the replica, interruptions, and nothing left behind."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.engine import runtime
from sandbox.errors import InvalidModule
from tests.conftest import guest, number, rejected, wat

Install = Callable[..., Canister]


@pytest.mark.parametrize(
    ("body", "bits"),
    [
        ("(i64.extend_i32_u (i32.reinterpret_f32 (f32.div (f32.const 0) (f32.const 0))))", 0x7FC0_0000),
        ("(i64.reinterpret_f64 (f64.sub (f64.const inf) (f64.const inf)))", 0x7FF8_0000_0000_0000),
        ("(i64.reinterpret_f64 (f64.sqrt (f64.const -1)))", 0x7FF8_0000_0000_0000),
        ("(i64.reinterpret_f64 (f64.add (f64.const -nan:0xdeadbeef) (f64.const 1)))", 0x7FF8_0000_0000_0000),
        ("(i64.extend_i32_u (i32.reinterpret_f32 (f32.min (f32.const nan:0x200001) (f32.const 1))))", 0x7FC0_0000),
        ("(i64x2.extract_lane 1 (f64x2.mul (v128.const f64x2 inf inf) (v128.const f64x2 0 0)))", 0x7FF8_0000_0000_0000),
    ],
)
def test_a_computed_nan_has_one_bit_pattern(body: str, bits: int, install: Install) -> None:
    canister = install(guest(f'(func (export "canister_update x") (call $reply64 {body}))'))
    assert number(canister.update("x").reply) == bits


@pytest.mark.parametrize(
    "module",
    [
        "(module (memory 1 1 shared))",
        "(module (memory 1) (memory 1))",
        "(module (tag))",
        "(module (func (param (ref null func))) (type $s (struct)))",
        "(module (type $f (func)) (func (param (ref $f))))",
        "(module (func (result v128) (i32x4.relaxed_trunc_f32x4_s (v128.const i64x2 0 0))))",
        "(module (memory 1 (pagesize 1)))",
        "(module (global i32 (i32.add (i32.const 1) (i32.const 2))))",
        "(module (table 1 funcref) (func $f) (elem (i32.add (i32.const 0) (i32.const 0)) $f))",
        "(module (func (result i64 i64) (i64.add128 (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1))))",
        "(module (func (throw_ref (ref.null exn))))",
        '(module (memory 1) (data (i32.add (i32.const 1) (i32.const 2)) "a"))',
    ],
)
def test_features_of_other_platforms_are_refused(module: str, sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    rejected(ErrorCode.CANISTER_INVALID_WASM, "Canister's Wasm module is not valid: ", canister.install, wat(module))
    assert canister.raw_state().module is None


@pytest.mark.parametrize(
    "body",
    [
        "(i64.extend32_s (i64.const 0xffffffff))",
        "(i64.trunc_sat_f64_s (f64.const nan))",
        "(i64x2.extract_lane 0 (v128.const i64x2 1 2))",
        "(call $two) (i64.add)",
        "(call $tail)",
    ],
)
def test_features_of_the_platform_work(body: str, install: Install) -> None:
    rest = "(func $two (result i64 i64) (i64.const 1) (i64.const 2)) (func $tail (result i64) (return_call $one)) (func $one (result i64) (i64.const 1))"  # noqa: E501
    canister = install(guest(f'{rest} (func (export "canister_update x") {body} (call $reply64))'))
    assert canister.update("x").reply is not None


def test_a_reason_is_the_engines(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidModule, match=r"wasmtime::Module::validate\(\) failed with "):
        runtime().validate(b"\0asm\1\0\0\0\1")


@pytest.mark.parametrize("memory", ["", "(memory 1)"])
@pytest.mark.parametrize("table", ["(table 0 externref)", "(table 5 10 externref)"])
def test_a_module_with_a_table_of_references_installs(memory: str, table: str, install: Install) -> None:
    """The engine then wants a memory of its own, besides those that are the canister's state."""
    body = '(func (export "canister_update x") (global.set 0 (i64.const 7)) (call $msg_reply))'
    canister = install(guest(f"{table} (global (mut i64) (i64.const 0)) {body}", memory))
    canister.update("x")
    canister.upgrade(canister.raw_state().module or b"")
    canister.update("x")
    assert canister.raw_state().globals[0] == 7
    assert canister.raw_state().heap == bytes(65536 if memory else 0)


# --- interruptions


_INTERRUPTED = """
    import signal, sys
    from sandbox import Sandbox
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    canister.install(open(sys.argv[1], "rb").read())
    before = canister.raw_state()
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for method in ("host", "grow", "both"):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            canister.update(method)
        except KeyboardInterrupt:
            assert canister.raw_state() == before, method
            print("interrupted")
        assert canister.update("ok").reply == bytes(8), method
"""


def test_an_interruption_reaches_the_caller_and_changes_nothing(tmp_path: Path) -> None:
    spin = "(local $n i64) (local.set $n (i64.const 300000000)) (loop $l (br_if $l (i64.ne (local.tee $n (i64.sub (local.get $n) (i64.const 1))) (i64.const 0))))"  # noqa: E501
    module = guest(
        f"""(func (export "canister_update host") {spin} (i32.store (i32.const 8) (i32.const 1)) (drop (call $time))
              (drop (call $time)))
            (func (export "canister_update grow") {spin} (i32.store (i32.const 8) (i32.const 1))
              (drop (memory.grow (i32.const 1))) (i32.store (i32.const 65536) (i32.const 1)))
            (func (export "canister_update both") {spin}
              (drop (call $stable64_grow (i64.const 1))) (drop (call $time)))
            (func (export "canister_update ok") (call $reply64 (i64.load (i32.const 8))))"""
    )
    path = tmp_path / "guest.wasm"
    path.write_bytes(module)
    command = [sys.executable, "-c", textwrap.dedent(_INTERRUPTED), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["interrupted"] * 3


# --- nothing is left behind

COUNTER = guest(
    """(func (export "canister_update inc")
      (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
      (call $reply64 (i64.load (i32.const 0))))
    (func (export "canister_update grow")
      (drop (memory.grow (i32.const 1))) (drop (call $stable64_grow (i64.const 1))) (call $reply64 (i64.const 0)))
    (func (export "canister_update trap")
      (drop (memory.grow (i32.const 1))) (drop (call $stable64_grow (i64.const 1))) unreachable)"""
)


def held() -> tuple[int, int]:
    """(open descriptors, mappings) of this process."""
    with open("/proc/self/maps") as maps:
        return len(os.listdir("/proc/self/fd")), sum(1 for _ in maps)


@contextmanager
def holding_still(slack: int = 40) -> Iterator[None]:
    """What is done within leaves no descriptor and hardly a mapping behind, without the help of the collector."""
    gc.collect()
    gc.disable()
    try:
        before = held()
        yield
        after = held()
    finally:
        gc.enable()
    assert after[0] <= before[0] + 1
    assert after[1] <= before[1] + slack


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="counts through /proc")


@needs_proc
def test_canisters_that_go_take_everything_with_them(sandbox: Sandbox) -> None:
    sandbox.create_canister().install(COUNTER)
    with holding_still():
        for _ in range(500):
            canister = sandbox.create_canister()
            canister.install(COUNTER)
            canister.update("inc")
            canister.stop()
            canister.delete()


@needs_proc
def test_deployments_traps_and_snapshots_leave_nothing_behind(install: Install) -> None:
    canister = install(COUNTER)
    with holding_still():
        for k in range(100):
            canister.install(COUNTER, mode="reinstall" if k % 2 else "upgrade")
            canister.update("grow")
            rejected(ErrorCode.CANISTER_TRAPPED, "unreachable", canister.update, "trap")
            snapshot = canister.take_snapshot()
            canister.update("grow")
            canister.load_snapshot(snapshot.id)
            canister.delete_snapshot(snapshot.id)
            canister.uninstall()
            canister.install(COUNTER)


@needs_proc
def test_failed_deployments_leave_nothing_behind(install: Install) -> None:
    canister = install(COUNTER)
    traps = guest('(func (export "canister_init") unreachable) (func (export "canister_post_upgrade") unreachable)')
    outside = guest('(data (i32.const 65536) "x")')
    with holding_still():
        for module in [traps, outside] * 50:
            for mode in ("reinstall", "upgrade"):
                rejected(ErrorCode.CANISTER_TRAPPED, "", canister.install, module, mode=mode)
    assert number(canister.update("inc").reply) == 1


@needs_proc
def test_sandboxes_that_go_take_everything_with_them() -> None:
    Sandbox().create_canister().install(COUNTER)
    gc.collect()
    before = held()
    for _ in range(100):
        canister = Sandbox().create_canister()
        canister.install(COUNTER)
        canister.update("inc")
    del canister
    gc.collect()
    assert held()[0] <= before[0]
    assert held()[1] <= before[1] + 40


def test_a_thousand_canisters_live_in_one_process_with_few_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        sandbox = Sandbox()
        canisters = [sandbox.create_canister() for _ in range(1000)]
        for canister in canisters:
            canister.install(COUNTER)
        for k, canister in enumerate(canisters):
            canister.update("inc")
            if k % 2:
                canister.update("grow")
        for k, canister in enumerate(canisters):
            assert number(canister.update("inc").reply) == 2
            assert canister.status().heap_size == 65536 * (1 + k % 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

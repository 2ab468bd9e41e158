"""The stack of guests has one size: the same recursion is too deep in every thread and under every limit."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.engine import stack
from sandbox.limits import MIB
from tests.conftest import guest, number

_DEEP = guest(
    """(func $asks (param i64) (result i64)
      (call $debug_print (i32.const 0) (i32.const 0))
      (i64.add (i64.const 1) (call $asks (i64.add (local.get 0) (i64.const 1)))))
    (func (export "canister_update asks") (drop (call $asks (i64.const 1))))
    (func $levels (param i64) (result i64)
      (if (i64.eqz (local.get 0)) (then (return (i64.const 0))))
      (i64.add (i64.const 1) (call $levels (i64.sub (local.get 0) (i64.const 1)))))
    (func (export "canister_update levels") (call $msg_arg_data_copy (i32.const 8) (i32.const 0) (i32.const 8))
      (call $reply64 (call $levels (i64.load (i32.const 8)))))"""
)
_DEPTH = """
    import sys
    from pathlib import Path
    from sandbox import CallRejected, Sandbox

    def reaches(canister, levels):
        try:
            return canister.update("levels", levels.to_bytes(8, "little")).reply is not None
        except CallRejected as error:
            assert "stack overflow" in error.message, error
            return False

    def depth(module):
        canister = Sandbox().create_canister()
        canister.install(module)
        try:
            canister.update("asks")
        except CallRejected as error:
            assert "stack overflow" in error.message, error
        low, high = 1, 1 << 22
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if reaches(canister, middle) else (low, middle)
        return low
"""
_HERE: dict[str, Callable[[bytes], int]] = {}
exec(textwrap.dedent(_DEPTH), _HERE)
depth = _HERE["depth"]


def in_thread(size: int, action: Callable[[], int]) -> int:
    """What `action` returns in a thread with a stack of `size` bytes."""
    results: list[int] = []
    before = threading.stack_size(size)
    try:
        thread = threading.Thread(target=lambda: results.append(action()))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return results[0]


def under_limit(kib: int, module: Path) -> int:
    """The depth in a process whose stack is limited to `kib` KiB (-1: not at all)."""
    soft = resource.RLIM_INFINITY if kib < 0 else kib * 1024
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    if hard != resource.RLIM_INFINITY and (kib < 0 or soft > hard):
        pytest.skip("the hard limit is lower")
    script = textwrap.dedent(_DEPTH) + "print(depth(Path(sys.argv[1]).read_bytes()))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(module)],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (soft, hard)),
    )
    assert (done.returncode, done.stderr) == (0, "")
    return int(done.stdout)


@pytest.fixture(scope="module")
def usual() -> int:
    """The depth in the main thread."""
    return depth(_DEEP)


@pytest.mark.parametrize("size", [128 * 1024, 512 * 1024, 8 * MIB, 64 * MIB])
def test_the_same_recursion_is_too_deep_in_every_thread(size: int, usual: int) -> None:
    assert in_thread(size, lambda: depth(_DEEP)) == usual


@pytest.mark.parametrize("kib", [512, 1024, 8192, 65536, -1])
def test_the_same_recursion_is_too_deep_under_every_limit(kib: int, usual: int, tmp_path: Path) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(_DEEP)
    assert under_limit(kib, module) == usual


def test_the_same_recursion_is_too_deep_below_a_deep_recursion_of_the_caller(usual: int) -> None:
    """Each level of the caller is one of C, which takes from the same stack."""

    def below(levels: int) -> int:
        return next(map(below, [levels - 1])) if levels else depth(_DEEP)

    assert in_thread(stack.WASM + stack.HOST + 256 * 1024, lambda: below(250)) == usual


def test_the_same_recursion_is_too_deep_where_the_stack_cannot_be_measured(
    usual: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "_getcontext", None)
    assert depth(_DEEP) == usual


def test_what_a_guest_in_a_helper_thread_raises_and_prints_reaches_the_caller() -> None:
    printed: list[str] = []
    sandbox = Sandbox(on_log=lambda _, text: printed.append(text))
    canister = sandbox.create_canister()
    body = '(data (i32.const 0) "here") (func (export "canister_update x") (call $debug_print (i32.const 0) (i32.const 4)) (call $reply64 (i64.const 5)))'  # noqa: E501
    canister.install(guest(body))
    assert in_thread(512 * 1024, lambda: number(canister.update("x").reply)) == 5
    assert printed == ["here"]

    def broken(_: object, text: str) -> None:
        raise IndexError(text)

    sandbox.on_log = broken

    def failing() -> int:
        with pytest.raises(IndexError):
            canister.update("x")
        return 1

    assert in_thread(512 * 1024, failing) == 1
    assert canister.status().version == 2


_INTERRUPTED = """
    import signal, sys
    from pathlib import Path
    from sandbox import Sandbox
    canister = Sandbox().create_canister()
    canister.install(Path(sys.argv[1]).read_bytes())
    before = canister.raw_state()

    def stop(*_):
        raise TimeoutError("enough")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        canister.update(sys.argv[2])
    except TimeoutError:
        print("interrupted")
    assert canister.raw_state() == before
    print(canister.update("ok").reply)
"""


@pytest.mark.parametrize(("kib", "method"), [(1024, "for_ever"), (8192, "for_ever"), (1024, "alone")])
def test_an_interruption_ends_a_guest_whatever_the_stack(kib: int, method: str, tmp_path: Path) -> None:
    """In a helper thread also a guest that never calls the host: its counter is stopped."""
    module = tmp_path / "guest.wasm"
    module.write_bytes(
        guest(
            """(func (export "canister_update for_ever")
              (loop $l (i32.store (i32.const 8) (i32.const 1)) (drop (call $time)) (br $l)))
            (func (export "canister_update alone") (loop $l (i32.store (i32.const 8) (i32.const 1)) (br $l)))
            (func (export "canister_update ok") (call $reply64 (i64.load (i32.const 8))))"""
        )
    )
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_INTERRUPTED), str(module), method],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (kib * 1024, hard)),
    )
    assert (done.stdout, done.stderr) == (f"interrupted\n{bytes(8)!r}\n", "")


def test_recursion_that_the_replica_allows_is_not_too_deep() -> None:
    """31,000 frames of a recursion that keeps 18 numbers, as a serializer of a list does (Motoko needs as many)."""
    numbers = "".join(f"(local $n{k} i64)" for k in range(18))
    before = "".join(f"(local.set $n{k} (i64.load offset={256 + 8 * k} (i32.const 0)))" for k in range(18))
    after = "".join(f"(local.set $n0 (i64.add (local.get $n0) (local.get $n{k})))" for k in range(1, 18))
    body = f"""(func $deep (param $left i64) (result i64) {numbers} {before}
      (if (i64.ne (local.get $left) (i64.const 0))
        (then (drop (call $deep (i64.sub (local.get $left) (i64.const 1))))))
      {after} (local.get $n0))
    (func (export "canister_update x") (call $reply64 (call $deep (i64.const 31000))))"""
    canister = Sandbox().create_canister()
    canister.install(guest(body))
    assert len(canister.update("x").reply or b"") == 8

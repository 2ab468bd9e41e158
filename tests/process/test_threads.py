"""Sandboxes in several threads: the first use by many at once, and one sandbox used by two."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import CallRejected, Sandbox
from sandbox.errors import SandboxError
from tests.conftest import fixture, guest

_GUEST = guest(
    """(func (export "canister_update inc")
      (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
      (call $reply64 (i64.load (i32.const 0))))"""
)
_FIRST_USE = """
    import sys, threading
    from pathlib import Path
    from sandbox import Sandbox
    module, failures = Path(sys.argv[1]).read_bytes(), []
    together = threading.Barrier(8)

    def work():
        try:
            together.wait()
            canister = Sandbox().create_canister()
            canister.install(module)
            for number in (1, 2, 3):
                assert canister.update("inc").reply == number.to_bytes(8, "little")
        except BaseException as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("all" if not failures else failures)
"""


@pytest.mark.parametrize("attempt", range(4))
def test_sandboxes_first_used_in_many_threads_at_once_work(attempt: int, tmp_path: Path) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(_GUEST)
    command = [sys.executable, "-c", textwrap.dedent(_FIRST_USE), str(module)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("all\n", "")


def in_thread(name: str, action: Callable[[], object]) -> object:
    """What an action returns, or raises, in another thread."""
    results: list[object] = []

    def work() -> None:
        try:
            results.append(action())
        except SandboxError as error:
            results.append(str(error))

    thread = threading.Thread(target=work, name=name)
    thread.start()
    thread.join()
    return results[0]


def test_a_sandbox_in_use_is_refused_to_another_thread_by_name(tmp_path: Path) -> None:
    """Tried in the middle of a message, when all of them would find it half-way."""
    answers: list[object] = []
    sandbox = Sandbox.open(tmp_path / "state", on_log=lambda *_: answers.extend(map(in_other, uses)))
    canister = sandbox.create_canister()
    canister.install(_GUEST)
    canister.update("inc")
    snapshot = canister.take_snapshot()
    changes = canister.changes()
    uses: list[Callable[[], object]] = [
        lambda: canister.update("inc"),
        lambda: canister.query_raw("inc"),
        lambda: canister.raw_state(),
        lambda: canister.take_snapshot(),
        lambda: canister.load_snapshot(snapshot.id),
        lambda: sandbox.state_hash(),
        lambda: sandbox.certificate([]),
        lambda: sandbox.save(),
        lambda: sandbox.close(),
        lambda: sandbox.anchor().__enter__(),
        lambda: sandbox.snapshots.verify(snapshot.id),
        lambda: sandbox.snapshots.diff(snapshot.id),
        lambda: sandbox.snapshots.download(snapshot.id, tmp_path / "x.icsnap"),
        lambda: sandbox.snapshots.upload(canister.id, tmp_path / "x.icsnap"),
        lambda: changes.diff,
    ]

    def in_other(use: Callable[[], object]) -> object:
        return in_thread("second", use)

    body = '(func (export "canister_update say") (call $debug_print (i32.const 0) (i32.const 0)) (call $msg_reply))'
    speaker = sandbox.create_canister()
    speaker.install(guest(body))
    before = canister.raw_state()
    threading.current_thread().name, name = "first", threading.current_thread().name
    try:
        speaker.update("say")
    finally:
        threading.current_thread().name = name
    assert answers == ["this sandbox is in use by thread first"] * len(uses)
    assert canister.raw_state() == before
    sandbox.close()


def test_threads_may_take_turns_with_a_sandbox() -> None:
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    canister.install(_GUEST)
    replies = [in_thread("turn", lambda: canister.update("inc").reply) for _ in range(3)]
    assert [*replies, canister.update("inc").reply] == [n.to_bytes(8, "little") for n in (1, 2, 3, 4)]


def test_an_operation_that_fails_leaves_the_sandbox_free() -> None:
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    with pytest.raises(CallRejected):
        canister.update("inc")
    with pytest.raises(CallRejected), sandbox.anchor():
        sandbox.snapshots.load(bytes(18), canister.id)
    assert in_thread("second", lambda: sandbox.canisters()) == [canister]


def test_snapshot_files_are_read_in_many_threads_at_once(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        canister = sandbox.create_canister()
        canister.install(fixture("counter.classical"))
        sandbox.snapshots.download(canister.take_snapshot(), tmp_path / "state.icsnap")
    together = threading.Barrier(8)

    def read() -> bytes | None:
        with Sandbox() as sandbox:
            together.wait()
            for _ in range(4):
                canister = sandbox.snapshots.create_canister(tmp_path / "state.icsnap")
            return canister.raw_state().module

    with ThreadPoolExecutor(8) as executor:
        modules = [each.result() for each in [executor.submit(read) for _ in range(8)]]
    assert set(modules) == {fixture("counter.classical")}

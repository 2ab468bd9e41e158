"""A fork shares nothing: sandboxes belong to the process that made them, and a child makes or opens its own."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Canister, Sandbox
from sandbox.api import runtime_of
from sandbox.errors import RecordError, SandboxError, StateError, StateLocked
from sandbox.execution import Round
from tests.conftest import fixture, guest, number

COUNTER = guest(
    """(func (export "canister_update inc")
      (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
      (call $reply64 (i64.load (i32.const 0))))
    (func (export "canister_update grow") (drop (memory.grow (i32.const 1))) (call $reply64 (i64.const 0)))
    (func (export "canister_query get") (call $reply64 (i64.load (i32.const 0))))"""
)
SECONDS = 60


def in_child(action: Callable[[], Any]) -> Any:
    """What `action` returns in a forked child; a child that does not end, or raises, fails the test."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads may run: that is what is tested
        child = os.fork()
    if not child:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(SECONDS)
            answer = pickle.dumps(action())
            with open(writing, "wb") as pipe:
                pipe.write(answer)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return pickle.loads(answer)


def refusal(action: Callable[[], Any]) -> str:
    """The text with which an action is refused."""
    with pytest.raises(SandboxError) as caught:
        action()
    return str(caught.value)


def counter(sandbox: Sandbox, module: bytes = COUNTER) -> Canister:
    canister = sandbox.create_canister()
    canister.install(module)
    return canister


def increased(canister: Canister) -> int:
    return number(canister.update("inc").reply)


@pytest.fixture(params=["memory", "disk"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A sandbox in memory and one on disk."""
    with Sandbox() if request.param == "memory" else Sandbox.open(tmp_path / "state") as sandbox:
        yield sandbox


def test_a_child_that_uses_its_parents_sandbox_is_refused(kept: Sandbox) -> None:
    canister = counter(kept)
    snapshot = canister.take_snapshot()
    inside = kept.snapshots.inspect(snapshot.id)
    changes = canister.changes()
    uses: list[Callable[[], Any]] = [
        lambda: canister.update("inc"),
        lambda: canister.query_raw("get"),
        lambda: canister.take_snapshot(),
        lambda: canister.load_snapshot(snapshot.id),
        lambda: canister.raw_state(),
        lambda: canister.status(),
        lambda: kept.create_canister(),
        lambda: kept.save(),
        lambda: kept.tick(),
        lambda: kept.state_hash(),
        lambda: kept.anchor().__enter__(),
        lambda: kept.snapshots.list(),
        lambda: kept.snapshots.prune(),
        lambda: kept.snapshots.verify(snapshot.id),
        lambda: kept.snapshots.download(snapshot.id, "nowhere"),
        lambda: changes.diff,
    ]
    texts = in_child(lambda: {refusal(use) for use in uses})
    assert texts == {f"this sandbox belongs to process {os.getpid()}: make or open one in this process"}
    bytes_of = in_child(lambda: refusal(lambda: inside.heap.read(0, 8)))
    assert f"belongs to process {os.getpid()}" in bytes_of
    assert increased(canister) == 1


def test_a_child_that_drops_or_closes_its_parents_sandbox_changes_nothing(tmp_path: Path) -> None:
    """All that the objects do when they go: give space back, delete what was not committed, end journals."""
    held: list[Any] = [Sandbox(), Sandbox.open(tmp_path / "state")]
    for sandbox in held:
        canister = counter(sandbox)
        canister.update("grow")
        increased(canister)
        canister.take_snapshot()
        canister.update("grow")
        sandbox.save()
        increased(canister)
    before = [sandbox.state_hash() for sandbox in held]
    files = listing(tmp_path)
    record = held[0].raw_state(held[0].canisters()[0])

    def drop() -> None:
        held[0].close()
        held[1].close()
        held.clear()
        gc.collect()

    in_child(drop)
    assert listing(tmp_path) == files
    assert [sandbox.state_hash() for sandbox in held] == before
    assert held[0].raw_state(held[0].canisters()[0]) == record
    for sandbox in held:
        assert increased(sandbox.canisters()[0]) == 3
        sandbox.save()
        sandbox.close()
    with Sandbox.open(tmp_path / "state") as again:
        assert increased(again.canisters()[0]) == 4


def listing(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def test_a_child_forked_while_a_canister_runs_cannot_end_its_message() -> None:
    """The child returns into the guest; what the guest wrote is not committed by two processes."""
    children: list[int] = []
    parent = os.getpid()

    def forks(*_: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            children.append(os.fork())

    sandbox = Sandbox(on_log=forks)
    body = """(func (export "canister_update x") (i64.store (i32.const 0) (i64.const 7))
      (call $debug_print (i32.const 0) (i32.const 0)) (call $reply64 (i64.const 0)))"""
    canister = counter(sandbox, guest(body))
    try:
        canister.update("x")
    except SandboxError as error:
        os._exit(0 if "belongs to process" in str(error) else 1)
    finally:
        if os.getpid() != parent:
            os._exit(2)
    assert os.waitpid(children[0], 0)[1] == 0
    assert canister.raw_state().heap[0] == 7


def test_a_child_makes_and_opens_sandboxes_of_its_own(kept: Sandbox, tmp_path: Path) -> None:
    """Also modules that were never compiled before, for which the parent's engine has threads that the child lacks."""
    canister = counter(kept)
    fresh = guest(f'(func (export "canister_update inc") (call $reply64 (i64.const {os.getpid()})))')

    def work() -> tuple[int, int, int, str]:
        own = Sandbox()
        counts = increased(counter(own)), increased(counter(own, fresh))
        with Sandbox.open(tmp_path / "other", max_snapshots=3) as stored:
            people = counter(stored, fixture("people_v1.classical"))
            people.call("fill", 100)
            people.take_snapshot()
            stored.save()
            return *counts, people.call("size"), stored.state_hash()

    increased(canister)
    one, own_module, size, digest = in_child(work)
    assert (one, own_module, size) == (1, os.getpid(), 100)
    with Sandbox.open(tmp_path / "other") as stored:
        assert stored.state_hash() == digest
    assert increased(canister) == 2


def test_children_of_children_compile_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CANISTER_SANDBOX_CACHE", str(tmp_path))
    counter(Sandbox())

    def compiled(letter: str) -> int:
        return increased(counter(Sandbox(), guest(f'(func (export "canister_update inc") (call $reply64 {letter}))')))

    def work() -> tuple[int, int]:
        return compiled("(i64.const 5)"), in_child(lambda: compiled("(i64.const 6)"))

    assert in_child(work) == (5, 6)


def test_a_state_directory_belongs_to_the_process_that_locked_it(tmp_path: Path) -> None:
    """The child neither unlocks it nor keeps it locked when the parent has closed it."""
    kept = Sandbox.open(tmp_path / "state")
    increased(counter(kept))

    def locked() -> str:
        with pytest.raises(StateLocked) as caught:
            Sandbox.open(tmp_path / "state", lock_timeout=0)
        return str(caught.value)

    assert "in use by another process" in in_child(locked)
    kept.save()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    try:
        kept.close()
        with Sandbox.open(tmp_path / "state", lock_timeout=0) as again:
            assert increased(again.canisters()[0]) == 2
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_a_closed_state_is_free_though_another_process_has_its_descriptor_still(tmp_path: Path) -> None:
    """A child between fork and exec has a copy of each descriptor, and runs no code of Python that could close it."""
    sandbox = Sandbox.open(tmp_path / "state")
    directory = runtime_of(sandbox).directory
    assert directory is not None
    os.set_inheritable(directory._lock, True)
    child = subprocess.Popen(["sleep", str(SECONDS)], close_fds=False)
    try:
        sandbox.close()
        Sandbox.open(tmp_path / "state", lock_timeout=0).close()
    finally:
        child.kill()
        child.wait()


def test_a_record_belongs_to_the_process_that_began_it(tmp_path: Path) -> None:
    sandbox = Sandbox()
    recording = sandbox.record(tmp_path / "a.record")
    canister = counter(sandbox)
    written = (tmp_path / "a.record").read_bytes()

    def work() -> str:
        with pytest.raises(RecordError) as caught:
            recording.before(Round())
        recording.close()
        return str(caught.value)

    assert f"belongs to process {os.getpid()}" in in_child(work)
    assert (tmp_path / "a.record").read_bytes() == written
    increased(canister)
    recording.close()


def test_memories_and_pools_of_the_parent_are_refused(kept: Sandbox) -> None:
    canister = counter(kept)
    heap, pool = runtime_of(kept).state_of(canister.id).heap, runtime_of(kept).pool
    image, view = heap.image(), heap.view()
    uses: list[Callable[[], Any]] = [
        lambda: heap.read(0, 1),
        lambda: heap.write(0, b"x"),
        lambda: heap.resize(0),
        lambda: heap.fork(),
        lambda: image.read(0, 1),
        lambda: list(image.pieces([(0, 4096)])),
        lambda: view.commit(),
        lambda: view.grow(1 << 20),
        lambda: pool.memory(4096),
        lambda: pool.open("00000001.memory"),
    ]

    def work() -> list[str]:
        texts = []
        for use in uses:
            with pytest.raises(StateError) as caught:
                use()
            texts.append(str(caught.value))
        heap.close()
        view.close()
        return texts

    assert all(f"belongs to process {os.getpid()}" in text for text in in_child(work))
    assert increased(canister) == 1

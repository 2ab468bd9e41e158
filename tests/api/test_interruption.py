"""A call that an exception interrupts, wherever it comes, is undone as a whole, and the sandbox goes on."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox, StillWaiting
from sandbox.api import runtime_of
from sandbox.replay.replay import replay
from tests.api.interrupting import OPERATIONS, Alarm, World, interrupted, new_sandbox, unheard, world
from tests.conftest import guest
from tests.execution.test_waiting import PEER, POLLER

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals here")
FEW, MANY = 20, 500


@pytest.fixture(scope="module")
def there() -> World:
    return world(new_sandbox())


@pytest.fixture(params=list(OPERATIONS))
def operation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with unheard():
        yield


def taken_by(act: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def check(there: World, name: str, count: int, kind: type[BaseException]) -> None:
    """Interrupt an operation at many moments: all of it is done or nothing, and the same again has the same result."""
    sandbox, (prepare, act), chosen = there.sandbox, OPERATIONS[name], random.Random(name)
    with sandbox.anchor():
        prepare(there)
        with sandbox.anchor():
            answer, after = act(there), sandbox.state_hash()
        before = sandbox.state_hash()
        with sandbox.anchor():
            seconds = taken_by(lambda: act(there))
        for number in range(count):
            with sandbox.anchor():
                returned, first = interrupted(lambda: act(there), kind, chosen.uniform(1e-6, 1.1 * seconds))
                if returned:
                    assert (first, sandbox.state_hash()) == (answer, after), number
                    continue
                assert sandbox.state_hash() == before, number
                assert (act(there), sandbox.state_hash()) == (answer, after), number
            assert sandbox.state_hash() == before, number


def test_an_interrupted_call_is_undone_and_can_be_made_again(there: World, operation: str) -> None:
    check(there, operation, FEW, Alarm)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Alarm, KeyboardInterrupt])
def test_an_interrupted_call_is_undone_at_any_moment(there: World, operation: str, kind: type[BaseException]) -> None:
    check(there, operation, MANY, kind)


def test_the_end_of_an_anchor_may_be_interrupted(there: World) -> None:
    sandbox, chosen = there.sandbox, random.Random(3)
    before = sandbox.state_hash()

    def anchored() -> None:
        with sandbox.anchor():
            there.counter.call("inc")
            there.people.call("fill", 50)

    seconds = taken_by(anchored)
    for number in range(4 * FEW):
        interrupted(anchored, Alarm, chosen.uniform(1e-4, 1e-3), chosen.uniform(seconds / 2, 1.1 * seconds))
        assert sandbox.state_hash() == before, number


def test_saving_may_be_interrupted_and_what_was_saved_is_there(tmp_path: Path) -> None:
    original, chosen, seconds = tmp_path / "original", random.Random(4), 0.1
    with Sandbox.open(original, max_snapshots=10) as sandbox:
        world(sandbox)
    for number in range(FEW):
        path = tmp_path / f"state-{number}"
        shutil.copytree(original, path)
        with Sandbox.open(path) as sandbox:
            saved = sandbox.state_hash()
            counter, people = sandbox.canisters()[:2]
            counter.call("inc")
            people.take_snapshot("more")
            there = sandbox.state_hash()
            if number:
                interrupted(sandbox.save, Alarm, chosen.uniform(1e-6, 1.1 * seconds))
            else:
                seconds = taken_by(sandbox.save)
            assert sandbox.state_hash() == there, number
            counter.call("inc")  # is not saved
            shutil.copytree(path, tmp_path / "crashed")
            with Sandbox.open(tmp_path / "crashed") as crashed:
                assert crashed.state_hash() in (saved, there), number
            shutil.rmtree(tmp_path / "crashed")
            last = sandbox.state_hash()
        with Sandbox.open(path) as sandbox:
            assert sandbox.state_hash() == last, number
        shutil.rmtree(path)


def test_calls_on_disk_are_undone_too(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state", max_snapshots=10) as sandbox:
        there = world(sandbox)
        sandbox.save()
        for name in ("call", "many pages", "chain", "upgrade", "load", "take via hooks", "create"):
            check(there, name, FEW // 2, Alarm)
        state = sandbox.state_hash()
    with Sandbox.open(tmp_path / "state") as sandbox:
        assert sandbox.state_hash() == state


def test_a_record_has_no_interrupted_step(tmp_path: Path) -> None:
    file, chosen = tmp_path / "some.record", random.Random(6)
    sandbox = new_sandbox()
    with sandbox.record(file) as recording:
        there = world(sandbox)
        steps, seconds = recording.steps, taken_by(lambda: there.counter.call("inc"))
        done = 1
        for _ in range(2 * FEW):
            returned, _answer = interrupted(
                lambda: there.counter.call("inc"), Alarm, chosen.uniform(1e-6, 1.1 * seconds)
            )
            done += returned
        assert recording.steps == steps + done
        state = sandbox.state_hash()
    again = replay(file)
    assert (again.difference, again.unfinished, again.state_hash) == (None, None, state)


@pytest.mark.parametrize("submitted", [False, True])
def test_calls_without_end_can_be_interrupted_and_leave_no_open_call(submitted: bool) -> None:
    sandbox = new_sandbox()
    poller, peer = sandbox.create_canister(), sandbox.create_canister()
    poller.install(guest(POLLER))
    peer.install(guest(PEER))
    if submitted:
        sandbox.submit(poller, "wait_for", bytes(peer.id))
    before = sandbox.state_hash()
    act = (lambda: sandbox.tick(300)) if submitted else lambda: poller.update("wait_for", bytes(peer.id))
    returned, _ = interrupted(act, KeyboardInterrupt, *[0.3] * 20)  # one may come while a finalizer runs
    assert not returned
    assert sandbox.state_hash() == before
    assert not poller.open_calls
    poller.stop()
    assert poller.status().status == "stopped"


def test_what_still_waits_is_no_interruption(there: World) -> None:
    sandbox = there.sandbox
    with sandbox.anchor():
        before = sandbox.state_hash()
        with pytest.raises(StillWaiting):
            there.counter.update("inc", max_rounds=0)
        assert sandbox.state_hash() != before
        sandbox.tick()
        assert not runtime_of(sandbox).subnet.queue


def test_an_exception_of_the_function_that_gets_logs_undoes_the_call() -> None:
    sandbox = new_sandbox()

    def on_log(*_: object) -> None:
        raise RuntimeError("of the user")

    sandbox.on_log = on_log
    printing = sandbox.create_canister()
    printing.install(guest('(func (export "canister_update p") (call $debug_print (i32.const 0) (i32.const 1)))'))
    before = sandbox.state_hash()
    with pytest.raises(RuntimeError, match="of the user"):
        printing.update("p")
    assert sandbox.state_hash() == before


def test_misuse_changes_nothing_and_keeps_instances(there: World) -> None:
    before = there.sandbox.state_hash()
    there.counter.call("get")
    kept = len(runtime_of(there.sandbox).instances._live)
    with pytest.raises(ValueError, match="never goes back"):
        there.sandbox.advance_time(-1)
    assert len(runtime_of(there.sandbox).instances._live) == kept
    assert there.sandbox.state_hash() == before

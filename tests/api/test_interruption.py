"""A call that an exception interrupts, wherever it comes, is undone as a whole, and the sandbox goes on."""

from __future__ import annotations

import random
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox import Sandbox, StillWaiting
from sandbox.api import runtime_of
from sandbox.replay.replay import replay
from tests.api.interrupting import OPERATIONS, Alarm, Injector, World, new_sandbox, world
from tests.conftest import guest
from tests.execution.test_waiting import PEER, POLLER

FEW, MANY = 12, 400


@pytest.fixture(scope="module")
def there() -> World:
    return world(new_sandbox())


@pytest.fixture(params=list(OPERATIONS))
def operation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def moments(total: int, count: int) -> Iterator[int]:
    """Some of the moments from 1 to `total`; the same each time."""
    yield from sorted(random.Random(total).sample(range(1, total + 1), min(count, total)))


def check(there: World, name: str, count: int, kind: type[BaseException]) -> None:
    """Interrupt an operation at many moments: nothing has changed, and the same again has the same result."""
    sandbox, (prepare, act) = there.sandbox, OPERATIONS[name]
    with sandbox.anchor():
        prepare(there)
        with sandbox.anchor():
            with Injector() as counted:
                answer = act(there)
            after = sandbox.state_hash()
        before = sandbox.state_hash()
        for moment in moments(counted.count, count):
            with sandbox.anchor():
                injector = Injector(moment, kind=kind)
                with suppress(kind), injector:
                    act(there)
                    assert injector.swallowed or injector.count < moment, f"moment {moment} was lost"
                    continue
                assert sandbox.state_hash() == before, moment
                assert act(there) == answer, moment
                assert sandbox.state_hash() == after, moment
            assert sandbox.state_hash() == before, moment


def test_an_interrupted_call_is_undone_and_can_be_made_again(there: World, operation: str) -> None:
    check(there, operation, FEW, Alarm)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Alarm, KeyboardInterrupt])
def test_an_interrupted_call_is_undone_at_any_moment(there: World, operation: str, kind: type[BaseException]) -> None:
    check(there, operation, MANY, kind)


@pytest.mark.parametrize("name", ["call", "chain", "rounds", "upgrade", "load", "advance"])
def test_undoing_may_be_interrupted_too(there: World, name: str) -> None:
    sandbox, (prepare, act) = there.sandbox, OPERATIONS[name]
    with sandbox.anchor():
        prepare(there)
        before = sandbox.state_hash()
        with sandbox.anchor(), Injector() as counted:
            act(there)
        chosen = random.Random(name)
        for moment in moments(counted.count, FEW):
            with sandbox.anchor():
                interrupted = True
                with suppress(Alarm), Injector(moment, *(moment + chosen.randrange(200) for _ in range(3))):
                    act(there)
                    interrupted = False  # all exceptions came while finalizers ran, or after the end
                assert not interrupted or sandbox.state_hash() == before, moment


def test_the_end_of_an_anchor_may_be_interrupted(there: World) -> None:
    sandbox = there.sandbox
    before = sandbox.state_hash()

    def anchored(*at: int) -> Injector:
        injector, anchor = Injector(*at), sandbox.anchor()
        anchor.__enter__()
        there.counter.call("inc")
        there.people.call("fill", 50)
        with suppress(Alarm), injector:
            anchor.__exit__(None, None, None)
        return injector

    for moment in moments(anchored().count, 40):
        anchored(moment)
        assert sandbox.state_hash() == before, moment


def test_saving_may_be_interrupted_and_what_was_saved_is_there(tmp_path: Path) -> None:
    original = tmp_path / "original"
    with Sandbox.open(original, max_snapshots=10) as sandbox:
        world(sandbox)
    total = 0
    for count in (0, FEW):
        for moment in moments(total, count) if count else [0]:
            path = tmp_path / f"state-{moment}"
            shutil.copytree(original, path)
            with Sandbox.open(path) as sandbox:
                saved = sandbox.state_hash()
                counter, people = sandbox.canisters()[:2]
                counter.call("inc")
                people.take_snapshot("more")
                there = sandbox.state_hash()
                with suppress(Alarm), Injector(moment) as injector:
                    sandbox.save()
                total = max(total, injector.count)
                assert sandbox.state_hash() == there, moment
                counter.call("inc")  # is not saved
                shutil.copytree(path, tmp_path / "crashed")
                with Sandbox.open(tmp_path / "crashed") as crashed:
                    assert crashed.state_hash() in (saved, there), moment
                shutil.rmtree(tmp_path / "crashed")
                last = sandbox.state_hash()
            with Sandbox.open(path) as sandbox:
                assert sandbox.state_hash() == last, moment
            shutil.rmtree(path)


def test_calls_on_disk_are_undone_too(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state", max_snapshots=10) as sandbox:
        there = world(sandbox)
        sandbox.save()
        for name in ("call", "many pages", "chain", "install", "upgrade", "load", "take via hooks"):
            if name in OPERATIONS:
                check(there, name, FEW // 2, Alarm)
        state = sandbox.state_hash()
    with Sandbox.open(tmp_path / "state") as sandbox:
        assert sandbox.state_hash() == state


def test_a_record_has_no_interrupted_step(tmp_path: Path) -> None:
    file = tmp_path / "some.record"
    sandbox = new_sandbox()
    with sandbox.record(file) as recording:
        there = world(sandbox)
        steps = recording.steps
        with sandbox.anchor(), Injector() as counted:
            there.counter.call("inc")
        assert recording.steps == steps + 3
        done = 0
        for moment in moments(counted.count, 40):
            with suppress(Alarm), Injector(moment):
                there.counter.call("inc")
                done += 1
        there.counter.call("inc")
        assert recording.steps == steps + 3 + done + 1
        state = sandbox.state_hash()
    again = replay(file)
    assert (again.difference, again.unfinished, again.state_hash) == (None, None, state)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals here")
def test_a_signal_at_any_time_undoes_the_call(there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm comes at moments of its own; wherever that is, before or after the end, the call is whole."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # Python loses what comes while it runs a finalizer
    sandbox = there.sandbox
    before, value = sandbox.state_hash(), there.counter.call("get")
    chosen = random.Random(5)

    def alarm(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, alarm)
    try:
        with sandbox.anchor():
            for _ in range(100):
                done = False
                try:
                    signal.setitimer(signal.ITIMER_REAL, chosen.uniform(1e-6, 1e-3))
                    there.counter.call("inc")
                    done = True
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    pass
                now = there.counter.call("get")
                assert now == value + done or (now == value + 1 and not done)
                value = now
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert sandbox.state_hash() == before


@pytest.mark.parametrize("submitted", [False, True])
def test_calls_without_end_can_be_interrupted_and_leave_no_open_call(submitted: bool) -> None:
    sandbox = new_sandbox()
    poller, peer = sandbox.create_canister(), sandbox.create_canister()
    poller.install(guest(POLLER))
    peer.install(guest(PEER))
    if submitted:
        sandbox.submit(poller, "wait_for", bytes(peer.id))
    before = sandbox.state_hash()
    act = sandbox.tick if submitted else lambda: poller.update("wait_for", bytes(peer.id))
    with pytest.raises(Alarm), Injector(20_000):
        act()
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

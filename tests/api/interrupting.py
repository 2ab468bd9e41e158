"""Exceptions that signals bring at any moment, and a world of canisters on which calls are interrupted."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sandbox import CallRejected, Canister, Policy, Principal, Sandbox
from sandbox.candid import encode
from tests.conftest import FEW_INSTRUCTIONS, fixture
from tests.spec.guest import Guest, accept, call, code, evaluate, reply, set_slot, trap
from tests.spec.guest import guest as universal


class Alarm(TimeoutError):
    """What a handler of the user's raises: an ordinary exception."""


@contextmanager
def unheard() -> Iterator[None]:
    """Within, exceptions that come while Python runs a finalizer, and go nowhere, are not printed."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = hook


def interrupted(act: Callable[[], object], kind: type[BaseException], *delays: float) -> tuple[bool, object]:
    """Whether `act` returned, and its answer, while a signal raises `kind` after these seconds, one after another."""
    pending, returned, answer = list(delays), False, None

    def alarm(*_: object) -> None:
        if pending:
            signal.setitimer(signal.ITIMER_REAL, pending.pop())
        raise kind("now")

    old = signal.signal(signal.SIGALRM, alarm)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, pending.pop())
            answer = act()
            returned = True
        finally:
            pending.clear()
            signal.setitimer(signal.ITIMER_REAL, 0)
    except kind:
        pass
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    return returned, answer


@dataclass
class World:
    """`counter` is of Motoko, `heap` a Rust canister; `a` and `b` run programs; `timer` has a timer that is due."""

    sandbox: Sandbox
    counter: Canister
    people: Canister
    a: Guest
    b: Guest

    @property
    def canisters(self) -> list[Canister]:
        return [self.counter, self.people, self.a, self.b]


def world(sandbox: Sandbox) -> World:
    """A world in which there is something to lose."""
    counter = sandbox.create_canister()
    counter.install(fixture("counter.enhanced"))
    people = sandbox.create_canister()
    people.install(fixture("people_v1.classical"))
    people.call("fill", 20)
    a, b = universal(sandbox, cycles=10**12), universal(sandbox, cycles=10**12)
    made = World(sandbox, counter, people, a, b)
    people.take_snapshot("before")
    counter.call("inc")
    return made


def chain(there: World) -> object:
    """A calls B, which calls A back and accepts cycles; everything changes."""
    inner = call(there.a, set_slot(8, b"inner") + reply(), on_reply=set_slot(9, b"back") + reply(b"done"))
    program = set_slot(6, b"called") + evaluate(accept(1000)) + inner
    return there.a.update("update", code(set_slot(7, b"calls"), call(there.b, program, cycles=5000))).reply


def _waiting(there: World) -> None:
    forward = encode("(principal, text, blob)", [there.counter.id, "inc", b"DIDL\0\0"])
    there.sandbox.submit(there.counter, "inc")
    there.sandbox.submit(there.counter, "forward", forward)
    there.counter.call("tick_after", 0)


def _policy(there: World) -> None:
    there.sandbox.snapshots.set_policy(Policy(every=60), there.a.id)
    there.sandbox.advance_time(61)


def _stopped(there: World) -> None:
    there.b.stop()


def _open(there: World) -> None:
    forward = encode("(principal, text, blob)", [Principal.management(), "raw_rand", b"DIDL\0\0"])
    there.sandbox.submit(there.counter, "forward", forward)
    there.sandbox.tick()


def _answered(there: World) -> None:
    _waiting(there)
    there.sandbox.run_until_idle()
    there.sandbox.advance_time(200)


def _nothing(_: World) -> None:
    pass


Act = Callable[[World], object]
V2 = fixture("people_v2_good.classical")
TRAP = code(set_slot(6, b"x"), trap("no"))
PATCH = {0x40: b"x"}
OPERATIONS: dict[str, tuple[Callable[[World], None], Act]] = {
    "call": (_nothing, lambda there: there.counter.call("inc")),
    "query": (_nothing, lambda there: there.people.call("list", 0, 10)),
    "certified": (_nothing, lambda there: there.counter.call("certificate")),
    "many pages": (_nothing, lambda there: there.people.call("fill", 300)),
    "chain": (_nothing, chain),
    "trap": (_nothing, lambda there: failure(lambda: there.a.update("update", TRAP))),
    "submit": (_nothing, lambda there: there.sandbox.submit(there.counter, "inc")),
    "rounds": (_waiting, lambda there: there.sandbox.tick(3)),
    "until idle": (_waiting, lambda there: there.sandbox.run_until_idle()),
    "advance": (_answered, lambda there: there.sandbox.advance_time(200)),
    "scheduled snapshot": (_policy, lambda there: there.sandbox.tick()),
    "upgrade": (_nothing, lambda there: there.people.upgrade(V2).instructions),
    "refused upgrade": (_nothing, lambda there: failure(lambda: there.people.install(b"\0asm", mode="upgrade"))),
    "uninstall": (_open, lambda there: there.counter.uninstall()),
    "create": (_nothing, lambda there: there.sandbox.create_canister().id),
    "stop": (_open, lambda there: there.counter.stop()),
    "delete": (_stopped, lambda there: there.b.delete()),
    "settings": (_nothing, lambda there: there.a.update_settings(freezing_threshold=77)),
    "take": (_nothing, lambda there: there.counter.take_snapshot("one").id),
    "take via hooks": (_nothing, lambda there: there.people.take_snapshot("two", via_hooks=True).id),
    "load": (_nothing, lambda there: there.people.load_snapshot(snapshot(there)).instructions),
    "edit": (
        _nothing,
        lambda there: there.sandbox.snapshots.edit(snapshot(there), "edited", heap=PATCH).id,
    ),
    "delete snapshot": (_nothing, lambda there: there.people.delete_snapshot(snapshot(there))),
    "query of a snapshot": (
        _nothing,
        lambda there: there.sandbox.snapshots.query_raw(snapshot(there), "size", b"DIDL\0\0").reply,
    ),
    "management": (
        _nothing,
        lambda there: there.sandbox.management.call(
            "take_canister_snapshot", {"canister_id": there.b.id}, sender=there.sandbox.identity("default")
        ),
    ),
}
"""What is done before, and the one call that is interrupted; its answer."""


def snapshot(there: World) -> bytes:
    return there.people.list_snapshots()[0].id


def failure(act: Callable[[], object]) -> object:
    try:
        act()
    except CallRejected as rejected:
        return rejected.error_code
    return None


def new_sandbox(**options: Any) -> Sandbox:
    return Sandbox(instruction_limits=FEW_INSTRUCTIONS, max_snapshots=10, **options)

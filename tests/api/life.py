"""A short life with everything in it that a sandbox can be told, for records, replays and hashes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sandbox import CallRejected, InstructionLimits, Principal, Sandbox
from sandbox.candid import encode
from sandbox.management.table import signature
from sandbox.record import End, Header, Outcome, read
from sandbox.record.file import Writer
from tests.spec.guest import (
    Guest,
    append,
    arg,
    call,
    debug_print,
    do,
    guest,
    ic0,
    module,
    on_pre_upgrade,
    on_timer,
    pack,
    reply,
    self_id,
    set_slot,
    slot,
    spin,
    stable_grow,
    stable_write,
    trap,
)
from tests.spec.guest import evaluate as run
from tests.spec.program import Do

MANAGEMENT = Principal.management()
_ENOUGH = 30_000_000_000
"""Cycles for an outcall, where it costs any."""
LIMITS = InstructionLimits(update=10_000_000, query=10_000_000, install=10_000_000, inspect=10_000_000)


def asked(method: str, *args: Any, cycles: int = 0) -> Do:
    """A call of the management canister whose reply is passed on."""
    return call(MANAGEMENT, encode(signature(method).args, list(args)), method=method, cycles=cycles)


class Outside:
    """A world that answers one URL and fails for others."""

    def __init__(self, body: bytes = b"hello") -> None:
        self.body = body

    def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if not request["url"].endswith("/x"):
            raise ValueError(f"no page {request['url']}")
        return {"status": 200, "headers": [("x", "y")], "body": self.body}


def fresh(**options: Any) -> Sandbox:
    given: dict[str, Any] = {"seed": 7, "max_snapshots": 3, "instruction_limits": LIMITS, "http": Outside()} | options
    return Sandbox(**given)


def live(sandbox: Sandbox, counter: bool = True) -> list[Any]:
    """The life; everything that was answered. With `counter` a canister asks how many instructions it used."""
    alice = sandbox.identity("alice")
    a = guest(sandbox, set_slot(6, "made"), controllers=[alice, MANAGEMENT])
    b = guest(sandbox, bits=64, cycles=10**12)
    answers: list[Any] = [
        a.do(reply(slot(6) + self_id()), sender=alice),
        b.do(run(stable_grow(3)), stable_write(70_000, "far"), debug_print("grown"), reply()),
        a.do(call(b, reply(arg()), cycles=0)),
        a.ask(set_slot(6, "forgotten"), reply(slot(6))),
        a.do(reply(pack(ic0("performance_counter", 0) if counter else 0))),
        a.do(asked("raw_rand")),
    ]
    for failing in (trap("on purpose"), spin(), reply() + reply()):
        with suppress(CallRejected):
            a.do(failing)
    snapshot = a.take_snapshot("kept")
    a.do(set_slot(6, "later"), reply())
    with sandbox.anchor():
        a.do(set_slot(6, "undone"), reply())
        with sandbox.anchor():
            b.stop()
            b.delete()
        answers.append(b.ask(reply("still here")))
    answers.append(_time(sandbox, a))
    a.do(on_pre_upgrade(debug_print("so long")), reply())
    a.upgrade(module(32), arg=b"", sender=alice)
    b.update_settings(freezing_threshold=100, environment_variables=[("NAME", "value")])
    a.load_snapshot(snapshot.id)
    answers += [a.take_snapshot().checksum, a.ask(reply(slot(6)))]
    a.delete_snapshot(snapshot.id)
    attempts: list[Callable[[], object]] = [
        lambda: a.load_snapshot(snapshot.id),
        lambda: b.start(sender=alice),
        a.delete,
    ]
    for refused in attempts:
        with suppress(CallRejected):
            refused()
    answers.append(_outcalls(b))
    b.uninstall()
    b.stop()
    b.start()
    return [*answers, [record.content for record in a.logs()]]


def _time(sandbox: Sandbox, a: Guest) -> list[Any]:
    """A timer, time and rounds."""
    a.do(on_timer(debug_print("ring") + set_slot(7, "rang")), do("global_timer_set", ic0("time") + 10**9), reply())
    sandbox.tick()
    sandbox.advance_time(seconds=2)
    number = sandbox.submit(a, "update", (append("later") + do("msg_reply")).code)
    rounds = sandbox.run_until_idle()
    with suppress(ValueError):
        sandbox.advance_time(seconds=-1)
    return [rounds, sandbox.ingress_status(number), a.ask(reply(slot(7)))]


def _outcalls(b: Guest) -> list[Any]:
    request = {"method": {"get": None}, "headers": []}
    answers = [b.do(asked("http_request", {**request, "url": "https://example.org/x"}, cycles=_ENOUGH))]
    with suppress(ValueError):
        b.do(asked("http_request", {**request, "url": "https://example.org/y"}, cycles=_ENOUGH))
    return answers


def recorded(path: Path, *, counter: bool = True, **options: Any) -> str:
    """Record a life; the state hash at its end."""
    with fresh(**options) as sandbox, sandbox.record(path):
        live(sandbox, counter)
        return sandbox.state_hash()


def changed(record: Path, to: Path, header: Header | None = None, **how: Callable[[Any], Any]) -> Path:
    """The record, with some kinds of its contents changed: `step=...`, `outcome=...`."""
    old, *content = read(record)
    assert isinstance(old, Header)
    writer = Writer(to, header or old)
    for item in content:
        if isinstance(item, Outcome):
            writer.outcome(how.get("outcome", same)(item))
        elif isinstance(item, End):
            writer.close(item.why)
        else:
            assert not isinstance(item, Header)
            writer.step(how.get("step", same)(item))
    return to


def same(item: Any) -> Any:
    return item

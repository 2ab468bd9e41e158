"""Every context in which a canister's code can run: how a program gets there, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sandbox import CallRejected, Principal, Sandbox
from tests.management.methods import encoded
from tests.spec.guest import *

BEGAN, WORKED = "began", "worked to the end"


class Context(NamedTuple):
    """`letter` is the specification's, `mode` the replica's word for it; `enter` brings a program there and tells what
    the platform said if it trapped; None where nobody is told."""

    letter: str
    mode: str
    enter: Callable[[Sample, Do], str | None]


class Sample:
    """A sandbox with a canister that has every hook, and another that answers."""

    def __init__(self, bits: int) -> None:
        self.printed: list[str] = []
        self.sandbox = Sandbox(on_log=lambda _, text: self.printed.append(text), http=_page)
        size = unpack(stable_read(0, 8))
        kept = when(ic0("stable64_size"), run(stable_read(8, size)))
        self.wasm = module(bits, hooks=("heartbeat", "inspect_message"), start=kept)
        self.bits = bits
        self.me = guest(self.sandbox, wasm=self.wasm)
        self.me.update_settings(environment_variables=[("name", "value")])
        self.other = guest(self.sandbox)

    def outcome(self, context: Context, program: Do) -> str | None:
        """What the platform says about `program` in this context; empty if it ran to its end. Leaves nothing."""
        with self.sandbox.anchor():
            self.printed.clear()
            said = context.enter(self, debug_print(BEGAN) + program + debug_print(WORKED))
            assert BEGAN in self.printed
            return "" if WORKED in self.printed else said


def _page(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"status": 200, "headers": [], "body": b""}


def _said(action: Callable[..., Any], *args: Any, **options: Any) -> str:
    try:
        action(*args, **options)
    except CallRejected as rejected:
        return rejected.message
    return ""


def _init(sample: Sample, program: Do) -> str:
    return _said(sample.me.install, sample.wasm, code(program), mode="reinstall")


def _post_upgrade(sample: Sample, program: Do) -> str:
    return _said(sample.me.upgrade, sample.wasm, code(program))


def _start(sample: Sample, program: Do) -> str:
    data = code(program)
    sample.me.do(evaluate(stable_grow(1)), stable_write(0, len(data).to_bytes(8, "little") + data), reply())
    return _said(sample.me.upgrade, sample.wasm)


def _pre_upgrade(sample: Sample, program: Do) -> str:
    sample.me.do(on_pre_upgrade(program), reply())
    return _said(sample.me.upgrade, sample.wasm)


def _update(sample: Sample, program: Do) -> str:
    return _said(sample.me.do, program)


def _replicated_query(sample: Sample, program: Do) -> str:
    return _said(sample.me.ask_replicated, program)


def _query(sample: Sample, program: Do) -> str:
    return _said(sample.me.ask, program)


def _composite_query(sample: Sample, program: Do) -> str:
    return _said(sample.me.ask_composite, program)


def _transform(sample: Sample, program: Do) -> str:
    sample.me.do(on_transform(program), reply())
    request = {
        "url": "https://example.org",
        "method": {"get": None},
        "headers": [],
        "transform": {"function": (sample.me.id, "transform"), "context": b""},
    }
    arg = encoded("http_request", request)
    return _said(sample.me.do, call(Principal.management(), arg, method="http_request"))


def _reply(sample: Sample, program: Do) -> str:
    return _said(sample.me.do, call(sample.other, reply("x"), on_reply=program))


def _reject(sample: Sample, program: Do) -> str:
    return _said(sample.me.do, call(sample.other, reject("no"), on_reject=program))


def _cleanup(sample: Sample, program: Do) -> str:
    return _said(sample.me.do, call(sample.other, reply(), on_reply=trap("the callback"), on_cleanup=program))


def _composite_reply(sample: Sample, program: Do) -> str:
    return _said(sample.me.ask_composite, call(sample.other, reply("x"), method="query", on_reply=program))


def _composite_reject(sample: Sample, program: Do) -> str:
    return _said(sample.me.ask_composite, call(sample.other, reject("no"), method="query", on_reject=program))


def _composite_cleanup(sample: Sample, program: Do) -> str:
    calling = call(sample.other, reply(), method="query", on_reply=trap("the callback"), on_cleanup=program)
    return _said(sample.me.ask_composite, calling)


def _inspect(sample: Sample, program: Do) -> str:
    sample.me.do(on_inspect(program), reply())
    return _said(sample.me.do, reply())


def _heartbeat(sample: Sample, program: Do) -> None:
    sample.me.do(on_heartbeat(program), reply())
    sample.sandbox.tick()


def _timer(sample: Sample, program: Do) -> None:
    sample.me.do(on_timer(program), do("global_timer_set", 1), reply())
    sample.sandbox.tick()


def _low_memory(sample: Sample, program: Do) -> None:
    sample.me.do(on_low_memory(program), reply())
    sample.me.update_settings(wasm_memory_threshold=1 << 40)
    sample.sandbox.tick()


CONTEXTS: dict[str, Context] = {
    "start": Context("s", "start", _start),
    "init": Context("I", "init", _init),
    "post_upgrade": Context("I", "init", _post_upgrade),
    "pre_upgrade": Context("G", "pre upgrade", _pre_upgrade),
    "update": Context("U", "update", _update),
    "replicated_query": Context("RQ", "replicated query", _replicated_query),
    "query": Context("NRQ", "non replicated query", _query),
    "transform": Context("TQ", "non replicated query", _transform),
    "composite_query": Context("CQ", "composite query", _composite_query),
    "reply": Context("Ry", "reply callback", _reply),
    "reject": Context("Rt", "reject callback", _reject),
    "composite_reply": Context("CRy", "composite reply callback", _composite_reply),
    "composite_reject": Context("CRt", "composite reject callback", _composite_reject),
    "cleanup": Context("C", "cleanup", _cleanup),
    "composite_cleanup": Context("CC", "composite cleanup", _composite_cleanup),
    "inspect_message": Context("F", "inspect message", _inspect),
    "heartbeat": Context("T", "heartbeat", _heartbeat),
    "global_timer": Context("T", "global timer", _timer),
    "on_low_wasm_memory": Context("T", "on low Wasm memory", _low_memory),
}

"""The universal guest: canisters that do what a test says.

    a, b = guest(sandbox), guest(sandbox)
    a.do(reply(caller()))                                       # an update call; its reply
    a.ask(reply_number(performance_counter(0)))                 # a query call
    a.do(call(b, reply(caller())))                              # calls `update` of b; passes its answer on
    a.do(call(b, trap("no"), on_reject=reply(reject_message())))

How programs are made of expressions says `tests.spec.program`, whose names are here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from sandbox import Canister, Principal, Sandbox
from sandbox.api import runtime_of
from sandbox.codec.leb128 import encode_unsigned as leb
from sandbox.wasm.reader import Id, sections
from sandbox.wasm.writer import section
from tests.conftest import fixture
from tests.spec.program import *
from tests.spec.program import (
    LAST,
    OPERATIONS,
    B,
    Blob,
    Do,
    N,
    Number,
    blob,
    copied,
    do,
    halves,
    ic0,
    pack,
    trap,
    when,
    wide,
)

# --- messages


def arg() -> Blob:
    """The argument; in a reply callback the answer."""
    return copied("msg_arg_data")


def caller() -> Blob:
    return copied("msg_caller")


def self_id() -> Blob:
    return copied("canister_self")


def append(value: B) -> Do:
    return do("msg_reply_data_append", value)


def reply(value: B = b"") -> Do:
    return append(value) + do("msg_reply")


def reply_number(value: N) -> Do:
    return reply(pack(value))


def reject(text: B) -> Do:
    return do("msg_reject", text)


def reject_code() -> Number:
    return ic0("msg_reject_code")


def reject_message() -> Blob:
    return copied("msg_reject_msg")


def debug_print(text: B) -> Do:
    return do("debug_print", text)


# --- cycles


def balance() -> Blob:
    return wide("canister_cycle_balance128")


def available() -> Blob:
    return wide("msg_cycles_available128")


def refunded() -> Blob:
    return wide("msg_cycles_refunded128")


def accept(amount: int = (1 << 128) - 1) -> Blob:
    """Accepts so much, or what there is; how much it was."""
    return wide("msg_cycles_accept128", *halves(amount))


def burn(amount: int) -> Blob:
    return wide("cycles_burn128", *halves(amount))


# --- calls

NOTHING: Final = Do()
REPLY, REJECT, CLEANUP, OTHER_TYPE = (Number(OPERATIONS["function"] + leb(place)) for place in range(4))
"""Table indices of the guest's callbacks, and of a function that cannot be one."""


def _kept(programs: Iterable[Do]) -> Number:
    data = b"".join(leb(len(program.code)) + program.code for program in programs)
    return Number(blob(data).code + OPERATIONS["keep"])


def call_new(
    callee: B,
    method: B = "update",
    *,
    on_reply: Do = NOTHING,
    on_reject: Do = NOTHING,
    on_cleanup: Do | None = None,
    functions: tuple[N, N] = (REPLY, REJECT),
) -> Do:
    """Begins a call with these programs as callbacks; `functions` are the table indices that the platform is given."""
    kept = _kept([on_reply, on_reject, on_cleanup or NOTHING])
    begun = do("call_new", callee, method, functions[0], kept, functions[1], LAST)
    return begun if on_cleanup is None else begun + do("call_on_cleanup", CLEANUP, LAST)


def call_perform() -> Number:
    return ic0("call_perform")


def call(
    callee: B,
    program: B = b"",
    *,
    method: B = "update",
    on_reply: Do | None = None,
    on_reject: Do | None = None,
    on_cleanup: Do | None = None,
    cycles: int = 0,
    timeout: int | None = None,
    refused: Do | None = None,
) -> Do:
    """A whole call: `program` is the argument. Unless told otherwise the answer is passed on to one's own caller, and a
    call that cannot be sent (`refused`) is a trap."""
    begun = call_new(
        callee,
        method,
        on_reply=reply(arg()) if on_reply is None else on_reply,
        on_reject=reject(reject_message()) if on_reject is None else on_reject,
        on_cleanup=on_cleanup,
    )
    begun += do("call_data_append", program)
    if cycles:
        begun += do("call_cycles_add128", *halves(cycles))
    if timeout is not None:
        begun += do("call_with_best_effort_response", timeout)
    return begun + when(call_perform(), trap("call_perform failed") if refused is None else refused)


# --- canisters


@cache
def module(bits: int = 32, *, hooks: tuple[str, ...] = (), start: Do | None = None) -> bytes:
    """The guest for a memory of so many bits.

    `heartbeat` and `inspect_message` are exported if `hooks` names them: a canister that has them behaves differently
    without a program for them too. `start` is the program of a start function; without it there is none.
    """
    wasm = fixture(f"universal.wasm{bits}")
    for hook in {"heartbeat", "inspect_message"} - set(hooks):
        wasm = wasm.replace(b"canister_" + hook.encode(), b"no_hook__" + hook.encode())
    return wasm if start is None else _with_start(wasm, start)


def _with_start(wasm: bytes, program: Do) -> bytes:
    """The program goes where the data segment has room for it, and a start section names the function that runs it."""
    mark = wasm.index(b"start program: ")
    assert len(program.code) < 512
    wasm = wasm[:mark] + program.code.ljust(512, b"\0") + wasm[mark + 512 :]
    parts = {part.id: wasm[part.at : part.end] for part in sections(wasm)}
    found = re.search(rb"\x09run_start\x00([\x80-\xff]*[\x00-\x7f])", parts[Id.EXPORT])
    assert found
    parts[Id.EXPORT] += section(Id.START, found[1])
    return wasm[:8] + b"".join(parts.values())


class Guest(Canister):
    """A canister that runs programs."""

    def do(self, *program: Do, sender: Principal | str | None = None) -> bytes:
        """The reply of an update call; `CallRejected` otherwise."""
        return _reply(self.update("update", code(*program), sender=sender).reply)

    def ask(self, *program: Do, sender: Principal | str | None = None) -> bytes:
        """The reply of a query call."""
        return _reply(self.query_raw("query", code(*program), sender=sender).reply)

    def ask_replicated(self, *program: Do, sender: Principal | str | None = None) -> bytes:
        """The reply of a query method that is called as an update."""
        return _reply(self.update("query", code(*program), sender=sender).reply)

    def ask_composite(self, *program: Do, sender: Principal | str | None = None) -> bytes:
        """The reply of a composite query."""
        return _reply(self.query_raw("composite_query", code(*program), sender=sender).reply)


def guest(sandbox: Sandbox, *program: Do, wasm: bytes | None = None, bits: int = 32, **options: Any) -> Guest:
    """A new canister with the universal guest, or `wasm`; `program` is what its init does, `options` those of
    `create_canister`."""
    canister = Guest(runtime_of(sandbox), sandbox.create_canister(**options).id)
    canister.install(module(bits) if wasm is None else wasm, code(*program))
    return canister


def code(*program: Do) -> bytes:
    """The argument that is this program."""
    return b"".join(part.code for part in program)


def _reply(data: bytes | None) -> bytes:
    assert data is not None
    return data


def count(data: bytes) -> int:
    """A little-endian number."""
    return int.from_bytes(data, "little")

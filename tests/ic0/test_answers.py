"""System calls answered in WebAssembly and by the host: every outcome is the same."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from sandbox.canister import instances
from sandbox.canister.entry_point import run
from sandbox.canister.instances import CanisterInstance, heap_view, stable_view
from sandbox.canister.module import compile_module
from sandbox.ic0 import control
from sandbox.ic0.answers import ANSWERED
from sandbox.ic0.control import ControlMemory, Fact, Place
from sandbox.ic0.function import SystemApiFunction
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Environment, Execution
from sandbox.ic0.table import BY_NAME, uses_heap
from sandbox.limits import CERTIFIED_DATA, CONTROLLERS, GLOBALS, WASM_PAGE
from sandbox.memory import Pool
from sandbox.principal import Principal
from sandbox.state import WasmModule
from sandbox.wasm import GLOBALS as GLOBALS_PLACE
from sandbox.wasm import SLOT
from tests.conftest import wat

Calls = tuple[tuple[str, tuple[int, ...]], ...]
"""Calls of one message, each with its arguments."""
Cases = list[tuple[Calls, Mode, dict[str, Any]]]
"""Messages, with facts as for `outcome`."""
WORDS = pytest.mark.parametrize("word", ["i32", "i64"])
CALLER = Principal(b"c" * 29)
CONTROLLER_SETS = (
    frozenset[Principal](),
    frozenset({CALLER, Principal.management()}),
    frozenset(Principal(b"\2" * n) for n in range(CONTROLLERS)),
)
ENOUGH = 1 << 62
"""Instructions: a call with the largest size, which counts 50 x 2^48, does not reach the limit."""
BOTH = sorted(ANSWERED - {"performance_counter"})
"""The host does not know the values of `performance_counter`."""
RESPONSES = ("msg_reply_data_append", "msg_reply_data_append", "msg_reply", "msg_reject")
WRITERS = (*RESPONSES, "global_timer_set", "certified_data_set", "msg_arg_data_copy", "is_controller")
BYTES = b"\2" * 64 + bytes(range(1, 256)) * 256
"""What the heap holds at first."""


class HostAlone(ControlMemory):
    """A control memory from which no call is answered."""

    __slots__ = ()

    def give(self, x: Execution) -> None:
        bit, x.mode_bit = x.mode_bit, 0
        super().give(x)
        x.mode_bit = bit


def module(word: str, messages: Iterable[Calls], memory: bool = True) -> bytes:
    """A module with the exported methods `0`, `1`, ... for the messages; results go to the heap, where there is one."""
    letters = {"i": "i32", "l": "i64", "I": word}
    messages = list(messages)

    def called(place: int, name: str, arguments: tuple[int, ...]) -> str:
        row = BY_NAME[name]
        values = " ".join(f"({letters[p]}.const {a})" for p, a in zip(row.params, arguments, strict=True))
        call = f"(call ${name} {values})"
        if not row.results:
            return call
        store = f"({letters[row.results]}.store ({word}.const {1024 + 8 * place}) {call})"
        return store if memory else f"(drop {call})"

    def imported(row: SystemApiFunction) -> str:
        result = f"(result {letters[row.results]})" if row.results else ""
        params = " ".join(letters[letter] for letter in row.params)
        return f'(import "ic0" "{row.name}" (func ${row.name} (param {params}) {result}))'

    names = sorted({name for message in messages for name, _ in message})
    bodies = (
        f'(func (export "canister_update {n}") {" ".join(called(k, *call) for k, call in enumerate(message))})'
        for n, message in enumerate(messages)
    )
    heap = f"(memory {'i64' if word == 'i64' else ''} 1)" if memory else ""
    return wat(f"(module {' '.join(imported(BY_NAME[name]) for name in names)} {heap} {' '.join(bodies)})")


@contextmanager
def live(code: bytes, held: type[ControlMemory]) -> Iterator[CanisterInstance]:
    """An instance whose system calls are answered from the control memory, or with `HostAlone` by the host."""
    prepared = compile_module(WasmModule.from_bytes(code))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instances, "ControlMemory", held)
        pool = Pool()
        heap, stable = pool.memory(), pool.memory()
        instance = CanisterInstance(prepared, heap_view(heap, prepared), stable_view(stable))
    try:
        if prepared.facts.memory:
            instance.heap.write(0, BYTES[:WASM_PAGE])
        instance.commit()
        yield instance
    finally:
        instance.close()


def outcome(instance: CanisterInstance, number: int, mode: Mode, facts: dict[str, Any]) -> Any:
    """All that a message says and changes. `facts`: attributes of the execution or of its environment."""
    env = Environment(
        canister_id=Principal.from_index(7),
        caller=facts.get("caller", CALLER),
        time=(1 << 64) - 2,
        subnet_id=Principal(b"subnet"),
        controllers=facts.get("controllers", CONTROLLER_SETS[1]),
        status=2,
        version=1 << 40,
        global_timer=(1 << 63) + 5,
        deadline=17,
    )
    x = Execution(mode, env, facts.get("arg", b"DIDL\0\0"))
    x.reject_code, x.reject_message = 4, facts.get("reject_message", "no")
    x.inspected_method, x.already_responded = facts.get("method", "method"), facts.get("responded", False)
    done = run(instance, f"canister_update {number}", x, ENOUGH)
    failure = done.failure
    if failure is not None:
        said: Any = (failure.code, failure.text, failure.backtrace)
    else:
        said = (x.response, x.global_timer, x.certified_data)
    heap = instance.heap.read(0, WASM_PAGE) if instance.prepared.facts.memory else b""
    instance.rollback()
    return said, done.instructions, heap


def check_alike(word: str, cases: Cases, memory: bool = True) -> list[Any]:
    """Check that both sides come to the same outcomes; return what they say."""
    messages = list(dict.fromkeys(calls for calls, _, _ in cases))
    code = module(word, messages, memory)
    numbers = {calls: n for n, calls in enumerate(messages)}
    with live(code, ControlMemory) as answered, live(code, HostAlone) as asked:
        outcomes = []
        for calls, mode, facts in cases:
            ours = outcome(answered, numbers[calls], mode, facts)
            assert ours == outcome(asked, numbers[calls], mode, facts), (calls, mode, facts)
            outcomes.append(ours[0])
    return outcomes


def numbers_of(word: str) -> list[int]:
    """Addresses, offsets and sizes at and around every limit."""
    around = (0, 29, CERTIFIED_DATA, control.METHOD_ROOM, control.ARGUMENT_ROOM, WASM_PAGE, 1 << 31)
    most = (1 << 32) - 1 if word == "i32" else (1 << 64) - 1
    wide = [] if word == "i32" else [(1 << 32) - 1, 1 << 32, (1 << 48) + 1, (1 << 63) - 1, 1 << 63]
    return [n + d for n in around for d in (-1, 0, 1) if n + d >= 0] + [5, 6, WASM_PAGE - 6, most, *wide]


def arguments(row: SystemApiFunction, word: str, draw: random.Random) -> tuple[int, ...]:
    """Half of them ordinary, half at the limits."""
    pool = numbers_of(word) if draw.random() < 0.5 else [0, 1, 2, 5, 6, 29, WASM_PAGE - 5]
    return tuple(draw.choice(pool) for _ in row.params)


FACTS: tuple[dict[str, Any], ...] = (
    {},
    {
        "arg": b"",
        "caller": Principal.management(),
        "method": "",
        "reject_message": "",
        "controllers": CONTROLLER_SETS[0],
    },
    {
        "arg": bytes(range(256)) * (control.ARGUMENT_ROOM // 256),
        "method": "m" * control.METHOD_ROOM,
        "reject_message": "é" * (control.REJECT_ROOM // 2),
        "controllers": CONTROLLER_SETS[2],
    },
    {
        "arg": bytes(control.ARGUMENT_ROOM + 1),
        "method": "m" * (control.METHOD_ROOM + 1),
        "reject_message": "r" * (control.REJECT_ROOM + 1),
    },
    {"responded": True},
)


def test_the_list_of_answered_calls_is_not_empty_of_what_every_message_asks() -> None:
    assert {
        "msg_arg_data_size",
        "msg_arg_data_copy",
        "msg_caller_copy",
        "msg_reply_data_append",
        "msg_reply",
    } <= ANSWERED
    assert set(BY_NAME) >= ANSWERED


@WORDS
def test_every_call_in_every_mode(word: str) -> None:
    draw = random.Random(1)
    cases: Cases = [
        (((name, tuple(0 for _ in BY_NAME[name].params) if not k else arguments(BY_NAME[name], word, draw)),), mode, {})
        for name in BOTH
        for mode in Mode
        for k in range(2)
    ]
    said = check_alike(word, cases)
    assert len({str(one) for one in said}) > len(Mode)


@WORDS
@pytest.mark.parametrize("facts", range(len(FACTS)))
def test_ranges_and_sizes_at_the_limits(word: str, facts: int) -> None:
    draw = random.Random(facts)
    cases: Cases = [
        (
            ((row.name, arguments(row, word, draw)),),
            draw.choice([mode for mode in Mode if mode & row.modes]),
            FACTS[facts],
        )
        for row in map(BY_NAME.__getitem__, BOTH)
        for _ in range(40 if row.params else 1)
    ]
    check_alike(word, cases)


@WORDS
def test_sequences_of_calls_of_which_some_need_the_host(word: str) -> None:
    draw = random.Random(2)
    cases: Cases = []
    for _ in range(300):
        names = [draw.choice(WRITERS) for _ in range(draw.randint(2, 7))]
        calls = tuple((name, arguments(BY_NAME[name], word, draw)) for name in names)
        cases.append((calls, draw.choice((Mode.UPDATE, Mode.REPLY, Mode.COMPOSITE_QUERY)), draw.choice(FACTS)))
    said = check_alike(word, cases)
    assert sum(isinstance(first, tuple) and first[0] is not None for first in said) > 50


@WORDS
def test_a_reply_larger_than_its_room(word: str) -> None:
    room = control.REPLY_ROOM
    appended = [(room,), (room - 1, 1), (room - 1, 2), (room, 1), (room, 0), (room + 1,), (5, room, 5), (room, 30_000)]
    ends: list[Calls] = [(), (("msg_reply", ()),), (("msg_reply", ()), ("msg_reply", ())), (("msg_reject", (1024, 0)),)]
    cases: Cases = [
        ((*(("msg_reply_data_append", (7, size)) for size in sizes), *end), Mode.UPDATE, {})
        for sizes in appended
        for end in ends
    ]
    said = check_alike(word, cases)
    assert said[1][0].data == BYTES[7 : 7 + room]
    assert said[25][0].data == BYTES[7:12] + BYTES[7 : 7 + room] + BYTES[7:12]


def test_without_a_memory() -> None:
    cases: Cases = [(((name, tuple(0 for _ in BY_NAME[name].params)),), mode, {}) for name in BOTH for mode in Mode]
    said = check_alike("i32", cases, memory=False)
    missing = "Canister violated contract: WebAssembly module must define memory"
    for (calls, _, _), one in zip(cases, said, strict=True):
        assert (one[1] == missing) is uses_heap(BY_NAME[calls[0][0]])


@pytest.mark.parametrize("controllers", CONTROLLER_SETS, ids=["none", "two", "most"])
def test_controllers(controllers: frozenset[Principal]) -> None:
    """The heap begins with the bytes 2: each of its beginnings is looked for, and what is not a controller."""
    cases: Cases = [
        ((("is_controller", (at, size)),), Mode.UPDATE, {"controllers": controllers})
        for at in (0, 63)
        for size in range(31)
    ]
    check_alike("i32", cases)
    with live(module("i32", [calls for calls, _, _ in cases]), ControlMemory) as instance:
        for n, (calls, mode, facts) in enumerate(cases):
            said, _, heap = outcome(instance, n, mode, facts)
            at, size = calls[0][1]
            if size <= 29:
                assert said == (None, None, None)
                assert heap[1024] == int(Principal(BYTES[at : at + size]) in controllers)


def test_nothing_in_the_control_memory_overlaps() -> None:
    rooms = {
        Place.CALLER: control.SLOT,
        Place.SELF: control.SLOT,
        Place.SUBNET: control.SLOT,
        Place.CERTIFIED: CERTIFIED_DATA,
        Place.COMPARED: control.SLOT,
        Place.CONTROLLERS: CONTROLLERS * control.SLOT,
        Place.METHOD: control.METHOD_ROOM,
        Place.REJECT: control.REJECT_ROOM,
        Place.ARGUMENT: control.ARGUMENT_ROOM,
        Place.REPLY: control.REPLY_ROOM,
    }
    assert set(rooms) == set(Place)
    taken = sorted([*rooms.items(), *((fact, 8) for fact in Fact), (GLOBALS_PLACE, GLOBALS * SLOT), (WASM_PAGE, 0)])
    for (start, size), (following, _) in pairwise(taken):
        assert start + size <= following

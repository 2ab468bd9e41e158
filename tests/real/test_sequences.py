"""Whatever happens to a canister: a rejected message changes nothing, and a snapshot brings back what was taken.

Sequences of calls, traps, growth, upgrades (good and bad), snapshots, loads and anchors, on Motoko in both persistence
modes and on Rust, under every strategy for dirty pages that this machine has.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import CallRejected, InstructionLimits, RawState, Sandbox, Snapshot
from sandbox.api import runtime_of
from sandbox.errors import Unsupported
from tests.conftest import STRATEGIES, everything, fixture

LIMITS = InstructionLimits(update=60_000_000, query=20_000_000, install=200_000_000)


class Sample:
    """A canister, what it should be able to return to, and the steps that random sequences are made of."""

    def __init__(self, strategy: str, v1: str) -> None:
        self.sandbox = Sandbox(strategy=strategy, instruction_limits=LIMITS, max_snapshots=10)
        self.canister = self.sandbox.create_canister()
        self.canister.install(fixture(v1))
        self.taken: dict[bytes, tuple[Snapshot, RawState, bytes, str]] = {}

    def attempt(self, action: Callable[[], Any]) -> None:
        """Do it; if it is rejected, nothing may have changed."""
        before = everything(self.sandbox, self.canister)
        try:
            action()
        except CallRejected:
            assert everything(self.sandbox, self.canister) == before

    def take(self) -> None:
        if len(self.taken) == 10:
            self.forget(0)
        snapshot = self.canister.take_snapshot(f"at {len(self.taken)}")
        state = runtime_of(self.sandbox).state_of(self.canister.id)
        self.taken[snapshot.id] = (snapshot, self.canister.raw_state(), state.certified_data, snapshot.checksum)

    def forget(self, which: int) -> None:
        if self.taken:
            gone = list(self.taken)[which % len(self.taken)]
            del self.taken[gone]
            self.canister.delete_snapshot(gone)

    def load(self, which: int) -> None:
        if self.taken:
            snapshot, raw, certified, checksum = list(self.taken.values())[which % len(self.taken)]
            version = self.canister.status().version
            self.canister.load_snapshot(snapshot.id)
            assert self.canister.raw_state() == raw
            assert runtime_of(self.sandbox).state_of(self.canister.id).certified_data == certified
            assert self.canister.status().version == version + 1
            [again] = [s for s in self.canister.list_snapshots() if s.id == snapshot.id]
            assert again.checksum == checksum


def count(n: int) -> bytes:
    """Candid for one natural number."""
    out = b"DIDL\0\1\x7d"
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def blob(offset: int, size: int) -> bytes:
    number = count(offset)[7:]
    length = count(size)[7:]
    return b"DIDL\1\x6d\x7b\2\x7d\0" + number + length + b"\xa5" * size


def text(value: str) -> bytes:
    return b"DIDL\0\1\x71" + bytes([len(value)]) + value.encode()


COUNTER_CALLS: list[tuple[str, bytes]] = [
    ("inc", b"DIDL\0\0"),
    ("boom", b"DIDL\0\0"),
    ("grow", count(900)),
    ("grow_then_trap", count(3000)),
    ("stable_put", blob(70_000, 3000)),
    ("stable_put", blob(3, 10)),
    ("stable_put_then_trap", blob(300_000, 5000)),
    ("deep", count(2000)),
    ("recurse_forever", b"DIDL\0\0"),
    ("print_then_trap", text("hello")),
    ("inc_oneway", b"DIDL\0\0"),
    ("inc_in_query", b"DIDL\0\0"),
    ("no_such_method", b"DIDL\0\0"),
    ("echo", b"garbage"),
]
PEOPLE_CALLS: list[tuple[str, bytes]] = [
    ("fill", count(30)),
    ("fill", count(300)),
    ("set_age", b"DIDL\0\2\x7d\x7d\3\x21"),
    ("set_age", b"DIDL\0\2\x7d\x7d\x7f\x21"),
    ("add", b"DIDL\0\0"),
    ("size", b"DIDL\0\0"),
    ("checksum", b"DIDL\0\0"),
    ("no_such_method", b"DIDL\0\0"),
]

STEPS = st.one_of(
    st.tuples(st.just("call"), st.integers(0, 99)),
    st.tuples(st.just("call"), st.integers(0, 99)),
    st.tuples(st.just("call"), st.integers(0, 99)),
    st.tuples(st.just("query"), st.integers(0, 99)),
    st.tuples(st.just("upgrade"), st.integers(0, 5)),
    st.tuples(st.just("reinstall"), st.integers(0, 1)),
    st.tuples(st.just("uninstall"), st.just(0)),
    st.tuples(st.just("take"), st.just(0)),
    st.tuples(st.just("take"), st.just(0)),
    st.tuples(st.just("load"), st.integers(0, 9)),
    st.tuples(st.just("load"), st.integers(0, 9)),
    st.tuples(st.just("forget"), st.integers(0, 9)),
    st.tuples(st.just("anchor"), st.just(0)),
    st.tuples(st.just("undo"), st.just(0)),
)


def play(sample: Sample, modules: list[str], calls: list[tuple[str, bytes]], steps: list[tuple[str, int]]) -> None:
    """Carry out the steps; anchors nest and are undone at the end at the latest."""
    canister, sandbox = sample.canister, sample.sandbox
    persistence = "keep" if "enhanced" in modules[0] else None
    anchors: list[tuple[ExitStack, Any, dict[bytes, Any]]] = []

    def undo() -> None:
        anchor, before, taken = anchors.pop()
        anchor.close()
        assert everything(sandbox, canister) == before
        sample.taken = taken

    for kind, number in steps:
        method, arg = calls[number % len(calls)]
        module = modules[number % len(modules)]
        if kind == "call":
            sample.attempt(partial(canister.update, method, arg))
        elif kind == "query":
            before = everything(sandbox, canister)
            sample.attempt(partial(canister.query_raw, method, arg))
            assert everything(sandbox, canister) == before
        elif kind == "upgrade":
            option = persistence if canister.keeps_heap else None
            sample.attempt(partial(canister.install, fixture(module), None, "upgrade", wasm_memory_persistence=option))
        elif kind == "reinstall":
            sample.attempt(partial(canister.install, fixture(module), None, "reinstall"))
        elif kind == "uninstall":
            canister.uninstall()
        elif kind == "take":
            sample.attempt(sample.take)
        elif kind == "load":
            sample.load(number)
        elif kind == "forget":
            sample.forget(number)
        elif kind == "anchor":
            stack = ExitStack()
            anchors.append((stack, everything(sandbox, canister), dict(sample.taken)))
            stack.enter_context(sandbox.anchor())
        elif anchors:
            undo()
    while anchors:
        undo()
    for which in range(len(sample.taken)):
        sample.load(which)


FAMILIES = {
    "counter enhanced": (["counter.enhanced"], COUNTER_CALLS),
    "counter classical": (["counter.classical"], COUNTER_CALLS),
    "people enhanced": (
        ["people_v1.enhanced", "people_v2_good.enhanced", "people_v2_traps.enhanced", "people_v2_drops.enhanced"],
        PEOPLE_CALLS,
    ),
    "people classical": (
        [
            "people_v1.classical",
            "people_v2_good.classical",
            "people_v2_traps.classical",
            "people_v1_pretraps.classical",
        ],
        PEOPLE_CALLS,
    ),
    "people rust": (
        ["people_stable_rs_v1", "people_stable_rs_v2_good", "people_stable_rs_v2_traps", "people_stable_rs_v2_drops"],
        PEOPLE_CALLS,
    ),
    "people rust heap": (["people_heap_rs_v1", "people_heap_rs_v2_good"], PEOPLE_CALLS),
}


def run(family: str, strategy: str, steps: list[tuple[str, int]]) -> None:
    modules, calls = FAMILIES[family]
    try:
        sample = Sample(strategy, modules[0])
    except Unsupported as error:
        pytest.skip(str(error))
    play(sample, modules, calls, steps)


# a sequence that has everything, so that no lucky draw is needed
ALL: list[tuple[str, int]] = [
    ("call", 0), ("take", 0), ("call", 1), ("call", 2), ("take", 0), ("call", 3), ("call", 4), ("anchor", 0),
    ("call", 5), ("take", 0), ("upgrade", 0), ("call", 6), ("load", 0), ("call", 7), ("anchor", 0),
    ("reinstall", 0), ("take", 0),
    ("call", 2), ("load", 1), ("undo", 0), ("upgrade", 1), ("call", 8), ("forget", 0), ("upgrade", 2), ("undo", 0),
    ("uninstall", 0), ("load", 1), ("call", 11), ("query", 12), ("upgrade", 3), ("load", 0), ("call", 14), ("take", 0),
]  # fmt: skip


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_rejected_message_changes_nothing_and_a_load_gives_back_what_was_taken(family: str, strategy: str) -> None:
    run(family, strategy, ALL)


@pytest.mark.parametrize("family", ["counter enhanced", "people rust"])
@given(steps=st.lists(STEPS, min_size=4, max_size=16))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_so_it_is_for_random_sequences(family: str, steps: list[tuple[str, int]]) -> None:
    run(family, "scan", steps)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", FAMILIES)
@given(steps=st.lists(STEPS, min_size=5, max_size=40))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_so_it_is_for_long_random_sequences(family: str, strategy: str, steps: list[tuple[str, int]]) -> None:
    run(family, strategy, steps)

"""Laws of random call graphs: cycles are conserved at every commit, and what traps changes nothing.

After every single message: the cycles of all canisters, of messages under way, of open calls, what was burned and what
the published fees of a 13-node subnet are for what was done, are as many as in the beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings

from sandbox import InstructionLimits, Principal, RawState, Sandbox
from sandbox.api import runtime_of
from sandbox.execution.responses import expire
from sandbox.execution.rounds import step
from sandbox.state import Callback, CanisterState, Message, Request, Response, Status
from tests.management.methods import encoded
from tests.spec.graphs import CANISTERS, DEPLOYMENTS, GRAPHS, Body, program
from tests.spec.guest import *

MESSAGE, CALL, BYTE, INGRESS, INGRESS_BYTE = 5_000_000, 260_000, 1_000, 1_200_000, 2_000
"""Published fees; an instruction is one cycle, two with a 64-bit memory."""
LOOK = append(slot(6) + pack(memory_size()) + pack(ic0("stable64_size")))
LOOK += when(ic0("stable64_size"), append(stable_read(0, 256))) + do("msg_reply")
LIMITS = InstructionLimits(update=50_000_000, query=20_000_000_000, install=50_000_000)
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
LARGE = settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass
class Watch:
    """A sandbox whose messages are executed one by one, and what is checked after each."""

    sandbox: Sandbox
    canisters: list[Guest]
    printed: list[str] = field(default_factory=list)
    fees: int = 0
    burned: int = 0
    seen: dict[Principal, bytes | None] = field(default_factory=dict)
    """What each canister sees of its own state."""

    @property
    def charged(self) -> bool:
        return runtime_of(self.sandbox).subnet.costs != "free"

    def total(self) -> int:
        """Every cycle, wherever it is."""
        subnet = runtime_of(self.sandbox).subnet
        sitting = sum(state.cycles for state in subnet.canisters.values())
        flying = sum(_carried(message) for message in (*subnet.queue, *subnet.later))
        offered = sum(context.available for context in subnet.contexts.values())
        prepaid = sum(callback.prepaid for callback in subnet.callbacks.values())
        return sitting + flying + offered + prepaid + self.burned + self.fees

    def submit(self, index: int, body: Body) -> None:
        arg = code(program(body, self.canisters))
        self.sandbox.submit(self.canisters[index], "update", arg)
        self.fees += (INGRESS + INGRESS_BYTE * (len("update") + len(arg))) if self.charged else 0

    def step(self) -> None:
        """Executes one message."""
        sandbox, env = self.sandbox, runtime_of(self.sandbox).environment()
        subnet = runtime_of(sandbox).subnet
        message, before, callbacks = subnet.queue[0], dict(subnet.canisters), dict(subnet.callbacks)
        executing = message.canister_id
        raw = sandbox.raw_state(executing) if executing in before else None
        self.printed.clear()
        assert step(env)
        self.burned += self._burned()
        self.burned += sum(before[gone].cycles for gone in set(before) - set(subnet.canisters))
        if self.charged:
            self.fees += self._fees(message, callbacks, env.executed + env.compiled)
        if raw is not None:
            self._check_state(before, executing, raw)
        else:
            self.look_at_all()

    def _burned(self) -> int:
        """What was burned by the execution that printed this, if it was not undone."""
        burned = 0
        for text in self.printed:
            if text == "cleaning":
                burned = 0
            elif text.startswith("burned "):
                burned += int(text.removeprefix("burned "))
        return burned if self.printed and self.printed[-1] in ("done", "asked", "cleaned") else 0

    def _fees(self, message: Message, callbacks: dict[int, Callback], instructions: int) -> int:
        subnet, fees = runtime_of(self.sandbox).subnet, 0
        if instructions:
            fees += MESSAGE + instructions * (2 if self._executor(message) == self.canisters[-1].id else 1)
        if isinstance(message, Response) and message.callback_id in callbacks:
            answer = message.answer if isinstance(message.answer, bytes) else message.answer.message.encode()
            fees += min(BYTE * len(answer), callbacks[message.callback_id].prepaid)
        for sent in subnet.queue:
            if isinstance(sent, Request) and sent.callback_id not in callbacks:
                fees += CALL + BYTE * (len(sent.method.encode()) + len(sent.arg))
        return fees

    def _executor(self, message: Message) -> Principal:
        """Whose code runs: the receiver's, or that of the canister to which it is deployed."""
        arg = message.arg if isinstance(message, Request) else b""
        deployed = [c.id for c in self.canisters for mode in DEPLOYMENTS if arg == deployment(c, mode)]
        return deployed[0] if deployed else message.canister_id

    def _check_state(self, before: dict[Principal, CanisterState], executing: Principal, raw: RawState) -> None:
        subnet = runtime_of(self.sandbox).subnet
        for canister_id, state in subnet.canisters.items():
            assert canister_id == executing or state is before[canister_id], "another canister changed"
        old, new = before[executing], subnet.canisters[executing]
        stopped = old.status is Status.STOPPING and new.status is Status.STOPPED
        if "done" in self.printed or "cleaned" in self.printed:
            assert new.version == old.version + 1 + stopped
        if "trapping" in self.printed and "cleaned" not in self.printed:
            assert new.version == old.version + stopped
        if new.version == old.version + stopped:
            assert self.sandbox.raw_state(executing) == raw
            assert (new.certified_data, new.global_timer) == (old.certified_data, old.global_timer)
            assert self.look(executing) == self.seen[executing]
        self.seen[executing] = self.look(executing)

    def look_at_all(self) -> None:
        self.seen = {canister_id: self.look(canister_id) for canister_id in runtime_of(self.sandbox).subnet.canisters}

    def look(self, canister_id: Principal) -> bytes | None:
        """What the canister answers when asked for its state; None if it does not answer."""
        return self.sandbox.query(canister_id, "query", LOOK.code).reply


def _carried(message: Message) -> int:
    if isinstance(message, Request):
        return message.cycles
    return message.refund if isinstance(message, Response) else 0


@cache
def watch(costs: str) -> Watch:
    printed: list[str] = []
    sandbox = Sandbox(costs=costs, instruction_limits=LIMITS, on_log=lambda _, text: printed.append(text))
    canisters = [guest(sandbox, bits=bits, cycles=10**14) for bits in (32,) * (CANISTERS - 1) + (64,)]
    for canister in canisters:
        for k, other in enumerate(canisters):
            for mode, first in DEPLOYMENTS.items():
                canister.do(set_slot(first + k, deployment(other, mode)), reply())
    for canister in canisters:
        canister.update_settings(controllers=[c.id for c in canisters])
    return Watch(sandbox, canisters, printed)


@cache
def deployment(canister: Guest, mode: str) -> bytes:
    """The argument that deploys to a canister the code that it has."""
    wasm = canister.raw_state().module
    request = {"mode": {mode: None}, "canister_id": canister.id, "wasm_module": wasm, "arg": b""}
    return encoded("install_code", request)


def check(costs: str, graph: list[tuple[int, Body]]) -> None:
    there = watch(costs)
    with there.sandbox.anchor():
        there.fees = there.burned = 0
        there.look_at_all()
        total = there.total()
        for index, body in graph:
            there.submit(index, body)
            assert there.total() == total
        subnet = runtime_of(there.sandbox).subnet
        for count_ in range(10_000):
            if not subnet.queue:
                if not subnet.stops:
                    break
                runtime_of(there.sandbox).subnet.time += 300_000_000_000
                expire(runtime_of(there.sandbox).environment())
                continue
            there.step()
            assert there.total() == total
            if not there.charged and count_ % 5 == 4:
                there.sandbox.advance_time(7)
                expire(runtime_of(there.sandbox).environment())
                assert there.total() == total
        assert (len(subnet.queue), len(subnet.contexts), len(subnet.callbacks)) == (0, 0, 0)


@pytest.mark.parametrize("costs", ["free", "mainnet"])
@QUICK
@given(graph=GRAPHS)
def test_cycles_are_conserved_and_traps_change_nothing(costs: str, graph: list[tuple[int, Body]]) -> None:
    check(costs, graph)


@QUICK
@given(graph=GRAPHS)
def test_composite_queries_change_nothing(graph: list[tuple[int, Body]]) -> None:
    there = watch("free")
    subnet = runtime_of(there.sandbox).subnet
    before = [there.sandbox.raw_state(canister) for canister in there.canisters]
    states = dict(subnet.canisters)
    there.look_at_all()
    for index, body in graph:
        arg = code(program(body, there.canisters, "composite"))
        there.sandbox.query(there.canisters[index].id, "composite_query", arg)
        assert [there.sandbox.raw_state(canister) for canister in there.canisters] == before
        assert all(state is states[canister_id] for canister_id, state in subnet.canisters.items())
        assert {canister_id: there.look(canister_id) for canister_id in states} == there.seen


@pytest.mark.slow
@pytest.mark.parametrize("costs", ["free", "mainnet"])
@LARGE
@given(graph=GRAPHS)
def test_cycles_are_conserved_and_traps_change_nothing_in_many_graphs(
    costs: str, graph: list[tuple[int, Body]]
) -> None:
    check(costs, graph)

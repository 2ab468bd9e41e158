"""The state hash: the same for the same state however it came about, another for whatever canisters tell apart."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox
from sandbox.api import runtime_of
from sandbox.memory import Image, Pool, Run
from sandbox.record.state_hash import StateHash, hashing
from sandbox.state import (
    CallContext,
    CanisterState,
    Change,
    InstructionLimits,
    LogRecord,
    Policy,
    Settings,
    Status,
    Subnet,
    SystemOrigin,
    WasmModule,
)
from tests.api.life import MANAGEMENT, asked, fresh, live, recorded
from tests.conftest import STRATEGIES
from tests.spec.guest import Guest, call, guest, reply, set_slot, stable_grow, stable_write
from tests.spec.guest import evaluate as run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sandbox() -> Sandbox:
    return fresh()


@pytest.fixture
def canister(sandbox: Sandbox) -> Guest:
    canister = guest(sandbox)
    canister.do(run(stable_grow(3)), stable_write(5, "x"), reply())
    return canister


def test_it_is_the_same_for_the_same_inputs_with_every_strategy() -> None:
    hashes = []
    for strategy in STRATEGIES:
        with fresh(strategy=strategy) as sandbox:
            live(sandbox)
            hashes.append(sandbox.state_hash())
    assert len(set(hashes)) == 1


def test_everything_is_the_same_in_every_process(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from tests.api.life import fresh, live, recorded
print(live(fresh()), recorded(Path(sys.argv[1])))
"""
    seen = set()
    for seed in ("0", "1", "random"):
        path = tmp_path / seed
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script, str(path)]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
        seen.add((done.stdout, path.read_bytes()))
    here = tmp_path / "here"
    told = f"{live(fresh())} {recorded(here)}\n".encode()
    assert seen == {(told, here.read_bytes())}


def test_hashing_on_the_way_changes_nothing() -> None:
    often, once = fresh(), fresh()
    for sandbox in (often, once):
        canister = guest(sandbox)
        for k in range(5):
            canister.do(set_slot(6, str(k) * 100), run(stable_grow(1)), stable_write(k * 65_000, "x"), reply())
            if sandbox is often:
                often.state_hash()
                assert often.state_hash() == StateHash().whole(runtime_of(often).subnet).hex()
            if k == 2:
                canister.take_snapshot()
    assert often.state_hash() == once.state_hash()


def test_it_reads_what_was_written_since_the_last_time(
    sandbox: Sandbox, canister: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    canister.do(run(stable_grow(100)), *(stable_write(k * 65_536, "x" * 60_000) for k in range(20)), reply())
    canister.do(*(stable_write(k * 65_536, "x" * 60_000) for k in range(20, 40)), reply())
    canister.take_snapshot()
    sandbox.state_hash()
    sizes = list[int]()

    def counted(name: str, read: Callable[[Image, list[Run]], Any]) -> None:
        def counting(image: Image, runs: list[Run]) -> Any:
            sizes.extend(length for _, length in runs)
            return read(image, runs)

        monkeypatch.setattr(Image, name, counting)

    counted("pieces", Image.pieces)
    counted("together", Image.together)
    for k in range(3):
        with sandbox.anchor():
            canister.do(stable_write(k, "y"), reply())
            sandbox.state_hash()
        canister.do(stable_write(k, "z"), reply())
        sandbox.state_hash()
        assert 0 < sum(sizes) <= 20 * 4096
        sizes.clear()


def test_an_anchor_brings_it_back(sandbox: Sandbox, canister: Guest) -> None:
    before = sandbox.state_hash()
    with sandbox.anchor():
        canister.do(set_slot(6, "x"), run(stable_grow(7)), reply())
        guest(sandbox)
        sandbox.advance_time(seconds=1)
        assert sandbox.state_hash() != before
    assert sandbox.state_hash() == before


def test_a_sandbox_opened_again_has_the_same(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state") as kept:
        canister = guest(kept)
        canister.do(set_slot(6, "x"), reply())
        canister.take_snapshot()
        before = kept.state_hash()
        kept.save()
        assert kept.state_hash() == before
    with Sandbox.open(tmp_path / "state") as kept:
        assert kept.state_hash() == before


def test_queries_change_nothing(sandbox: Sandbox, canister: Guest) -> None:
    before = sandbox.state_hash()
    canister.ask(set_slot(6, "x"), reply())
    sandbox.canisters()
    sandbox.certificate([("time",)])
    canister.status()
    assert sandbox.state_hash() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda sandbox, c: c.do(set_slot(6, "x"), reply()),
        lambda sandbox, c: c.do(stable_write(6, "x"), reply()),
        lambda sandbox, c: c.do(run(stable_grow(1)), reply()),
        lambda sandbox, c: c.take_snapshot(),
        lambda sandbox, c: sandbox.create_canister(),
        lambda sandbox, c: sandbox.advance_time(nanoseconds=1),
        lambda sandbox, c: sandbox.submit(c, "update"),
        lambda sandbox, c: c.do(asked("raw_rand")),
        lambda sandbox, c: c.do(call(c, reply())),
        lambda sandbox, c: c.update_settings(freezing_threshold=1),
        lambda sandbox, c: c.stop(),
        lambda sandbox, c: c.uninstall(),
        lambda sandbox, c: sandbox.update(MANAGEMENT, "no_such_method", b"", None),
    ],
)
def test_every_change_changes_it(sandbox: Sandbox, canister: Guest, change: Callable[[Sandbox, Guest], Any]) -> None:
    before = sandbox.state_hash()
    change(sandbox, canister)
    assert sandbox.state_hash() != before


OTHER: dict[str, Any] = {
    "settings": Settings((), compute_allocation=1),
    "status": Status.STOPPED,
    "code": WasmModule(b"x", bytes(32)),
    "globals": b"x",
    "certified_data": b"x",
    "low_memory_hook": "executed",
    "history": (Change(0, 0, MANAGEMENT, "creation"),),
    "logs": (LogRecord(0, 0, b"x"),),
    "chunks": {bytes(32): b"x"},
    "id": MANAGEMENT,
}
"""Other values of fields that are no numbers."""


@pytest.mark.parametrize("name", [field.name for field in fields(CanisterState)])
def test_every_field_of_a_canister_counts(sandbox: Sandbox, canister: Guest, name: str) -> None:
    state, snapshot = runtime_of(sandbox).state_of(canister.id), canister.take_snapshot
    if name in ("heap", "stable"):
        other: Any = runtime_of(sandbox).subnet.pool.memory(65536)
    elif name == "snapshots":
        snapshot()
        other = runtime_of(sandbox).state_of(canister.id).snapshots
    else:
        other = OTHER[name] if name in OTHER else getattr(state, name) + 1
    hashes = []
    for value in (state, replace(state, **{name: other})):
        subnet = Subnet(pool=Pool(), time=0)
        subnet.canisters[canister.id] = value
        hashes.append(StateHash().whole(subnet))
    assert hashes[0] != hashes[1]


CONTEXT = CallContext(1, MANAGEMENT, SystemOrigin(), MANAGEMENT, "x")
SUBNET: dict[str, Any] = {
    "instruction_limits": InstructionLimits(update=1),
    "deleted": frozenset({MANAGEMENT}),
    "queue": [CONTEXT],
    "later": [CONTEXT],
    "contexts": {1: CONTEXT},
    "callbacks": {1: CONTEXT},
    "slots": {MANAGEMENT: {MANAGEMENT: 1}},
    "stops": {MANAGEMENT: (CONTEXT,)},
    "costs": "mainnet",
    "metering": "2026",
    "backtraces": False,
    "policies": {MANAGEMENT: Policy()},
}


@pytest.mark.parametrize("name", [field.name for field in fields(Subnet)])
def test_every_field_of_a_subnet_counts_or_is_left_out_by_name(name: str) -> None:
    one, two = Subnet(pool=Pool(), time=0), Subnet(pool=Pool(), time=0)
    if name in ("pool", "results", "submissions", "certified", "canisters", "savepoints"):
        return
    setattr(two, name, SUBNET[name] if name in SUBNET else getattr(one, name) + 1)
    assert StateHash().whole(one) != StateHash().whole(two)


def test_the_way_of_hashing_has_a_name_that_does_not_change_by_itself() -> None:
    assert hashing() == hashing()
    command = [sys.executable, "-c", "from sandbox.record.state_hash import hashing; print(hashing(), end='')"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "5"}
    assert subprocess.run(command, env=environment, check=True, capture_output=True).stdout.decode() == hashing()

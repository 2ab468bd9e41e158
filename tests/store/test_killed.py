"""A process that updates and saves is killed (SIGKILL) at random moments: what it had saved is there, exactly."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
LIFE = """
import os, random, sys
from sandbox import Sandbox

path, seed = sys.argv[1], int(sys.argv[2])
rng = random.Random(seed)
say = lambda *words: os.write(1, (" ".join(map(str, words)) + "\\n").encode())
sandbox = Sandbox.open(path, max_snapshots=4)
[counter, people] = sandbox.canisters()
say("done", sandbox.state_hash())
while True:
    counter.call("inc")
    counter.call("stable_put", rng.randrange(60_000), rng.randbytes(rng.randrange(1, 5_000)))
    if rng.random() < 0.5:
        people.call("fill", rng.randrange(1, 20))
    if rng.random() < 0.1:
        counter.install("fixtures/wasm/counter.classical.wasm", mode="reinstall")
        counter.call("grow", 20)
    for canister in (counter, people):
        taken = canister.list_snapshots()
        if rng.random() < 0.4:
            if len(taken) == 4:
                canister.delete_snapshot(rng.choice(taken).id)
            canister.take_snapshot(f"number {rng.random()}")
        elif taken and rng.random() < 0.2:
            canister.load_snapshot(rng.choice(taken).id)
    say("begin", sandbox.state_hash())
    sandbox.save()
    say("done", sandbox.state_hash())
    if rng.random() < 0.1:
        sandbox.snapshots.prune()
"""


class Killed(NamedTuple):
    """State hashes: saved and acknowledged last, and being saved when the process died."""

    saved: str
    saving: str | None


def killed(path: Path, rng: random.Random, longest: float) -> Killed:
    """Let a process live for a random time, then kill it; every other time once it says that it saves."""
    command = [sys.executable, "-c", LIFE, str(path), str(rng.random())[2:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(rng.randrange(1, 13))]
        while rng.random() < 0.8 and not lines[-1].startswith("begin"):
            lines.append(process.stdout.readline())
        time.sleep(rng.random() * longest)
        process.kill()
        lines += process.stdout.readlines()
    words = [line.split() for line in lines if line.endswith("\n")]
    assert all(len(found) == 2 for found in words), lines
    saved = [state for word, state in words if word == "done"][-1]
    return Killed(saved, words[-1][1] if words[-1][0] == "begin" else None)


def begun(path: Path) -> None:
    with Sandbox.open(path, max_snapshots=4) as sandbox:
        for name in ("counter.classical", "people_v1.enhanced"):
            sandbox.create_canister().install(f"{ROOT}/fixtures/wasm/{name}.wasm")
        sandbox.canisters()[0].call("grow", 20)


def found(path: Path, read_only: bool) -> str:
    """The hash of the state, in which every snapshot is intact and can be loaded."""
    with closing(Sandbox.open(path, read_only=read_only)) as sandbox:
        state = sandbox.state_hash()
        assert all(verified.intact and verified.on_disk for verified in sandbox.snapshots.verify_all())
        if not read_only:
            with sandbox.anchor():
                for canister in sandbox.canisters():
                    for snapshot in canister.list_snapshots():
                        canister.load_snapshot(snapshot.id)
            assert sandbox.state_hash() == state
        return state


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments_it_is_a_state_that_was_saved(tmp_path: Path, seed: int) -> None:
    """One directory for all of them: what one kill leaves, the next process goes on with."""
    rng, path = random.Random(seed), tmp_path / "state"
    begun(path)
    kills = inside = before = after = 0
    while (kills < 40 or inside < 15) and kills < 200:
        died = killed(path, rng, longest=rng.choice([0.002, 0.02, 0.1]))
        left = found(path, read_only=True)
        assert left in died, f"kill {kills}"
        assert found(path, read_only=False) == left, "opening it to write brings back the same"
        kills += 1
        if died.saving is not None:
            inside += 1
            before, after = before + (left == died.saved), after + (left == died.saving)
    print(f"{kills} kills, {inside} inside a save: {before} found the state before it, {after} the one after")
    assert inside >= 15
    assert after, "some fell after the rename of the manifest, before the save had ended"

"""However a save ends, the checks of live memories are those of the bytes on the disk."""

from __future__ import annotations

import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.errors import SandboxError
from tests.snapshots.writer import WASM, tell, writer
from tests.store.live import (
    PAGE,
    canister,
    live_state,
    opened,
    raw,
    whole,
)
from tests.store.test_directory import killed_at
from tests.store.test_power import full_after


def large_change(path: Path) -> None:
    """More pages than a manifest holds checks for, growth, a smaller memory than before, and a new one."""
    with Sandbox.open(path, max_snapshots=4) as sandbox:
        victim = sandbox.canisters()[-1]
        for page in range(10):
            tell(victim, "poke", page * WASM + 7, WASM, 0x70 + page)
        tell(victim, "grow", 3)
        sandbox.save()
        victim.load_snapshot(victim.list_snapshots()[0].id)
        sandbox.create_canister().install(writer(2))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.slow
def test_killed_at_any_file_operation_the_checks_are_those_of_the_bytes(tmp_path: Path) -> None:
    live = live_state(tmp_path / "first")
    reference = tmp_path / "reference"
    shutil.copytree(live.path, reference)
    large_change(reference)
    whole(reference)
    with opened(reference) as sandbox:
        after = raw(sandbox, live.victim)
    seen, number, killed = [], 0, True
    while killed:
        path = tmp_path / "state"
        shutil.copytree(live.path, path)
        killed = killed_at(number, partial(large_change, path))
        whole(path)
        with opened(path) as sandbox:
            seen.append(raw(sandbox, live.victim))
        shutil.rmtree(path)
        number += 3
    assert seen[0] == live.saved
    assert seen[-1] == after
    assert number > 60


def test_on_a_full_disk_the_checks_stay_those_of_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = live_state(tmp_path / "first")
    failures = 0
    for number in range(0, 10_000, 7):
        path = tmp_path / "state"
        shutil.copytree(live.path, path)
        with full_after(number, path, monkeypatch) as refused, suppress(SandboxError):
            large_change(path)
        whole(path)
        with Sandbox.open(path, max_snapshots=9) as sandbox:
            tell(canister(sandbox, live.victim), "poke", 5, 20 * PAGE, 3)
        whole(path)
        shutil.rmtree(path)
        failures += bool(refused[0])
        if not refused[0]:
            break
    assert failures > 3

"""A snapshot from a file runs at its own time, not years earlier: the sandbox's time moves forward to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import CallRejected, Sandbox
from tests.conftest import fixture

THEN = 1_780_000_000_000_000_000
HOUR = 3_600_000_000_000


@pytest.fixture(params=["timers.icsnap", "timers"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A snapshot of 2026 whose timer is due every hour."""
    with Sandbox() as sandbox:
        sandbox.set_time(THEN)
        canister = sandbox.create_canister()
        canister.install(fixture("timers.enhanced"))
        canister.call("recurring", "hourly", HOUR)
        return sandbox.snapshots.download(canister.take_snapshot(), tmp_path / str(request.param))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def test_a_new_canister_runs_at_the_time_of_its_snapshot(sandbox: Sandbox, file: Path) -> None:
    home = sandbox.snapshots.create_canister(file)
    assert sandbox.time == THEN
    sandbox.advance_time(2 * 3600)
    sandbox.run_until_idle()
    assert [firing["at"] for firing in home.call("list")] == [THEN + 2 * HOUR]


def test_an_uploaded_snapshot_is_not_loaded_in_the_past(sandbox: Sandbox, file: Path) -> None:
    target = sandbox.create_canister()
    uploaded = sandbox.snapshots.upload(target, file)
    assert sandbox.time == uploaded.taken_on == THEN
    target.load_snapshot(uploaded)
    sandbox.advance_time(3600)
    sandbox.run_until_idle()
    assert [firing["name"] for firing in target.call("list")] == ["hourly"]


def test_time_stays_on_request_and_never_goes_back(sandbox: Sandbox, file: Path) -> None:
    began = sandbox.time
    target = sandbox.snapshots.create_canister(file, keep_time=True)
    sandbox.snapshots.upload(target, file, keep_time=True)
    assert sandbox.time == began
    sandbox.set_time(THEN + 1)
    sandbox.snapshots.create_canister(file)
    sandbox.snapshots.upload(target, file)
    assert sandbox.time == THEN + 1


def test_a_refused_upload_leaves_the_time(sandbox: Sandbox, file: Path) -> None:
    began, target = sandbox.time, sandbox.create_canister()
    with pytest.raises(CallRejected, match="Only the controllers"):
        sandbox.snapshots.upload(target, file, sender="eve")
    assert sandbox.time == began

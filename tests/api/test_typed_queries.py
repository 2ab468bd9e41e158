"""Queries with Python values: of a canister, of the management canister, and of a snapshot, wherever it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import CallRejected, CandidTypeError, ErrorCode, Sandbox, SandboxError
from tests.conftest import fixture, guest, rejected


def test_a_query_is_typed_as_a_call_is(sandbox: Sandbox) -> None:
    people = sandbox.create_canister()
    people.install(fixture("people_v1.enhanced"))
    people.call("fill", 3)
    for method, values in (("size", ()), ("get", (1,)), ("list", (0, 5))):
        assert people.query(method, *values) == people.call(method, *values)
    with pytest.raises(CandidTypeError):
        people.query("get", "one")


def test_an_update_method_cannot_be_queried(sandbox: Sandbox) -> None:
    people = sandbox.create_canister()
    people.install(fixture("people_v1.enhanced"))
    rejected(ErrorCode.CANISTER_METHOD_NOT_FOUND, "fill", people.query, "fill", 3)
    assert people.query("size") == 0


def test_the_management_canister_is_queried_with_values(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    controller = sandbox.identity("default")
    canister.update_settings(controllers=[controller])
    asked = sandbox.management.query("canister_status", {"canister_id": canister.id}, sender=controller)
    assert asked == sandbox.management.call("canister_status", {"canister_id": canister.id}, sender=controller)
    with pytest.raises(CallRejected):
        sandbox.management.query("start_canister", {"canister_id": canister.id}, sender=controller)


@pytest.mark.parametrize("place", ["kept", "file", "directory"])
def test_a_snapshot_is_queried_with_values(sandbox: Sandbox, tmp_path: Path, place: str) -> None:
    people = sandbox.create_canister()
    people.install(fixture("people_v1.enhanced"))
    people.call("fill", 3)
    snapshot = people.take_snapshot(label="three")
    places: dict[str, bytes | Path] = {
        "kept": snapshot.id,
        "file": tmp_path / "three.icsnap",
        "directory": tmp_path / "three",
    }
    source = places[place]
    if isinstance(source, Path):
        sandbox.snapshots.download(snapshot.id, source)
    people.call("fill", 10)
    assert sandbox.snapshots.query(source, "size") == 3
    assert sandbox.snapshots.query(source, "get", 1) == people.query("get", 1)
    assert people.query("size") == 13


def test_a_snapshot_without_an_interface_is_queried_with_a_given_one(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    reply = '(data (i32.const 8) "DIDL\\00\\01\\71\\02ok")'
    canister.install(guest(f'{reply} (func (export "canister_query q") (call $reply (i32.const 8) (i32.const 10)))'))
    snapshot = canister.take_snapshot()
    with pytest.raises(SandboxError, match="give its interface with did="):
        sandbox.snapshots.query(snapshot, "q")
    assert sandbox.snapshots.query(snapshot, "q", did="service : { q : () -> (text) query }") == "ok"

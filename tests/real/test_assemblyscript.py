"""A canister of AssemblyScript: its garbage-collected heap rolls back, and upgrades carry over what its hooks save."""

from __future__ import annotations

import pytest

from sandbox import Canister, ErrorCode, Sandbox
from tests.conftest import everything, fixture, rejected

NOTES = [b"", b"first", bytes(range(256)) * 300]


@pytest.fixture
def notes(sandbox: Sandbox) -> Canister:
    canister = sandbox.create_canister()
    canister.install(fixture("notes_as"))
    for note in NOTES:
        canister.update("add", note)
    return canister


def kept(canister: Canister) -> list[bytes | None]:
    count = int.from_bytes(canister.query_raw("count").reply or b"", "little")
    return [canister.query_raw("get", index.to_bytes(4, "little")).reply for index in range(count)]


def test_notes_outlive_an_upgrade_through_stable_memory(notes: Canister) -> None:
    assert kept(notes) == NOTES
    notes.upgrade(fixture("notes_as"))
    assert kept(notes) == NOTES
    notes.install(fixture("notes_as"), mode="reinstall")
    assert kept(notes) == []


def test_a_trap_undoes_what_the_collected_heap_did(notes: Canister, sandbox: Sandbox) -> None:
    before = everything(sandbox, notes)
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "notes_as: on purpose", notes.update, "trap")
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "Index out of range", notes.query_raw, "get", b"\xff\0\0\0")
    assert kept(notes) == NOTES
    assert everything(sandbox, notes) == before


def test_a_snapshot_brings_back_the_notes(notes: Canister) -> None:
    snapshot = notes.take_snapshot()
    for index in range(1000):
        notes.update("add", bytes(index))
    notes.load_snapshot(snapshot.id)
    assert kept(notes) == NOTES
    notes.update("add", b"after")
    assert kept(notes) == [*NOTES, b"after"]

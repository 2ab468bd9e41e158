"""What opening and saving a state directory costs when it has more canisters."""

from __future__ import annotations

from pathlib import Path

import cbor2
import pytest

from sandbox import Sandbox
from sandbox.state import CanisterState
from sandbox.store import encodings, records
from sandbox.store.records import Name
from tests.conftest import guest, operations

FEW, MANY = 10, 40
MODULE = guest('(func (export "canister_update put") (i32.store (i32.const 0) (i32.const 7)) (call $msg_reply))')


def made(path: Path, canisters: int) -> Path:
    """A saved state with so many canisters."""
    with Sandbox.open(path) as sandbox:
        for _ in range(canisters):
            sandbox.create_canister().install(MODULE)
    return path


def test_opening_a_state_costs_the_same_for_every_canister(tmp_path: Path) -> None:
    def opening(canisters: int) -> int:
        path = made(tmp_path / str(canisters), canisters)
        return operations(lambda: Sandbox.open(path).close())

    opening(1)  # whatever is done once in a process
    one, few, many = opening(1), opening(FEW), opening(MANY)
    assert (many - few) / (MANY - FEW) <= 1.25 * (few - one) / (FEW - 1)


def test_a_save_costs_what_has_changed(tmp_path: Path) -> None:
    def saving(canisters: int) -> int:
        with Sandbox.open(made(tmp_path / str(canisters), canisters)) as sandbox:
            sandbox.save()
            sandbox.canisters()[0].update("put")
            return operations(sandbox.save)

    saving(1)
    each = (saving(MANY) - saving(FEW)) / (MANY - FEW)
    assert each < 40, "calls for a canister that has not changed; encoding it takes 150"


def test_a_save_asks_for_no_file_that_an_earlier_one_has_deleted(tmp_path: Path) -> None:
    def saving(reinstalls: int) -> int:
        with Sandbox.open(tmp_path / str(reinstalls)) as sandbox:
            canister = sandbox.create_canister()
            for _ in range(reinstalls):
                canister.install(MODULE, mode="reinstall")
            sandbox.save()
            canister.update("put")
            sandbox.save()
            canister.update("put")
            return operations(sandbox.save)

    saving(1)
    assert saving(60) <= saving(30) + 10, "both have the longest history that a canister keeps"


def test_a_save_encodes_the_canisters_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[CanisterState] = []
    original = records.encode_canister

    def noted(state: CanisterState, name: Name) -> dict[str, object]:
        encoded.append(state)
        return original(state, name)

    monkeypatch.setattr("sandbox.store.directory.encode_canister", noted)
    with Sandbox.open(made(tmp_path, FEW)) as sandbox:
        sandbox.save()
        second, fifth = (sandbox.canisters()[at] for at in (1, 4))
        encoded.clear()
        second.update("put")
        fifth.update_settings(freezing_threshold=1)
        sandbox.save()
        assert [state.id for state in encoded] == sorted([second.id, fifth.id])
        second.delete_snapshot(second.take_snapshot().id)
        sandbox.save()
        expected = [sandbox.raw_state(canister) for canister in sandbox.canisters()]
    with Sandbox.open(tmp_path) as sandbox:
        assert [sandbox.raw_state(canister) for canister in sandbox.canisters()] == expected
        assert sandbox.canister(fifth.id).status().settings.freezing_threshold == 1


def test_an_encoding_lasts_as_long_as_the_manifests_that_have_it() -> None:
    known, parts, asked = encodings.Encodings(), [Part({"a": 1}), Part({"b": 2})], []

    def content(key: str, part: Part) -> dict[str, int]:
        asked.append(key)
        return part

    for names in ("ab", "ab", "a", "ab"):
        found = known.of(zip(names, parts, strict=False), content)
        assert found == [cbor2.dumps(dict(part)) for part in parts[: len(names)]]
        known.end()
    assert asked == ["a", "b", "b"]


class Part(dict[str, int]):
    """A part that can be referred to weakly."""


@pytest.mark.parametrize("count", [0, 1, 23, 24, 255, 256, 65_535, 65_536])
def test_joined_parts_are_the_encoding_of_the_whole(count: int) -> None:
    numbers = list(range(count))
    assert encodings.array([cbor2.dumps(number) for number in numbers]).data == cbor2.dumps(numbers)
    entries = {str(number): number for number in numbers}
    joined = encodings.joined([cbor2.dumps({key: value}) for key, value in entries.items()])
    assert encodings.dumps({"all": joined}) == cbor2.dumps({"all": entries})

"""State directories of every format that was ever written are read for ever."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from sandbox import Sandbox

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
VALUES = {"one": b"first value 0123", "two": b"second value 456"}


@pytest.mark.parametrize("version", [1, 2])
def test_a_state_directory_of_this_format_loads_and_is_whole(tmp_path: Path, version: int) -> None:
    with tarfile.open(GOLDEN / f"state-{version}.tar.gz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 and later
        archive.extractall(tmp_path)
    with Sandbox.open(tmp_path / f"state-{version}") as sandbox:
        [canister] = sandbox.canisters()
        assert canister.query_raw("get").reply == b"third value 7890"
        assert [snapshot.label for snapshot in canister.list_snapshots()] == ["one", "two"]
        assert [found.differs for found in sandbox.snapshots.verify_all()] == [None, None]
        assert canister.status().settings.wasm_memory_limit == 0  # made before there was a limit; new ones have it
        assert sandbox.create_canister().status().settings.wasm_memory_limit == 3 << 30
    with Sandbox.open(tmp_path / f"state-{version}") as sandbox:
        canister, new = sandbox.canisters()
        assert (canister.status().settings.wasm_memory_limit, new.raw_state().module) == (0, None)
        for snapshot in canister.list_snapshots():
            value = VALUES[str(snapshot.label)]
            canister.load_snapshot(snapshot.id)
            assert canister.query_raw("get").reply == value
            assert not snapshot.via_hooks
            state = canister.raw_state()
            assert state.stable[5:21] == value
            assert state.globals[:4] == (8 if snapshot.label == "one" else 9).to_bytes(4, "little")

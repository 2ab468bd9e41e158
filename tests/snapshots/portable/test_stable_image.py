"""Bare stable memories from files, put under a fresh instance."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from sandbox import ErrorCode, Sandbox
from sandbox.api import runtime_of
from sandbox.errors import SnapshotFileCorrupt, SnapshotFileError
from sandbox.limits import WASM_PAGE
from tests.conftest import fixture, rejected, wat
from tests.snapshots.hook_guests import PLAIN, Install, untouched


class TestStableImage:
    """A bare stable memory from a file."""

    @pytest.fixture
    def kept(self, install: Install, tmp_path: Path) -> Path:
        canister = install(fixture("people_stable_rs_v1"))
        canister.call("fill", 25)
        file = tmp_path / "people.bin"
        file.write_bytes(canister.raw_state().stable)
        return file

    @pytest.mark.parametrize("packed", [False, True])
    def test_it_is_an_upgrade_from_the_file(self, sandbox: Sandbox, kept: Path, packed: bool) -> None:
        raw = kept.read_bytes()
        if packed:
            kept = kept.with_suffix(".gz")
            kept.write_bytes(gzip.compress(raw))
        canister = sandbox.create_canister()
        arg = {"title": "t", "max_people": None}
        sandbox.snapshots.load_stable_image(canister.id, kept, fixture("people_stable_rs_v2_good"), arg)
        assert canister.call("active_count") == 25
        assert canister.call("config")["title"] == "t"
        sandbox.snapshots.load_stable_image(canister.id, kept)
        assert canister.call("size") == 25
        assert canister.status().version == 2

    def test_the_bytes_are_filled_up_to_pages_and_zeros_are_left_out(
        self, install: Install, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        content = bytes(3 * WASM_PAGE) + b"x" * (WASM_PAGE + 5) + bytes(200 * WASM_PAGE) + b"end"
        for name, data in (("raw", content), ("packed", gzip.compress(content))):
            (tmp_path / name).write_bytes(data)
            canister = install(wat("(module (memory 1))"))
            sandbox.snapshots.load_stable_image(canister.id, tmp_path / name)
            stable = runtime_of(sandbox).state_of(canister.id).stable
            assert stable.read(0, stable.size) == content.ljust(-(-len(content) // WASM_PAGE) * WASM_PAGE, b"\0")
            assert sum(length for _, length in stable.extents()) <= 4 * WASM_PAGE

    def test_a_sparse_file_of_a_terabyte_of_holes_is_refused_and_a_large_one_is_quick(
        self, install: Install, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        canister, file = install(wat("(module (memory 1))")), tmp_path / "sparse"
        with open(file, "wb") as out:
            out.truncate(100 << 30)
            out.seek(77 << 30)
            out.write(b"here")
        sandbox.snapshots.load_stable_image(canister.id, file)
        stable = runtime_of(sandbox).state_of(canister.id).stable
        assert (stable.size, stable.read(77 << 30, 4)) == (100 << 30, b"here")
        with open(file, "r+b") as out:
            out.truncate(1 << 40)
        with pytest.raises(SnapshotFileError, match="more than"):
            sandbox.snapshots.load_stable_image(canister.id, file)

    def test_a_torn_file_is_refused_and_nothing_changes(self, sandbox: Sandbox, kept: Path, install: Install) -> None:
        canister = install(PLAIN)
        torn = kept.with_suffix(".gz")
        packed = gzip.compress(kept.read_bytes())
        for bad in (packed[:-9], packed[:40], packed[:60] + b"\xff" * 9 + packed[69:]):
            torn.write_bytes(bad)

            def load() -> None:
                with pytest.raises(SnapshotFileCorrupt, match="not a whole gzip file"):
                    sandbox.snapshots.load_stable_image(canister.id, torn)

            untouched(sandbox, canister, load)
        with pytest.raises(OSError, match="absent"):
            sandbox.snapshots.load_stable_image(canister.id, kept.with_name("absent"))

    def test_an_empty_canister_needs_a_module(self, sandbox: Sandbox, kept: Path) -> None:
        canister = sandbox.create_canister()
        code = ErrorCode.CANISTER_WASM_MODULE_NOT_FOUND
        rejected(code, "no Wasm module", sandbox.snapshots.load_stable_image, canister.id, kept)

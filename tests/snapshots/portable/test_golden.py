"""Files that version 1 wrote, kept in `tests/golden/` and never made anew, load for ever."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import zstandard

from sandbox import Principal, Sandbox
from sandbox.snapshots import portable
from sandbox.snapshots.portable import Fields
from sandbox.snapshots.portable.archive import open_archive
from tests.conftest import number

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
NAMES = ("snapshot-1.icsnap", "snapshot-1")
CHUNK = "4b37c17272b33d925681d29c7b4ca7f9c8023072db89e8a6e1433eacfd1e2de3"
FIELDS = Fields(
    id=bytes(16) + b"\1\1",
    canister_id=Principal.from_text("rwlgt-iiaaa-aaaaa-aaaaa-cai"),
    label="golden: é",
    taken_at=1_620_328_633_000_000_000,
    canister_version=2,
    globals=(
        ("l", 4),
        ("i", (1 << 32) - 7),
        ("l", 99),
        ("f", 0x7FC0_1234),
        ("d", 0x3E7A_D7F2_9ABC_AF48),
        ("v", (2 << 64) + (1 << 64) - 1),
    ),
    certified_data=bytes.fromhex("8877665544332211"),
    global_timer=2 * 10**18,
    low_memory_hook="condition_not_satisfied",
    checksum=bytes.fromhex("cb000b09df3c883f7d2db45957a0eed583905755bb9bedf1571f3ad967e594ab"),
    history=({"derived": "by hand"},),
)
PARTS = {
    "module": "a66e9a586454d190bfc1b7c8975b537e29b40dce1ca41c500e6e6995b206ff7a",
    f"chunk:{CHUNK}": CHUNK,
    "heap": "1402113a18c7024b0ef13ba67c25bdbdd4e5925a6d875e922d41f08683cebad6",
    "stable": "13bedc22578a4bfdf94764bfb90d2434390417efddbc96b0e88790d0f87b5ccf",
}


@pytest.mark.parametrize("name", NAMES)
def test_it_reads_as_it_was_written(name: str) -> None:
    with portable.opened(GOLDEN / name) as content:
        portable.verify(content)
        assert content.fields == FIELDS
        found = {part: hashlib.sha256(data.read(0, data.size)).hexdigest() for part, data in content.parts().items()}
    assert found == PARTS


@pytest.mark.parametrize("name", NAMES)
def test_it_runs(sandbox: Sandbox, name: str) -> None:
    canister = sandbox.snapshots.create_canister(GOLDEN / name)
    raw = canister.raw_state()
    assert raw.heap[70_000] == 5
    assert raw.stable[66_000:66_008] == FIELDS.certified_data
    assert number(canister.update("inc").reply) == 100


def test_as_the_other_tools_leave_a_directory(sandbox: Sandbox, tmp_path: Path) -> None:
    """Their files alone, with icp-cli's lock."""
    shutil.copytree(GOLDEN / "snapshot-1", tmp_path / "s", ignore=shutil.ignore_patterns("sandbox.json"))
    metadata = tmp_path / "s" / "metadata.json"
    metadata.write_text(metadata.read_text().replace('"f32": null', '"f32": 1.5'))
    (tmp_path / "s" / ".lock").touch()
    with portable.opened(tmp_path / "s") as content:
        assert (content.fields.id, content.fields.label, content.fields.checksum) == (None, None, None)
        assert content.fields.globals[3] == ("f", 0x3FC0_0000)
    target = sandbox.create_canister()
    made = sandbox.snapshots.upload(target.id, tmp_path / "s")
    target.load_snapshot(made.id)
    assert number(target.update("inc").reply) == 100


@pytest.mark.parametrize("name", NAMES)
def test_the_format_is_still_written_that_way(tmp_path: Path, name: str) -> None:
    """What is written today is what the version that wrote the golden one reads; only zstd may compress differently."""
    with portable.opened(GOLDEN / name) as content:
        portable.write(content, tmp_path / name)
    if name.endswith(".icsnap"):
        assert blocks(tmp_path / name) == blocks(GOLDEN / name)
        return
    for file in (GOLDEN / name).rglob("*"):
        if file.is_file():
            assert (tmp_path / file.relative_to(GOLDEN)).read_bytes() == file.read_bytes(), file


def blocks(path: Path) -> list[tuple[int, int, int, bytes]]:
    with open_archive(path) as archive:
        return [
            (place.head.part, place.head.window, place.head.pages, zstandard.decompress(archive.reader.body(place, "")))
            for place in archive.reader.places()
        ]

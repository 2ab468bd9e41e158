"""Files are read where they lie: a page costs the window around it, zeros cost nothing, memory stays small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Canister, Sandbox
from sandbox.api import runtime_of
from sandbox.errors import SnapshotFileError
from sandbox.limits import GIB, MIB
from sandbox.snapshots import portable
from sandbox.snapshots.portable.archive import Archive, BlockReader, Place
from sandbox.snapshots.portable.content import Blob
from sandbox.snapshots.portable.windows import WINDOW, expanded, packed, page_runs, pieces, spans
from tests.snapshots.portable.samples import FORMATS, canister_with_everything

each_format = pytest.mark.parametrize("form", FORMATS)


@pytest.fixture
def canister(sandbox: Sandbox) -> Canister:
    return canister_with_everything(sandbox)


@each_format
def test_reading_a_page_reads_one_block_only(
    sandbox: Sandbox, canister: Canister, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = canister.raw_state()
    path = sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / FORMATS[form])
    bodies: list[str] = []
    real = BlockReader.body

    def noted(self: BlockReader, place: Place, name: str) -> bytes:
        bodies.append(name)
        return real(self, place, name)

    monkeypatch.setattr(BlockReader, "body", noted)
    with portable.opened(path) as content:
        opened = len(bodies)
        assert content.heap.read(2 * MIB, 8) == raw.heap[2 * MIB : 2 * MIB + 8] == b"\5" + bytes(7)
        assert content.heap.read(2 * MIB + 4096, 4096) == bytes(4096)
        assert content.heap.read(MIB, 65536) == bytes(65536)
        assert bodies[opened:] == (["the heap from 0x200000 on"] if form == "icsnap" else [])
        assert content.heap.read(0, len(raw.heap)) == raw.heap
        assert content.stable.read(2_499_000, 3000) == raw.stable[2_499_000:2_502_000]
        assert content.heap.extents() == [(0, 4096), (15 * 4096, 4096), (2 * MIB, 4096)]
        for offset, length in ((-1, 1), (0, len(raw.heap) + 1), (len(raw.heap), 1), (0, -1)):
            with pytest.raises(ValueError, match="are not inside"):
                content.heap.read(offset, length)
        assert content.heap.read(len(raw.heap), 0) == b""
    with pytest.raises(SnapshotFileError, match="was closed"):
        content.stable.read(0, 4096)


def test_only_pages_with_something_in_them_are_stored(sandbox: Sandbox, canister: Canister, tmp_path: Path) -> None:
    state = runtime_of(sandbox).state_of(canister.id)
    state.stable.resize(300 * GIB)
    state.stable.write(299 * GIB + 123, b"far away")
    state.stable.write(64 * MIB, bytes(5 * MIB))
    snapshot = canister.take_snapshot()
    for name in FORMATS.values():
        path = sandbox.snapshots.download(snapshot.id, tmp_path / name)
        every = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        assert sum(file.stat().st_blocks * 512 for file in every) < 100_000
        with portable.opened(path) as content:
            assert content.stable.read(299 * GIB + 123, 8) == b"far away"
        made = sandbox.snapshots.create_canister(path)
        assert runtime_of(sandbox).state_of(made.id).stable.read(299 * GIB + 123, 8) == b"far away"
        assert sum(length for _, length in runtime_of(sandbox).state_of(made.id).stable.extents()) < 100_000


def test_a_file_is_named_by_its_content_not_by_its_name(sandbox: Sandbox, canister: Canister, tmp_path: Path) -> None:
    path = sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "s.icsnap")
    path.rename(tmp_path / "backup.bin")
    with portable.opened(tmp_path / "backup.bin") as content:
        assert isinstance(content, Archive)


@given(
    st.integers(1, 2 * WINDOW + 5000),
    st.lists(st.tuples(st.integers(0, 2 * WINDOW + 5000), st.binary(min_size=1, max_size=9000)), max_size=6),
)
def test_windows_hold_exactly_the_bytes(size: int, writes: list[tuple[int, bytes]]) -> None:
    data = bytearray(size)
    for offset, piece in writes:
        data[offset : offset + len(piece)] = piece
    source = Blob(bytes(data[:size]))
    seen = bytearray(source.size)
    for span in spans(source):
        window = packed(source, span)
        assert expanded(window, source.size) == source.data[span.number * WINDOW : (span.number + 1) * WINDOW]
        for offset, piece in pieces(window, source.size):
            assert piece.strip(b"\0")
            seen[offset : offset + len(piece)] = piece
        runs = page_runs(window.number, window.pages, source.size)
        assert sum(length for _, length in runs) == len(window.data)
    assert seen == source.data


MEASURE = """
import json, sys
from pathlib import Path
from sandbox import Sandbox
from sandbox.api import runtime_of
from sandbox.limits import GIB, MIB

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024

def tell(done, total):
    global peak
    peak = max(peak, anonymous())

place = Path(sys.argv[1])
sandbox = Sandbox(max_snapshots=10)
canister = sandbox.create_canister()
canister.install("fixtures/wasm/people_stable_rs_v1.wasm")
heap = runtime_of(sandbox).state_of(canister.id).heap
heap.resize(3 * GIB)
for window in range(256):
    heap.write(window * 4 * MIB + 5000, bytes(range(256)) * 4090)
for page in range(2000):
    heap.write(2 * GIB + page * 3 * 4096, b"x")
snapshot = canister.take_snapshot("big")
snapshot.checksum
before = peak = anonymous()
for name in ("s.icsnap", "s"):
    sandbox.snapshots.download(snapshot.id, place / name, progress=tell)
    made = sandbox.snapshots.upload(canister.id, place / name, progress=tell)
    sandbox.snapshots.create_canister(place / name, progress=tell).delete
print(json.dumps(peak - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_memory_does_not_grow_with_the_heap(tmp_path: Path) -> None:
    """3 GiB of heap, 256 MiB of them in use, in and out of both formats."""
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) < 48 * MIB

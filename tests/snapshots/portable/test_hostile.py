"""Files that somebody made up, with all checksums right: read as they say, or refused; never anything else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import Sandbox, SandboxError
from sandbox.errors import SnapshotFileCorrupt, SnapshotFileError
from sandbox.snapshots import portable
from sandbox.snapshots.portable import extras, layout, metadata
from sandbox.snapshots.portable.archive import open_archive
from sandbox.snapshots.portable.content import Blob
from sandbox.snapshots.portable.layout import Head
from tests.snapshots.portable.samples import canister_with_everything

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
made_up = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CBOR = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def blocks() -> tuple[list[Head], list[bytes]]:
    with open_archive(GOLDEN / "snapshot-1.icsnap") as archive:
        places = archive.reader.places()
        return [place.head for place in places], [archive.reader.body(place, "") for place in places]


HEADS, BODIES = blocks()
RECORD = cbor2.loads(zstandard.decompress(BODIES[0]))


def assembled(heads: list[Head], bodies: list[bytes]) -> bytes:
    out, index = bytearray(layout.HEADER), b""
    for head, body in zip(heads, bodies, strict=True):
        packed = Head.over(head.part, head.window, head.pages, body).packed()
        out += packed + body
        index += packed
    return bytes(out) + index + layout.end(len(out), index)


def read_or_refused(path: Path) -> bool:
    """Whether everything in it can be read."""
    try:
        with portable.opened(path) as content:
            portable.verify(content)
            for part in content.parts().values():
                part.read(0, min(part.size, 1 << 20))
    except SnapshotFileError:
        return False
    return True


@made_up
@given(
    st.integers(0, len(HEADS) - 1),
    st.sampled_from(("part", "window", "pages")),
    st.integers(0, 8) | st.integers(0, (1 << 32) - 1) | st.integers(0, (1 << 256) - 1),
)
def test_heads(tmp_path: Path, which: int, field: str, value: int) -> None:
    heads = list(HEADS)
    change: dict[str, Any] = {field: value if field == "pages" else value & 0xFFFFFFFF}
    heads[which] = heads[which]._replace(**change)
    (tmp_path / "x").write_bytes(assembled(heads, BODIES))
    if read_or_refused(tmp_path / "x"):  # other pages, but as many, and inside: another snapshot
        assert field == "pages" or heads == HEADS
        assert heads[which].pages.bit_count() == HEADS[which].pages.bit_count()
    else:
        assert heads != HEADS


@made_up
@given(st.permutations(range(len(HEADS))), st.integers(0, len(HEADS)))
def test_order_and_number_of_blocks(tmp_path: Path, order: list[int], count: int) -> None:
    chosen = order[:count]
    (tmp_path / "x").write_bytes(assembled([HEADS[i] for i in chosen], [BODIES[i] for i in chosen]))
    if read_or_refused(tmp_path / "x"):
        assert chosen == sorted(chosen)
        assert chosen[0] == 0


@made_up
@given(st.sampled_from(sorted(RECORD["fields"])), CBOR)
def test_fields(tmp_path: Path, name: str, value: Any) -> None:
    body = zstandard.compress(cbor2.dumps(RECORD | {"fields": RECORD["fields"] | {name: value}}))
    (tmp_path / "x").write_bytes(assembled(HEADS, [body, *BODIES[1:]]))
    used_or_refused(tmp_path / "x")


@made_up
@given(st.sampled_from(("parts", "history")), CBOR)
def test_the_first_block(tmp_path: Path, name: str, value: Any) -> None:
    body = zstandard.compress(cbor2.dumps(RECORD | {name: value}))
    (tmp_path / "x").write_bytes(assembled(HEADS, [body, *BODIES[1:]]))
    used_or_refused(tmp_path / "x")


@made_up
@given(st.binary(max_size=60))
def test_bytes_that_are_no_fields(tmp_path: Path, junk: bytes) -> None:
    for body in (junk, zstandard.compress(junk)):
        (tmp_path / "x").write_bytes(assembled(HEADS, [body, *BODIES[1:]]))
        assert not read_or_refused(tmp_path / "x")


METADATA = json.loads((GOLDEN / "snapshot-1" / "metadata.json").read_text())
EXTRAS = json.loads((GOLDEN / "snapshot-1" / "sandbox.json").read_text())


@made_up
@given(st.sampled_from(sorted(METADATA)), JSON)
def test_metadata(name: str, value: Any) -> None:
    try:
        found = metadata.decode(json.dumps(METADATA | {name: value}).encode(), "test")
    except SnapshotFileCorrupt:
        return
    empty, chunks = Blob(b""), {digest: Blob(b"") for digest in found.chunks}
    again = portable.Content("test", found.fields, empty, empty, empty, chunks)
    assert metadata.decode(metadata.encode(again), "test").fields == found.fields or found.unknown


@made_up
@given(st.sampled_from(sorted(EXTRAS)), JSON)
def test_extras(name: str, value: Any) -> None:
    """The fields of `sandbox.json`, each made up, under a checksum that is right."""
    record = {key: item for key, item in (EXTRAS | {name: value}).items() if key != "checksum"}
    raw = extras._text(record | {"checksum": extras._own(record)})
    with portable.opened(GOLDEN / "snapshot-1") as content:
        try:
            fields, _ = extras.decode(raw, content.fields, Path("sandbox.json"))
        except SnapshotFileCorrupt:
            return
        assert extras.encode(replace(content, fields=fields), {})


def used_or_refused(path: Path) -> None:
    """An upload either works, and the snapshot can be listed, or is refused with one of our own errors."""
    sandbox = Sandbox(max_snapshots=10)
    canister = sandbox.create_canister()
    try:
        made = sandbox.snapshots.upload(canister.id, path)
    except SandboxError:
        assert canister.list_snapshots() == []
        return
    assert canister.list_snapshots() == [made]
    assert len(made.checksum) == 64


NO_FILES: dict[str, Callable[[Path], Any]] = {
    "wasm_memory.bin": lambda file: os.mkfifo(file),
    "metadata.json": lambda file: os.mkfifo(file),
    "wasm_module.bin": lambda file: file.mkdir(),
    "sandbox.json": lambda file: file.mkdir(),
}


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_file_is_not_waited_for(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    canister = canister_with_everything(sandbox)
    path = sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "s")
    (path / name).unlink()
    NO_FILES[name](path / name)
    with pytest.raises(SnapshotFileError, match="not a file"):
        sandbox.snapshots.upload(canister.id, path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SnapshotFileError, match="not a file"):
        sandbox.snapshots.upload(canister.id, tmp_path / "fifo")


def test_a_chunk_that_is_too_large(sandbox: Sandbox, tmp_path: Path) -> None:
    canister = canister_with_everything(sandbox)
    path = sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "s")
    chunk = next((path / "wasm_chunk_store").iterdir())
    os.truncate(chunk, 1 << 40)
    with pytest.raises(SnapshotFileCorrupt, match="a chunk has at most 1,048,576 bytes"):
        sandbox.snapshots.upload(canister.id, path)


def test_a_file_does_not_take_the_place_of_an_empty_directory(sandbox: Sandbox, tmp_path: Path) -> None:
    canister = canister_with_everything(sandbox)
    (tmp_path / "x.icsnap").mkdir()
    with pytest.raises(SnapshotFileError, match="there already"):
        sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "x.icsnap")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.icsnap"]

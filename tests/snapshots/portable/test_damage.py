"""A file or directory that is torn, tampered with or mixed is refused with what and where, before anything changes."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
import zstandard

from sandbox import Sandbox, Snapshot
from sandbox.errors import SnapshotFileError
from sandbox.snapshots import portable
from sandbox.snapshots.portable import layout
from sandbox.snapshots.portable.archive import open_archive
from tests.conftest import everything, fixture
from tests.snapshots.portable.samples import FORMATS, canister_with_everything, files, new_sandbox, read

each_format = pytest.mark.parametrize("form", FORMATS)


@pytest.fixture(scope="module")
def sample() -> Sandbox:
    sandbox = new_sandbox()
    canister_with_everything(sandbox)
    return sandbox


@pytest.fixture(scope="module")
def snapshot(sample: Sandbox) -> Snapshot:
    [canister] = sample.canisters()
    return canister.take_snapshot("intact")


@pytest.fixture
def file(sample: Sandbox, snapshot: Snapshot, tmp_path: Path) -> Path:
    return sample.snapshots.download(snapshot.id, tmp_path / FORMATS["icsnap"])


@pytest.fixture
def directory(sample: Sandbox, snapshot: Snapshot, tmp_path: Path) -> Path:
    return sample.snapshots.download(snapshot.id, tmp_path / FORMATS["dir"])


@pytest.fixture(params=FORMATS)
def path(sample: Sandbox, snapshot: Snapshot, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return sample.snapshots.download(snapshot.id, tmp_path / FORMATS[request.param])


def refused(sample: Sandbox, path: Path, match: str = ".") -> None:
    """An upload that must fail, and after which everything is as before."""
    [canister] = sample.canisters()
    before = everything(sample, canister)
    with pytest.raises(SnapshotFileError, match=match):
        sample.snapshots.upload(canister.id, path)
    assert everything(sample, canister) == before


def intact(path: Path) -> bool:
    try:
        with portable.opened(path) as content:
            portable.verify(content)
    except SnapshotFileError:
        return False
    return True


def flip(path: Path, count: int, sample: Sandbox) -> None:
    """Change random bytes of every stored file, one at a time; each must be noticed."""
    dice = random.Random(1)
    wanted = read(path)
    stored = files(path)
    for turn in range(count):
        file = stored[turn % len(stored)]
        with open(file, "r+b") as target:
            size = file.stat().st_size
            place = dice.choice((0, size - 1, dice.randrange(size), dice.randrange(size), dice.randrange(size)))
            target.seek(place)
            old = target.read(1)
            target.seek(place)
            target.write(bytes([old[0] ^ dice.randrange(1, 256)]))
            target.flush()
            assert not intact(path), f"byte {place} of {file.name}"
            if turn % 20 == 0:
                refused(sample, path)
            target.seek(place)
            target.write(old)
    assert read(path) == wanted


def test_any_changed_byte_is_noticed(sample: Sandbox, path: Path) -> None:
    flip(path, 150, sample)


@pytest.mark.slow
def test_any_changed_byte_is_noticed_a_thousand_times(sample: Sandbox, path: Path) -> None:
    flip(path, 1000, sample)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["people_v1.enhanced", "people_stable_rs_v1"])
@each_format
def test_any_changed_byte_of_a_real_snapshot_is_noticed(name: str, tmp_path: Path, form: str) -> None:
    sandbox = Sandbox()
    people = sandbox.create_canister()
    people.install(fixture(name))
    people.call("fill", 200)
    path = sandbox.snapshots.download(people.take_snapshot("x").id, tmp_path / FORMATS[form])
    flip(path, 150, sandbox)


def test_torn_anywhere(sample: Sandbox, path: Path) -> None:
    dice = random.Random(2)
    for file in files(path):
        whole = file.read_bytes()
        for length in (0, 1, len(whole) - 1, *(dice.randrange(len(whole)) for _ in range(12))):
            file.write_bytes(whole[:length])
            refused(sample, path)
        file.write_bytes(whole + b"\0")
        refused(sample, path)
        file.write_bytes(whole)
    assert intact(path)


def test_the_message_says_what_is_wrong_and_where(sample: Sandbox, file: Path) -> None:
    whole = file.read_bytes()
    with open_archive(file) as archive:
        places = archive.reader.places()
    heap = next(place for place in places if place.head.part == 3)
    broken = {
        "does not begin with ICSNAP": (0, b"X"),
        "has format 9, this version reads 1": (8, b"\x09"),
        "the header contradicts its checksum": (12, b"\1"),
        f"the heap from 0x0 on at byte {heap.offset - layout.HEAD_SIZE} contradicts": (heap.offset, b"\xff"),
        "the fields at byte 16 contradicts": (16 + layout.HEAD_SIZE, b"\xff"),
        "without its index: it is torn": (len(whole) - 1, b"X"),
    }
    for match, (place, data) in broken.items():
        file.write_bytes(whole[:place] + data + whole[place + 1 :])
        refused(sample, file, match)
    file.write_bytes(whole[: len(whole) // 2])
    refused(sample, file, "torn")
    file.write_bytes(b"hello")
    refused(sample, file, "does not begin with ICSNAP")


DIRECTORY: dict[str, tuple[Callable[[Path], Any], str]] = {
    "memory too short": (lambda d: _resize(d / "wasm_memory.bin", -65536), "wasm_memory.bin: it has 2,555,904 bytes"),
    "memory too long": (lambda d: _resize(d / "stable_memory.bin", 65536), "metadata.json says 2,621,440: torn"),
    "memory absent": (lambda d: (d / "wasm_memory.bin").unlink(), "wasm_memory.bin cannot be read: No such file"),
    "module absent": (lambda d: (d / "wasm_module.bin").unlink(), "wasm_module.bin cannot be read"),
    "chunk absent": (lambda d: next((d / "wasm_chunk_store").iterdir()).unlink(), "No such file"),
    "chunk changed": (lambda d: next((d / "wasm_chunk_store").iterdir()).write_bytes(b"?"), "has another SHA-256"),
    "no metadata": (lambda d: (d / "metadata.json").unlink(), "has no metadata.json"),
    "not finished": (lambda d: (d / ".download_progress.json").write_text("{}"), "its download was not finished"),
    "a global more": (lambda d: _edit(d, "globals", [{"i32": 1}]), "its globals are not those of its module"),
    "another module": (lambda d: _module(d, fixture("counter.enhanced")), "its globals are not those of its module"),
    "no module at all": (lambda d: _module(d, b"not wasm"), "its module is none that runs here"),
    "no number": (lambda d: _edit(d, "wasm_memory_size", "40"), "the field 'wasm_memory_size' cannot be '40'"),
    "no page": (lambda d: _edit(d, "wasm_memory_size", 5), "the field 'wasm_memory_size' cannot be 5"),
    "field absent": (lambda d: _edit(d, "canister_version", None), "'canister_version' cannot be None"),
    "NaN": (lambda d: _edit(d, "globals", [{"f32": None}]), "global 0 has no number: it was NaN or infinite"),
    "null global": (lambda d: _edit(d, "globals", [None]), "global 0 is null"),
    "big global": (lambda d: _edit(d, "globals", [{"i32": 1 << 31}]), "global 0 cannot be"),
    "true global": (lambda d: _edit(d, "globals", [{"i64": True}]), "global 0 cannot be"),
    "odd hash": (lambda d: _edit(d, "wasm_chunk_store", [{"hash": [1, 2]}]), "the hash of chunk 0 has 2 bytes"),
    "odd timer": (lambda d: _edit(d, "global_timer", {"active": -1}), "'global_timer' cannot be"),
    "odd hook": (lambda d: _edit(d, "on_low_wasm_memory_hook_status", "x"), "cannot be 'x'"),
    "long data": (lambda d: _edit(d, "certified_data", [0] * 33), "not a list of at most 32 bytes"),
    "not JSON": (lambda d: (d / "metadata.json").write_text("{"), "metadata.json: not JSON"),
    "deep JSON": (lambda d: (d / "metadata.json").write_text("[" * 200_000), "metadata.json: not JSON"),
    "a list": (lambda d: (d / "metadata.json").write_text("[]"), "the fields are not a record"),
}


@pytest.mark.parametrize("name", DIRECTORY)
def test_a_directory_of_other_tools_that_does_not_fit_together_is_refused(
    sample: Sandbox, directory: Path, name: str
) -> None:
    """Without our own checksums: what can be known from the layout alone."""
    (directory / "sandbox.json").unlink()
    _edit(directory, "globals", _globals(directory))
    damage, match = DIRECTORY[name]
    damage(directory)
    refused(sample, directory, match)


def test_an_edited_memory_is_accepted_once_our_checksums_are_gone(sample: Sandbox, directory: Path) -> None:
    with open(directory / "wasm_memory.bin", "r+b") as memory:
        memory.write(b"edited")
    refused(sample, directory, "wasm_memory.bin: it is not what sandbox.json says")
    (directory / "sandbox.json").unlink()
    _edit(directory, "globals", _globals(directory))
    made = sample.snapshots.create_canister(directory)
    assert made.raw_state().heap.startswith(b"edited")
    made.stop()
    made.delete()


def test_directories_mixed_from_two_snapshots_are_refused(sample: Sandbox, directory: Path, tmp_path: Path) -> None:
    [canister] = sample.canisters()
    canister.update("inc")
    second = canister.take_snapshot()
    other = sample.snapshots.download(second.id, tmp_path / "other")
    canister.delete_snapshot(second.id)
    for name in ("metadata.json", "sandbox.json"):
        mixed = tmp_path / f"mixed-{name}"
        shutil.copytree(directory, mixed)
        shutil.copy(other / name, mixed / name)
        refused(sample, mixed, "it is not what sandbox.json says")


def test_what_is_no_snapshot(sample: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "x.icsnap.part").touch()
    refused(sample, tmp_path / "none", "there is no file or directory")
    refused(sample, tmp_path / "empty", "not a snapshot file")
    refused(sample, tmp_path, "has no metadata.json")
    refused(sample, tmp_path / "x.icsnap.part", "was not finished")


CRAFTED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no fields": lambda r: {},
    "a list": lambda r: [],
    "no parts": lambda r: r | {"parts": []},
    "a part too many": lambda r: r | {"parts": [*r["parts"], ["attic", 1]]},
    "two of a kind": lambda r: r | {"parts": [*r["parts"], r["parts"][0]]},
    "a huge heap": lambda r: r | {"parts": [[n, 1 << 50 if n == "heap" else s] for n, s in r["parts"]]},
    "a small heap": lambda r: r | {"parts": [[n, 65536 if n == "heap" else s] for n, s in r["parts"]]},
    "true": lambda r: r | {"fields": r["fields"] | {"taken_at": True}},
    "minus": lambda r: r | {"fields": r["fields"] | {"canister_version": -1}},
    "odd global": lambda r: r | {"fields": r["fields"] | {"globals": [["i", b"12345"]]}},
    "odd id": lambda r: r | {"fields": r["fields"] | {"canister_id": bytes(30)}},
    "odd source": lambda r: r | {"fields": r["fields"] | {"source": "elsewhere"}},
    "odd history": lambda r: r | {"history": [1]},
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_with_right_checksums_is_refused(sample: Sandbox, file: Path, name: str) -> None:
    file.write_bytes(_crafted(file, CRAFTED[name]))
    refused(sample, file)


def test_what_a_later_version_adds_is_kept_aside(sample: Sandbox, file: Path) -> None:
    file.write_bytes(
        _crafted(file, lambda r: r | {"fields": r["fields"] | {"mood": "good"}, "history": [{"patched": "heap"}]})
    )
    with portable.opened(file) as content:
        assert dict(content.fields.extra) == {"mood": "good"}
        assert [dict(item) for item in content.fields.history] == [{"patched": "heap"}]
        for form, name in FORMATS.items():
            copy = file.with_name("copy of " + name)
            portable.write(content, copy, form)
            with portable.opened(copy) as again:
                assert again.fields == content.fields


def test_a_frame_that_would_grow_without_end_is_refused(sample: Sandbox, file: Path) -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(1 << 30))
    file.write_bytes(_crafted(file, lambda r: r, bomb))
    refused(sample, file, "does not decompress to its pages")


def _crafted(path: Path, change: Callable[[dict[str, Any]], Any], last: bytes | None = None) -> bytes:
    """The file with another first block, or another last body, and all checksums right."""
    with open_archive(path) as archive:
        places = archive.reader.places()
        bodies = [archive.reader.body(place, "") for place in places]
    record = cbor2.loads(zstandard.decompress(bodies[0]))
    bodies[0] = zstandard.compress(cbor2.dumps(change(record)))
    if last is not None:
        bodies[-1] = last
    out, index = bytearray(layout.HEADER), b""
    for place, body in zip(places, bodies, strict=True):
        head = layout.Head.over(place.head.part, place.head.window, place.head.pages, body).packed()
        out += head + body
        index += head
    return bytes(out) + index + layout.end(len(out), index)


def _resize(file: Path, by: int) -> None:
    with open(file, "r+b") as target:
        target.truncate(file.stat().st_size + by)


def _edit(directory: Path, field: str, value: Any) -> None:
    file = directory / "metadata.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))


def _globals(directory: Path) -> list[Any]:
    """Those of the metadata; a number where there was NaN."""
    found = json.loads((directory / "metadata.json").read_text())["globals"]
    return [{tag: 1.5 if value is None else value for tag, value in item.items()} for item in found]


def _module(directory: Path, module: bytes) -> None:
    (directory / "wasm_module.bin").write_bytes(module)
    _edit(directory, "wasm_module_size", len(module))


LINKED = ("metadata.json", "sandbox.json", "wasm_module.bin", "wasm_memory.bin", "stable_memory.bin")


def parts_of(directory: Path) -> list[Path]:
    return [*(directory / name for name in LINKED), *(directory / "wasm_chunk_store").iterdir()]


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("there", [True, False])
def test_a_link_that_leads_outside_is_refused(
    sample: Sandbox, directory: Path, tmp_path: Path, number: int, there: bool
) -> None:
    """Also one with the very bytes that belong there, and one that leads nowhere."""
    file = parts_of(directory)[number]
    outside = tmp_path / "outside"
    outside.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(outside)
    if not there:
        outside.unlink()
    refused(sample, directory, f"{file} is a link that leads outside of {directory}")
    with pytest.raises(SnapshotFileError, match="leads outside"):
        sample.snapshots.create_canister(directory)
    if there:
        file.unlink()
        file.hardlink_to(outside)
        sample.snapshots.delete(sample.snapshots.upload(sample.canisters()[0].id, directory).id)


def test_a_folder_that_leads_outside_is_refused(sample: Sandbox, directory: Path, tmp_path: Path) -> None:
    chunks = directory / "wasm_chunk_store"
    chunks.rename(tmp_path / "elsewhere")
    chunks.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    refused(sample, directory, "leads outside")


def test_a_link_within_the_directory_and_one_to_it_are_followed(
    sample: Sandbox, snapshot: Snapshot, directory: Path, tmp_path: Path
) -> None:
    memory = directory / "wasm_memory.bin"
    memory.rename(directory / "moved.bin")
    memory.symlink_to("moved.bin")
    (tmp_path / "link").symlink_to(directory, target_is_directory=True)
    [canister] = sample.canisters()
    found = sample.snapshots.upload(canister.id, tmp_path / "link")
    canister.load_snapshot(found.id)
    exact = sample.raw_state(canister)
    canister.load_snapshot(snapshot.id)
    assert sample.raw_state(canister) == exact
    sample.snapshots.delete(found.id)

"""`metadata.json` is what dfx and icp-cli write and read, to the byte."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox import Sandbox
from sandbox.errors import SnapshotFileCorrupt
from sandbox.principal import Principal
from sandbox.snapshots import portable
from sandbox.snapshots.portable import Content, Fields, metadata
from sandbox.snapshots.portable.content import Blob
from sandbox.snapshots.portable.decimals import shortest
from tests.snapshots.portable.samples import FORMATS, canister_with_everything

WRITTEN = """{
  "source": {
    "taken_from_canister": null
  },
  "taken_at_timestamp": 1762784245123456789,
  "wasm_module_size": 8,
  "globals": [
    {
      "i32": -7
    },
    {
      "i64": 1048576
    },
    {
      "f32": 0.1
    },
    {
      "f64": 1e-7
    },
    {
      "v128": [
        2659581952,
        13969838
      ]
    },
    {
      "v128": []
    }
  ],
  "wasm_memory_size": 0,
  "stable_memory_size": 0,
  "wasm_chunk_store": [
    {
      "hash": [HASH]
    }
  ],
  "canister_version": 3,
  "certified_data": [
    1,
    255
  ],
  "global_timer": {
    "active": 5
  },
  "on_low_wasm_memory_hook_status": "condition_not_satisfied"
}""".replace("HASH", "".join(f"\n        {number}," for number in range(31)) + "\n        31\n      ")
"""As `serde_json::to_string_pretty` prints the record of the tools' library (crate ic-management-canister-types)."""
FIELDS = Fields(
    taken_at=1762784245123456789,
    canister_version=3,
    globals=(
        ("i", (1 << 32) - 7),
        ("l", 1 << 20),
        ("f", 0x3DCCCCCD),
        ("d", struct.unpack("<Q", struct.pack("<d", 1e-7))[0]),
        ("v", 60000000000000000),
        ("v", 0),
    ),
    certified_data=b"\1\xff",
    global_timer=5,
    low_memory_hook="condition_not_satisfied",
)
CONTENT = Content("test", FIELDS, Blob(b"\0asm\1\0\0\0"), Blob(b""), Blob(b""), {bytes(range(32)): Blob(b"")})


def test_it_is_written_as_the_tools_write_it() -> None:
    assert metadata.encode(CONTENT).decode() == WRITTEN


def test_it_is_read_as_it_was_written() -> None:
    found = metadata.decode(WRITTEN.encode(), "test")
    assert (found.fields, found.module_size, found.chunks) == (FIELDS, 8, (bytes(range(32)),))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (replace(FIELDS, global_timer=0), '"global_timer": "inactive",'),
        (replace(FIELDS, global_timer=None), '"global_timer": null,'),
        (replace(FIELDS, low_memory_hook=None), '"on_low_wasm_memory_hook_status": null\n'),
        (replace(FIELDS, certified_data=b""), '"certified_data": [],'),
        (replace(FIELDS, source="metadata_upload"), '"source": {\n    "metadata_upload": null\n  },'),
    ],
)
def test_other_forms(fields: Fields, text: str) -> None:
    raw = metadata.encode(replace(CONTENT, fields=fields))
    assert text in raw.decode()
    assert metadata.decode(raw, "test").fields == fields


def test_what_later_tools_add_is_let_pass() -> None:
    raw = json.dumps(json.loads(WRITTEN) | {"mood": "good", "source": None}).encode()
    assert metadata.decode(raw, "test").fields == FIELDS


NUMBERS = {
    ("d", 0.0): "0.0",
    ("f", -0.0): "-0.0",
    ("d", 1.0): "1.0",
    ("d", 1.5): "1.5",
    ("d", 1e15): "1000000000000000.0",
    ("d", 1e16): "1e16",
    ("d", 123456789012345680.0): "1.2345678901234568e17",
    ("d", 0.00001): "0.00001",
    ("d", 0.000001): "1e-6",
    ("d", 1.25e-10): "1.25e-10",
    ("d", -5e-324): "-5e-324",
    ("d", 1.7976931348623157e308): "1.7976931348623157e308",
    ("f", 1e12): "1000000000000.0",
    ("f", 1e13): "1e13",
    ("f", 3.4028234663852886e38): "3.4028235e38",
    ("f", 16777216.0): "16777216.0",
    ("f", 0.000001): "0.000001",
    ("f", 0.0000001): "1e-7",
    ("d", math.nan): "null",
    ("f", -math.inf): "null",
}


@pytest.mark.parametrize(("letter", "value"), NUMBERS)
def test_floats_are_printed_as_in_rust(letter: str, value: float) -> None:
    shown = "<f" if letter == "f" else "<d"
    [exact] = struct.unpack(shown, struct.pack(shown, value))
    assert shortest(exact, letter) == NUMBERS[letter, value]


@given(st.sampled_from("ilfdv"), st.integers(0, (1 << 128) - 1))
@example("f", 1)
@example("d", 1)
@example("f", 0x7F7FFFFF)
@example("d", 0x7FEFFFFFFFFFFFFF)
@example("i", 1 << 31)
def test_every_global_comes_back_bit_by_bit_unless_json_has_no_number_for_it(letter: str, bits: int) -> None:
    bits &= (1 << {"i": 32, "l": 64, "f": 32, "d": 64, "v": 128}[letter]) - 1
    raw = metadata.encode(replace(CONTENT, fields=replace(FIELDS, globals=((letter, bits),))))
    found = metadata.decode(raw, "test")
    if found.unknown:
        floats = {"f": ("<f", "<I"), "d": ("<d", "<Q")}[letter]
        assert not math.isfinite(struct.unpack(floats[0], struct.pack(floats[1], bits))[0])
    else:
        assert found.fields.globals == ((letter, bits),)


def test_a_nan_is_carried_by_sandbox_json_and_missed_without_it(sandbox: Sandbox, tmp_path: Path) -> None:
    snapshot = canister_with_everything(sandbox).take_snapshot()
    path = sandbox.snapshots.download(snapshot.id, tmp_path / FORMATS["dir"])
    assert '"f32": null' in (path / "metadata.json").read_text()
    with portable.opened(path) as content:
        assert [content.fields.globals[n][0] for n in portable.unreadable_globals(content.fields)] == ["f", "d"]
        assert ("f", 0x7FC01234) in content.fields.globals
    (path / "sandbox.json").unlink()
    with pytest.raises(SnapshotFileCorrupt, match="global 3 has no number: it was NaN or infinite"):
        portable.opened(path)


@pytest.mark.parametrize("extra", [[".lock"], [".upload_progress.json", "0000000000000000.json"], ["notes.txt"]])
def test_files_of_the_other_tools_do_not_matter(sandbox: Sandbox, tmp_path: Path, extra: list[str]) -> None:
    """icp-cli leaves `.lock`; an upload by either tool that was interrupted leaves how far it came."""
    canister = sandbox.create_canister()
    canister.install(Path("fixtures/wasm/people_heap_rs_v1.wasm"))
    path = sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "s")
    (path / "sandbox.json").unlink()
    for empty in ("stable_memory.bin", "wasm_chunk_store"):
        assert (path / empty).exists(), "icp-cli reads it even where it is empty"
    (path / "stable_memory.bin").unlink()
    (path / "wasm_chunk_store").rmdir()
    for name in extra:
        (path / name).write_text("x")
    made = sandbox.snapshots.create_canister(path, canister_id=Principal.from_text("rrkah-fqaaa-aaaaa-aaaaq-cai"))
    assert made.raw_state() == canister.raw_state()

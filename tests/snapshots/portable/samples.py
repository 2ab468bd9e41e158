"""Canisters with something in every part of a snapshot, and what tests of files ask of them."""

from __future__ import annotations

from pathlib import Path

from sandbox import Canister, Sandbox, Snapshot
from sandbox.api import runtime_of
from sandbox.snapshots import portable
from sandbox.snapshots.portable import Content
from tests.conftest import FEW_INSTRUCTIONS, guest
from tests.management.methods import by_user

FORMATS = {"icsnap": "s.icsnap", "dir": "s"}
"""Formats, and a name for each."""
NAN32, NAN64 = 0x7FC0_1234, 0x7FF8_0000_DEAD_BEEF
EVERYTHING = guest(
    f"""(global $i (mut i32) (i32.const -7)) (global $l (mut i64) (i64.const -8))
    (global $f (mut f32) (f32.const nan:0x{NAN32 & 0x7FFFFF:x})) (global $d (mut f64) (f64.const 1e-7))
    (global $n (mut f64) (f64.const nan:0x{NAN64 & ((1 << 52) - 1):x}))
    (global $v (mut v128) (v128.const i64x2 -1 2)) (global (export "four") i64 (i64.const 4))
    (func (export "canister_update fill")
      (i64.store (i32.const 100) (i64.const 0x1122334455667788))
      (i64.store (i32.const 2097152) (i64.const 5))
      (drop (call $stable64_grow (i64.const 40)))
      (call $stable64_write (i64.const 2500000) (i64.const 100) (i64.const 8))
      (call $certified_data_set (i32.const 100) (i32.const 8))
      (drop (call $global_timer_set (i64.const 2000000000000000000)))
      (global.set $l (i64.const 99))
      (call $reply64 (i64.const 1)))
    (func (export "canister_update inc")
      (global.set $l (i64.add (global.get $l) (i64.const 1))) (call $reply64 (global.get $l)))
    (func (export "canister_query get") (call $reply64 (global.get $l)))
    (func (export "canister_global_timer"))""",
    '(memory (export "memory") 40)',
)
CHUNKS = (b"one chunk", b"\0" * 5000 + b"another")


def canister_with_everything(sandbox: Sandbox) -> Canister:
    """Every type of global, sparse memories, a timer, certified data and chunks."""
    canister = sandbox.create_canister()
    canister.install(EVERYTHING)
    canister.update("fill")
    for chunk in CHUNKS:
        by_user(sandbox, "upload_chunk", {"canister_id": canister.id, "chunk": chunk})
    return canister


def new_sandbox() -> Sandbox:
    return Sandbox(instruction_limits=FEW_INSTRUCTIONS, max_snapshots=10)


def content_of(sandbox: Sandbox, snapshot: Snapshot) -> Content:
    """The snapshot as what files are written from."""
    [state] = [s for s in runtime_of(sandbox).state_of(snapshot.canister_id).snapshots if s.id == snapshot.id]
    return portable.of_state(state, bytes.fromhex(snapshot.checksum))


def read(path: Path) -> dict[str, bytes]:
    """Every part of a file or a directory, in full."""
    with portable.opened(path) as content:
        return parts(content)


def parts(content: Content) -> dict[str, bytes]:
    return {name: part.read(0, part.size) for name, part in content.parts().items()}


def files(path: Path) -> list[Path]:
    """The file, or the files of the directory, with something in them."""
    every = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return [file for file in every if file.stat().st_size]

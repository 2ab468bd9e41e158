"""Claims about the repository of backups: what it costs, and that it gives back what it got."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sandbox import Canister, Sandbox
from sandbox.api import runtime_of
from sandbox.management.retention import judge
from sandbox.service.backups import Backups
from sandbox.service.failure import BackupError
from sandbox.snapshots import portable
from sandbox.state import Keep
from tests.conftest import guest
from tests.snapshots.portable.samples import canister_with_everything

SIZE, STEP, PAGE = 4 << 20, 100 << 10, 4096
RANDOM = f"""
(memory (export "memory") {SIZE >> 16})
"""
BODY = f"""
(func $mixed (param $at i32) (result i64)
  (local $x i64)
  (local.set $x (i64.mul (i64.extend_i32_u (local.get $at)) (i64.const 0x9E3779B97F4A7C15)))
  (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 29))))
  (i64.mul (local.get $x) (i64.const 0xBF58476D1CE4E5B9)))
(func (export "canister_update fill") (local $at i32)
  (loop $again
    (i64.store (local.get $at) (call $mixed (local.get $at)))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $again (i32.lt_u (local.get $at) (i32.const {SIZE}))))
  (call $msg_reply))
(func (export "canister_update touch") (local $at i32)
  (loop $again
    (i64.store (local.get $at) (i64.const 7))
    (local.set $at (i32.add (local.get $at) (i32.const {STEP})))
    (br_if $again (i32.lt_u (local.get $at) (i32.const {SIZE}))))
  (call $msg_reply))
"""


@contextmanager
def content_of(canister: Canister, folder: Path) -> Iterator[portable.Content]:
    """The canister as a snapshot in a directory, as a download leaves it."""
    snapshot = canister.take_snapshot()
    runtime = runtime_of(canister)
    [state] = [s for s in runtime.state_of(canister.id).snapshots if s.id == snapshot.id]
    path = folder / snapshot.id.hex()
    portable.write(portable.of_state(state), path, "dir")
    with portable.opened(path) as content:
        yield content


def test_a_backup_costs_the_pages_that_changed(tmp_path: Path) -> None:
    with Sandbox(max_snapshots=3) as sandbox, Backups(tmp_path / "backups") as backups, ExitStack() as stack:
        canister = sandbox.create_canister()
        canister.install(guest(BODY, RANDOM))
        canister.update("fill")
        backups.add(stack.enter_context(content_of(canister, tmp_path)))
        first = backups.size()
        canister.update("touch")
        backups.add(stack.enter_context(content_of(canister, tmp_path)))
        changed = -(-SIZE // STEP) * PAGE
        assert SIZE < first < 1.05 * SIZE
        assert changed < backups.size() - first < 1.2 * changed


@pytest.mark.parametrize("form", ["dir", "icsnap"])
def test_a_backup_is_what_it_was_made_of(tmp_path: Path, form: str) -> None:
    with Sandbox(max_snapshots=3) as sandbox, ExitStack() as stack:
        canister = canister_with_everything(sandbox)
        content = stack.enter_context(content_of(canister, tmp_path))
        expected = canister.take_snapshot().content_id
        with Backups(tmp_path / "backups") as backups:
            kept = backups.add(content, "everything")
            assert backups.verify(kept.id).content_id == expected
            assert {digest: bytes(chunk) for digest, chunk in kept.chunks.items()} == {
                digest: chunk.read(0, chunk.size) for digest, chunk in content.chunks.items()
            }
            assert portable.of_state(kept).fields.globals == content.fields.globals
    with Backups(tmp_path / "backups", read_only=True) as backups:
        [again] = backups.snapshots()
        portable.write(portable.of_state(again), tmp_path / "written", form)
    with Sandbox() as sandbox:
        assert sandbox.snapshots.create_canister(tmp_path / "written").take_snapshot().content_id == expected


def test_what_no_rule_keeps_gives_its_space_back(tmp_path: Path) -> None:
    with Sandbox(max_snapshots=9) as sandbox, Backups(tmp_path / "backups") as backups, ExitStack() as stack:
        canister = sandbox.create_canister()
        canister.install(guest(BODY, RANDOM))
        small = backups.add(stack.enter_context(content_of(canister, tmp_path)))
        before = backups.size()
        sandbox.advance_time(1)
        canister.update("fill")
        backups.add(stack.enter_context(content_of(canister, tmp_path)))
        keep, now = Keep(last=1), sandbox.time
        assert [item.snapshot.id for item in judge(backups.snapshots(), keep, now)][1] == small.id
        backups.retain(canister.id, keep, now, dry_run=True)
        assert len(backups.snapshots()) == 2
        backups.retain(canister.id, keep, now)
        backups.prune()
        assert [state.id for state in backups.snapshots()] != [small.id]
        assert backups.size() < SIZE * 1.05 + before
        assert backups.verify(backups.snapshots()[0].id).difference is None


def test_a_place_without_backups_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no repository of backups"):
        Backups(tmp_path / "none", read_only=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupError, match="cannot be used"):
        Backups(tmp_path / "file")

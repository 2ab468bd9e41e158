"""What differs between two states of a canister, wherever they are kept: module, globals, fields, memories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sandbox import CallRejected, Canister, Sandbox
from sandbox.limits import WASM_PAGE
from sandbox.snapshots.diff import Diff
from sandbox.snapshots.diff.modules import NameChanges
from sandbox.snapshots.diff.picture import STYLE, Fate, FateMap
from sandbox.snapshots.inspect import picture
from tests.conftest import fixture, guest, with_section

Install = Callable[..., Canister]
GUEST = """
(global $n (mut i64) (i64.const 3))
(global $f (mut f64) (f64.const nan:0x8000000000001))
(func (export "canister_update set")
  (call $msg_arg_data_copy (i32.const 16) (i32.const 0) (call $msg_arg_data_size))
  (global.set $n (i64.load (i32.const 16)))
  (if (i64.eqz (call $stable64_size)) (then (drop (call $stable64_grow (i64.const 1)))))
  (call $stable64_write (i64.const 70) (i64.const 16) (i64.const 8))
  (call $certified_data_set (i32.const 16) (i32.const 8)) (drop (call $global_timer_set (i64.const 5)))
  (call $reply64 (i64.const 0)))
(func (export "canister_update trap") (i64.store (i32.const 0) (i64.const 1)) unreachable)
(func (export "canister_update nothing") (call $reply64 (i64.load (i32.const 65528))))
{more}"""
ONE = guest(GUEST.format(more='(func (export "canister_query one"))'))
TWO = guest(GUEST.format(more='(func (export "canister_query two")) (global $h (mut i32) (i32.const 8))'))
SET = (9).to_bytes(8, "little")


def test_a_state_does_not_differ_from_itself(install: Install, sandbox: Sandbox) -> None:
    canister = install(ONE)
    canister.update("set", SET)
    snapshot = canister.take_snapshot("a")
    diff = sandbox.snapshots.diff
    for other in (snapshot, canister, snapshot.id, snapshot.id.hex(), canister.id, canister.take_snapshot("b"), None):
        assert not diff(snapshot, other)
    assert not diff(canister, canister)


def test_everything_that_a_call_changes(install: Install) -> None:
    canister = install(ONE)
    with canister.changes() as changes:
        assert not changes.diff
        canister.update("set", SET)
        assert changes.diff
    found = changes.diff
    canister.update("set", bytes(8))
    assert changes.diff is found
    assert found.module is None
    [value] = found.globals
    assert value.before is not None
    assert value.after is not None
    assert (value.before.value, value.after.value, value.after.type) == (3, 9, "i64")
    told = {field.name: (field.before, field.after) for field in found.fields}
    assert told == {"certified_data": (b"", SET), "global_timer": (0, 5)}
    assert (found.stable.before, found.stable.after) == (0, WASM_PAGE)
    assert [(c.offset, c.before, c.after) for c in found.stable.byte_changes()] == [(70, b"\0", b"\x09")]
    assert [(c.offset, c.after) for c in found.heap.byte_changes() if c.offset < 60000] == [(16, b"\x09")]


def test_a_call_that_traps_or_only_reads_changes_nothing(install: Install) -> None:
    canister = install(ONE)
    canister.update("nothing")
    with canister.changes() as changes:
        canister.update("nothing")
        with pytest.raises(CallRejected):
            canister.update("trap")
    assert not changes.diff


def test_changes_are_told_although_the_end_is_an_exception(install: Install) -> None:
    canister = install(ONE)
    changes = canister.changes()

    def fail() -> None:
        with changes:
            canister.update("set", SET)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    canister.update("set", bytes(8))
    [value] = changes.diff.globals
    assert value.after is not None
    assert value.after.value == 9


def test_of_two_modules(install: Install, sandbox: Sandbox) -> None:
    canister = install(with_section(ONE, "icp:public note", b"1"))
    before = canister.take_snapshot()
    canister.upgrade(with_section(TWO, "icp:public more", b"2"))
    found = sandbox.snapshots.diff(before).module
    assert found is not None
    assert found.exports == NameChanges(added=("canister_query two",), removed=("canister_query one",))
    assert found.metadata == NameChanges(added=("more",), removed=("note",))
    assert (found.imports, found.candid, found.compatible) == (NameChanges(), NameChanges(), None)
    [added] = [each for each in sandbox.snapshots.diff(before).globals if each.before is None]
    assert added.after is not None
    assert (added.after.type, added.after.value) == ("i32", 8)


def test_of_two_interfaces(install: Install, sandbox: Sandbox) -> None:
    canister = install(fixture("people_v1.classical"))
    before = canister.take_snapshot()
    canister.upgrade(fixture("people_v2_good.classical"))
    found = sandbox.snapshots.diff(before).module
    assert found is not None
    old, new = (module_methods(name) for name in ("people_v1.classical", "people_v2_good.classical"))
    assert set(found.candid.added) == new - old
    assert set(found.candid.removed) == old - new
    assert "get" in found.candid.changed, "people have one field more"
    assert "size" not in found.candid.changed
    assert found.compatible is not None
    back = sandbox.snapshots.diff(canister, before).module
    assert back is not None
    assert back.candid == NameChanges(found.candid.removed, found.candid.added, back.candid.changed)
    assert set(back.candid.changed) == set(found.candid.changed)


def module_methods(name: str) -> set[str]:
    canister = Sandbox().create_canister()
    canister.install(fixture(name))
    text = canister.metadata("candid:service")
    assert text is not None
    from sandbox import candid

    return set(candid.parse_did(text.decode()).methods)


def test_an_empty_canister_has_no_module(install: Install, sandbox: Sandbox) -> None:
    canister = install(ONE)
    before = canister.take_snapshot()
    canister.uninstall()
    found = sandbox.snapshots.diff(before)
    assert found.module is not None
    assert (found.module.after, found.module.exports.added) == (None, ())
    assert all(each.after is None for each in found.globals)
    assert (found.heap.after, found.stable.after) == (0, 0)


def test_what_an_upload_does_not_say_is_no_difference(install: Install, sandbox: Sandbox, tmp_path: Path) -> None:
    canister = install(ONE)
    canister.update("set", SET)
    original = canister.take_snapshot()
    for name in ("file.icsnap", "directory"):
        path = sandbox.snapshots.download(original.id, tmp_path / name)
        uploaded = sandbox.snapshots.upload(canister.id, path)
        for one, other in ((original, uploaded), (path, original), (uploaded, path), (str(path), canister)):
            assert not sandbox.snapshots.diff(one, other), (one, other)
    canister.update("set", bytes(8))
    found = sandbox.snapshots.diff(tmp_path / "file.icsnap", canister)
    assert [each.name for each in found.fields] == ["certified_data"]
    assert found.heap.pages == 1
    heap = found.heap
    del found
    assert next(heap.byte_changes()).before[:1] == b"\x09", "the file stays open as long as it is needed"


@pytest.mark.parametrize("source", ["file.icsnap", b"canister"])
def test_what_is_no_snapshot_here_needs_something_to_be_compared_with(
    source: Any, install: Install, sandbox: Sandbox, tmp_path: Path
) -> None:
    canister = install(ONE)
    path = sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "file.icsnap")
    with pytest.raises(ValueError, match="say what"):
        sandbox.snapshots.diff(path if source == "file.icsnap" else canister)


def test_only_those_who_may_see_a_snapshot_compare_it(install: Install, sandbox: Sandbox) -> None:
    snapshot = install(ONE).take_snapshot()
    with pytest.raises(CallRejected, match="Only the controllers"):
        sandbox.snapshots.diff(snapshot, sender=sandbox.identity("stranger"))


def test_snapshots_kept_on_disk_and_live_canisters(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state", max_snapshots=5) as sandbox:
        canister = sandbox.create_canister()
        canister.install(ONE)
        canister.take_snapshot("a")
        canister.update("set", SET)
        canister.take_snapshot("b")
    with Sandbox.open(tmp_path / "state") as sandbox:
        [canister] = sandbox.canisters()
        a, b = canister.list_snapshots()
        assert not sandbox.snapshots.diff(b)
        for found in (sandbox.snapshots.diff(a, b), sandbox.snapshots.diff(a)):
            assert found.stable.added == ((0, 4096),)
            assert len(found.globals) == 1
        canister.load_snapshot(a.id)
        assert [each.name for each in sandbox.snapshots.diff(a).fields] == ["global_timer"], "a load leaves it alone"
        assert not sandbox.snapshots.diff(a).stable
        assert sandbox.snapshots.diff(b)


def test_patching_with_what_differs_leads_from_one_snapshot_to_the_other(install: Install, sandbox: Sandbox) -> None:
    canister = install(ONE)
    one = canister.take_snapshot()
    canister.update("set", SET)
    canister.update("nothing")
    two = canister.take_snapshot()
    for start, end in ((one, two), (two, one)):
        diff = sandbox.snapshots.diff(start, end)
        edited = sandbox.snapshots.edit(start.id, **as_edits(diff))
        left = sandbox.snapshots.diff(edited, end)
        assert [each.name for each in left.fields] == ["global_timer"]
        assert not any((left.module, left.globals, left.heap, left.stable))


def as_edits(diff: Diff) -> dict[str, Any]:
    memories = {"heap": diff.heap, "stable": diff.stable}
    edits: dict[str, Any] = {f"{name}_size": each.after for name, each in memories.items()}
    for name, each in memories.items():
        edits[name] = [(c.offset, c.after) for c in each.byte_changes() if c.offset < each.after]
    edits["globals"] = {each.after.index: each.after.value for each in diff.globals if each.after is not None}
    [certified] = [each.after for each in diff.fields if each.name == "certified_data"]
    return edits | {"certified_data": certified}


def test_the_map_shows_what_became_of_every_page(install: Install, sandbox: Sandbox, tmp_path: Path) -> None:
    canister = install(ONE)
    before = canister.take_snapshot()
    size = 300 * WASM_PAGE
    other = sandbox.snapshots.edit(before.id, heap_size=size, heap={0: b"x", size - 1: b"y"})
    drawn = FateMap(sandbox.snapshots.diff(before, other).heap)
    assert drawn.pages == size // 4096
    assert {page: fate for page, fate in drawn.classes.items() if fate > Fate.SAME} == {
        0: Fate.ADDED,
        drawn.pages - 1: Fate.ADDED,
    }
    back = FateMap(sandbox.snapshots.diff(other, before).heap)
    assert back.counts["removed"] == 2
    few = picture.points(drawn, 10, STYLE)
    assert few.dots[9].kind is Fate.ADDED, "one page in a point is enough"
    written = picture.write_png({"one": drawn, "two": back}, tmp_path / "map.png", STYLE)
    assert set(written) == {"one", "two"}
    with Image.open(tmp_path / "map.png") as image:
        colours = {colour for _, colour in image.getcolors(1 << 24) or []}
    assert {STYLE.looks[fate].colour for fate in (Fate.ADDED, Fate.REMOVED)} <= colours

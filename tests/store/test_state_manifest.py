"""A state directory without a right manifest is used by the copy, or refused; strangers' files stay."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox import Principal, RawState, Sandbox
from sandbox.errors import StateCorrupt, StateError, StateWarning
from sandbox.store import state_manifest
from tests.store.test_directory import COUNTER, killed_at, new_state

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
FILES = ("manifest", "manifest.copy")
DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda _: None,
    "empty": lambda _: b"",
    "cut": lambda content: content[: len(content) // 2],
    "changed": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "something else": lambda _: b"somebody's\n",
}
damages = pytest.mark.parametrize("damage", DAMAGE)


def everything(path: Path) -> dict[str, bytes]:
    """All files but the lock."""
    files = (file for file in path.rglob("*") if file.is_file() and file.name != "lock")
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def damaged(file: Path, damage: str) -> None:
    content = DAMAGE[damage](file.read_bytes())
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)


def seen(path: Path, canister_id: Principal, **options: Any) -> tuple[RawState, list[str | None]]:
    with closing(Sandbox.open(path, **options)) as sandbox:
        canister = sandbox.canister(canister_id)
        assert all(found.intact for found in sandbox.snapshots.verify_all())
        return canister.raw_state(), [s.label for s in canister.list_snapshots()]


@damages
@pytest.mark.parametrize("read_only", [False, True])
def test_the_copy_stands_in_for_the_manifest_and_a_warning_names_it(
    tmp_path: Path, damage: str, read_only: bool
) -> None:
    canister_id = new_state(tmp_path)
    before = seen(tmp_path, canister_id)
    damaged(tmp_path / "manifest", damage)
    with pytest.warns(StateWarning, match=rf"{tmp_path}/manifest .*{tmp_path}/manifest.copy is used"):
        assert seen(tmp_path, canister_id, read_only=read_only) == before
    if not read_only:
        with pytest.warns(StateWarning), Sandbox.open(tmp_path) as sandbox:
            sandbox.canister(canister_id).call("inc")
        assert (tmp_path / "manifest").read_bytes() == (tmp_path / "manifest.copy").read_bytes()
        seen(tmp_path, canister_id)


@damages
def test_a_damaged_copy_is_replaced_by_the_next_save(tmp_path: Path, damage: str) -> None:
    canister_id = new_state(tmp_path)
    damaged(tmp_path / "manifest.copy", damage)
    seen(tmp_path, canister_id)
    Sandbox.open(tmp_path).__exit__(None, None, None)
    assert (tmp_path / "manifest").read_bytes() == (tmp_path / "manifest.copy").read_bytes()


@pytest.mark.parametrize("second", DAMAGE)
@damages
def test_without_both_it_is_refused_and_whole_again_with_either(tmp_path: Path, damage: str, second: str) -> None:
    canister_id = new_state(tmp_path)
    before, good = seen(tmp_path, canister_id), (tmp_path / "manifest").read_bytes()
    for file, how in zip(FILES, (damage, second), strict=True):
        damaged(tmp_path / file, how)
    left = everything(tmp_path)
    for read_only in (False, True):
        with pytest.raises(StateCorrupt, match=f"{tmp_path}/manifest "):
            Sandbox.open(tmp_path, read_only=read_only)
    assert everything(tmp_path) == left
    (tmp_path / "manifest").write_bytes(good)
    assert seen(tmp_path, canister_id) == before


def test_a_state_of_an_older_version_without_its_manifest_is_refused(tmp_path: Path) -> None:
    """It has no copy."""
    new_state(tmp_path)
    for file in FILES:
        (tmp_path / file).unlink()
    for gone in ("journal-1", "snapshots", "packs", "memories"):
        left = everything(tmp_path)
        with pytest.raises(StateCorrupt, match="damaged state directory, or not one at all"):
            Sandbox.open(tmp_path)
        assert everything(tmp_path) == left
        shutil.rmtree(tmp_path / gone, ignore_errors=True)
        (tmp_path / gone).unlink(missing_ok=True)


def test_an_older_manifest_gives_way_to_the_copy(tmp_path: Path) -> None:
    """As when an old one is put back after the copy has been used and saved."""
    canister_id = new_state(tmp_path)
    old = (tmp_path / "manifest").read_bytes()
    with Sandbox.open(tmp_path) as sandbox:
        sandbox.canister(canister_id).call("inc")
    before = seen(tmp_path, canister_id)
    (tmp_path / "manifest").write_bytes(old)
    with pytest.warns(StateWarning, match=rf"{tmp_path}/manifest is of generation 1.*copy is used"):
        assert seen(tmp_path, canister_id) == before


@pytest.mark.parametrize("name", FILES)
def test_a_manifest_of_another_generation_is_not_that_of_these_memories(tmp_path: Path, name: str) -> None:
    canister_id = new_state(tmp_path)
    old = (tmp_path / "manifest").read_bytes()
    with Sandbox.open(tmp_path) as sandbox:
        sandbox.canister(canister_id).call("inc")
    before, new = seen(tmp_path, canister_id), (tmp_path / "manifest").read_bytes()
    for file in FILES:
        (tmp_path / file).unlink()
    (tmp_path / name).write_bytes(old)
    left = everything(tmp_path)
    with pytest.raises(StateCorrupt, match=rf"{tmp_path}/{name} is of generation 1"):
        Sandbox.open(tmp_path)
    assert everything(tmp_path) == left
    (tmp_path / "manifest").write_bytes(new)
    assert seen(tmp_path, canister_id) == before


@pytest.mark.slow
def test_killed_anywhere_the_copy_is_right_or_refused(tmp_path: Path) -> None:
    """Whatever a save had done when it was killed, the copy alone opens as a state that was saved, or not at all."""

    def save(path: Path) -> None:
        with Sandbox.open(path) as sandbox:
            sandbox.canister(canister_id).call("inc")
            sandbox.canister(canister_id).install(COUNTER, mode="reinstall")
            sandbox.canister(canister_id).take_snapshot("two")

    canister_id = new_state(tmp_path / "reference")
    states = [seen(tmp_path / "reference", canister_id)]
    save(tmp_path / "reference")
    states.append(seen(tmp_path / "reference", canister_id))
    outcomes = []
    for number in range(1_000):
        path = tmp_path / str(number)
        new_state(path)
        killed = killed_at(number, lambda path=path: save(path))  # type: ignore[misc]
        (path / "manifest").unlink()
        try:
            with pytest.warns(StateWarning):
                outcomes.append(states.index(seen(path, canister_id)))
        except StateCorrupt:
            outcomes.append(-1)
        if not killed:
            break
    assert (outcomes[0], outcomes[-1]) == (0, 1)
    assert outcomes == sorted(outcomes, key=lambda found: found == 1), "never one that was not saved yet again"


STRANGERS = {
    "notes.txt": b"somebody's notes",
    "journal-notes": b"not a journal",
    "memories/00000099.memory": b"of another program",
    "memories/notes": b"",
    "modules/" + "a" * 64: b"called like a module",
    "packs/" + "b" * 64: b"called like a pack",
    "packs/" + "c" * 64: b"canister-sandbox pack 2\nof a later version",
    "snapshots/" + "00" * 18 + "-" + "d" * 64: b"canister-sandbox snapshot 2\nof a later version",
    "snapshots/" + "01" * 18 + "-" + "e" * 64: b"called like a snapshot",
}


def put(path: Path) -> None:
    for name, content in STRANGERS.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def strangers(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in STRANGERS}


def test_nothing_is_deleted_that_was_not_written_here(tmp_path: Path) -> None:
    canister_id = new_state(tmp_path)
    put(tmp_path)
    for _ in range(2):
        with Sandbox.open(tmp_path) as sandbox:
            canister = sandbox.canister(canister_id)
            canister.install(COUNTER, mode="reinstall")
            canister.delete_snapshot(canister.list_snapshots()[0].id)
            sandbox.save()
            sandbox.snapshots.prune()
            canister.take_snapshot("new")
        with Sandbox.open(tmp_path) as sandbox:
            sandbox.snapshots.prune()
    assert strangers(tmp_path) == STRANGERS
    assert seen(tmp_path, canister_id)[1] == ["new"]
    assert len(list((tmp_path / "memories").iterdir())) == 2 + 2
    assert len(list((tmp_path / "snapshots").iterdir())) == 1 + 2


def test_a_new_directory_may_have_other_files_but_none_where_a_state_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"somebody's notes")
    (tmp_path / "src").mkdir()
    canister_id = new_state(tmp_path)
    assert seen(tmp_path, canister_id)[1] == ["one"]
    assert (tmp_path / "notes.txt").read_bytes() == b"somebody's notes"
    for name in (name for name in STRANGERS if "/" in name):
        path = tmp_path / "other"
        (path / name).parent.mkdir(parents=True)
        (path / name).write_bytes(b"somebody's")
        with pytest.raises(StateCorrupt, match="damaged state directory, or not one at all"):
            Sandbox.open(path)
        assert everything(path) == {name: b"somebody's"}
        shutil.rmtree(path)


@pytest.mark.parametrize("name", ["memories", "modules", "packs", "snapshots", "manifest", "manifest.copy"])
def test_a_directory_with_something_else_by_a_name_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"somebody's")
    with pytest.raises(StateError, match=str(tmp_path)):
        Sandbox.open(tmp_path)
    assert everything(tmp_path) == {name: b"somebody's"}


def test_a_first_session_that_was_killed_is_begun_anew(tmp_path: Path) -> None:
    """It has memories, packs and snapshots, and no manifest: `journal-0` says that nothing was saved."""

    def first(path: Path) -> None:
        with Sandbox.open(path) as sandbox:
            canister = sandbox.create_canister()
            canister.install(COUNTER)
            canister.take_snapshot("one")

    number, killed = 0, True
    while killed:
        path = tmp_path / str(number)
        killed = killed_at(number, lambda path=path: first(path))  # type: ignore[misc]
        with closing(Sandbox.open(path)) as sandbox:
            canisters = sandbox.canisters()
            assert len(canisters) <= 1
            assert [c.list_snapshots()[0].label for c in canisters] == ["one"] * len(canisters)
        if not canisters:
            new_state(path)
        number += 7


@contextmanager
def manifest_of(path: Path) -> Iterator[dict[str, Any]]:
    """The record, to be changed."""
    saved = state_manifest.read(path)
    assert saved is not None
    yield saved.record
    state_manifest.write_copy(path, state_manifest.write(path, saved.record))


def test_a_manifest_without_the_later_fields_is_read(tmp_path: Path) -> None:
    canister_id = new_state(tmp_path)
    before = seen(tmp_path, canister_id)
    with manifest_of(tmp_path) as record:
        del record["packs"], record["dropped"]
    assert seen(tmp_path, canister_id) == before

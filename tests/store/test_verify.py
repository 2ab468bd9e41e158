"""Reading a snapshot again names what differs; what is damaged is refused before anything changes, and only that."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.api import runtime_of
from sandbox.errors import StateCorrupt
from sandbox.memory import Pool
from sandbox.store import Reading, Repository
from sandbox.store.manifest import contradictions
from sandbox.store.verify import in_memory, on_disk
from tests.conftest import FIXTURES, rejected
from tests.management.methods import MANAGEMENT, encoded, raw_by_user
from tests.store.conftest import Make

PEOPLE, OTHER = FIXTURES / "people_v1.enhanced.wasm", FIXTURES / "counter.classical.wasm"
PAGE = 64 * 1024
REFUSED = ErrorCode.CANISTER_REJECTED_MESSAGE


def kept(path: Path) -> tuple[Canister, bytes]:
    """A saved canister that has gone on since its only snapshot, with heap, stable memory and module of its own."""
    with Sandbox.open(path) as sandbox:
        canister = sandbox.create_canister()
        canister.install(OTHER)
        canister.call("inc")
        canister.call("grow", 20)
        canister.call("stable_put", 5 * PAGE, os.urandom(3000))
        taken = canister.take_snapshot("one")
        canister.install(PEOPLE, mode="reinstall")
        canister.call("fill", 10)
    return canister, taken.id


def flip(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


def damage_page(path: Path, memory: str) -> int:
    """Flip a byte of the frame with the first page of a memory that is kept; the page's number."""
    repository = Repository(path)
    [entry] = repository.entries()
    [(size, key)] = [(size, key) for name, size, key in repository.manifest(entry).memories if name == memory]
    content = repository.content(size, key)
    first = content.extents()[-1][0] // PAGE
    before = content.read(first * PAGE, PAGE)
    [pack] = (path / "packs").iterdir()
    original = pack.read_bytes()
    for position in range(30, len(original), 97):
        flip(pack, position)
        try:
            again = Repository(path)
            if again.content(size, key).read(first * PAGE, PAGE) != before:
                raise AssertionError("a changed byte was not noticed")
        except StateCorrupt as error:
            if not str(error).startswith("the pack"):
                return first
        pack.write_bytes(original)
    raise AssertionError("no byte of the pack belongs to the page")


def test_what_is_intact_is_read_whole_and_has_the_same_checksum(tmp_path: Path) -> None:
    canister, snapshot_id = kept(tmp_path)
    with Sandbox.open(tmp_path) as sandbox:
        [snapshot] = sandbox.snapshots.list()
        told: list[tuple[int, int]] = []
        found = sandbox.snapshots.verify(snapshot_id, lambda done, total: told.append((done, total)))
        assert (found.intact, found.differs, found.on_disk) == (True, None, True)
        assert found.checksum == snapshot.checksum
        module = len(OTHER.read_bytes())
        assert found.bytes_read > module + 5 * PAGE
        assert told == sorted(told)
        assert told[-1][0] == told[-1][1]
        assert [v.id for v in sandbox.snapshots.verify_all()] == [snapshot_id]
        assert canister.id == found.canister_id


@pytest.mark.parametrize("memory", ["heap", "stable"])
def test_a_damaged_page_is_named_and_never_loaded(tmp_path: Path, memory: str) -> None:
    canister, snapshot_id = kept(tmp_path)
    page = damage_page(tmp_path, memory)
    with Sandbox.open(tmp_path) as sandbox:
        found = sandbox.snapshots.verify(snapshot_id, every=True)
        assert f"{memory} page {page:#x}" in [d.part for d in found.differences]
        assert found.checksum is None
        assert refused(sandbox.canister(canister.id), snapshot_id)


def refused(canister: Canister, snapshot_id: bytes) -> bool:
    before, version, history = canister.raw_state(), canister.status(), canister.list_snapshots()
    with pytest.raises(StateCorrupt):
        canister.load_snapshot(snapshot_id)
    assert canister.raw_state() == before
    assert canister.status() == version
    assert canister.list_snapshots() == history
    assert canister.call("size") == 10
    return True


@pytest.mark.parametrize("where", ["a page", "the manifest"])
def test_a_call_that_loads_a_damaged_snapshot_is_rejected_and_nothing_changes(tmp_path: Path, where: str) -> None:
    canister, snapshot_id = kept(tmp_path)
    if where == "a page":
        damage_page(tmp_path, "stable")
    else:
        [manifest] = (tmp_path / "snapshots").iterdir()
        flip(manifest, 100)
    with Sandbox.open(tmp_path) as sandbox:
        caller, target = sandbox.create_canister(), sandbox.canister(canister.id)
        caller.install(OTHER)
        target.update_settings(controllers=[*target.status().settings.controllers, caller.id])
        before, raw = runtime_of(sandbox).state_of(target.id), target.raw_state()
        platform = encoded("load_canister_snapshot", {"canister_id": target.id, "snapshot_id": snapshot_id})
        for method, arg in (
            ("load_canister_snapshot", platform),
            ("load_snapshot", encoded("load_snapshot", snapshot_id, target.id)),
        ):
            text = f"{method} needs a snapshot whose files are damaged, and nothing has changed."
            refusal = rejected(REFUSED, text, raw_by_user, sandbox, method, arg)
            assert str(tmp_path) not in refusal.message
            rejected(REFUSED, text, caller.call, "forward", MANAGEMENT, method, arg)
            assert (runtime_of(sandbox).state_of(target.id), target.raw_state()) == (before, raw)
        assert not runtime_of(sandbox).subnet.contexts
        assert not runtime_of(sandbox).subnet.callbacks
        assert not runtime_of(sandbox).subnet.queue
        stranger = sandbox.create_canister(controllers=["2vxsx-fae"])
        rejected(REFUSED, "Only a controller", sandbox.snapshots.load, snapshot_id, stranger.id)
        [listed] = raw_by_user(sandbox, "list_snapshots", encoded("list_snapshots", target.id))
        assert (listed["id"], listed["checksum"] == "") == (snapshot_id, where == "the manifest")


def test_a_damaged_module_is_named_and_never_loaded_and_the_rest_goes_on(tmp_path: Path) -> None:
    canister, snapshot_id = kept(tmp_path)
    with Sandbox.open(tmp_path) as sandbox:
        state = runtime_of(sandbox).state_of(canister.id)
        assert state.snapshots[0].code is not None
        digest = state.snapshots[0].code.hash
    flip(tmp_path / "modules" / digest.hex(), 1000)
    with Sandbox.open(tmp_path, max_snapshots=3) as sandbox:
        found = sandbox.snapshots.verify(snapshot_id)
        assert found.differs == "module"
        assert "SHA-256" in found.differences[0].why
        assert refused(sandbox.canister(canister.id), snapshot_id)
        sandbox.canister(canister.id).take_snapshot("two")
    goes_on(tmp_path, snapshot_id)


def goes_on(path: Path, damaged: bytes) -> None:
    """Everything but the damaged snapshot is there, stays through a save, and can be gone on with."""
    with Sandbox.open(path) as sandbox:
        [canister] = sandbox.canisters()
        first, second = canister.list_snapshots()
        assert first.id == damaged
        assert first.damage is not None
        with pytest.raises(StateCorrupt):
            _ = first.checksum
        with pytest.raises(StateCorrupt):
            sandbox.snapshots.download(damaged, path / "out.icsnap")
        with pytest.raises(StateCorrupt):
            canister.load_snapshot(damaged, via_hooks=True)
        canister.load_snapshot(second.id)
        assert sandbox.snapshots.verify(second.id).intact
        canister.delete_snapshot(damaged)
    with Sandbox.open(path) as sandbox:
        [canister] = sandbox.canisters()
        assert [s.label for s in canister.list_snapshots()] == ["two"]
        assert sandbox.snapshots.prune().after > 0
        assert all(found.intact for found in sandbox.snapshots.verify_all())


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the record in the only manifest of a snapshot, leaving its digests."""
    [file] = (path / "snapshots").iterdir()
    header, _, rest = file.read_bytes().partition(b"\n")
    content = cbor2.loads(rest[32:])
    change(content["record"])
    file.write_bytes(header + b"\n" + rest[:32] + cbor2.dumps(content))


@pytest.mark.parametrize("length", [0, 100])
def test_a_torn_pack_keeps_nobody_from_the_canisters(tmp_path: Path, length: int) -> None:
    with Sandbox.open(tmp_path) as sandbox:
        canister = sandbox.create_canister()
        canister.install(PEOPLE)
        canister.call("fill", 9)
        snapshot_id = canister.take_snapshot().id
        canister.call("fill", 1)
    [pack] = (tmp_path / "packs").iterdir()
    pack.write_bytes(pack.read_bytes()[:length])
    with Sandbox.open(tmp_path) as sandbox:
        found = sandbox.snapshots.verify(snapshot_id, every=True)
        assert [d.part.split()[0] for d in found.differences] == ["heap"]
        assert refused(sandbox.canister(canister.id), snapshot_id)
        sandbox.canister(canister.id).call("fill", 1)
    with Sandbox.open(tmp_path) as sandbox:
        assert sandbox.canister(canister.id).call("size") == 11


def changed_global(record: dict[str, Any], slot: int) -> None:
    values = bytearray(record["globals"])
    values[slot * 16 + 1] ^= 1
    record["globals"] = bytes(values)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("label", lambda record: record.update(label="other")),
        ("module", lambda record: record.update(code=bytes(32))),
        ("taken_on", lambda record: record.update(taken_at=record["taken_at"] + 1)),
        ("heap", lambda record: record["heap"].__setitem__(1, b"x" * 32)),
        ("global 2", lambda record: changed_global(record, 2)),
        ("global 28", lambda record: changed_global(record, 23)),  # 23 to 27 are immutable
        ("checksum", lambda record: record.update(checksum=bytes(32))),
    ],
)
def test_a_tampered_manifest_is_named_and_never_loaded(tmp_path: Path, part: str, change: Any) -> None:
    canister, snapshot_id = kept(tmp_path)
    rewrite(tmp_path, change)
    with Sandbox.open(tmp_path, max_snapshots=3) as sandbox:
        found = sandbox.snapshots.verify(snapshot_id, every=True)
        assert [d.part for d in found.differences] == [part]
        assert f"{part} contradicts its digest" in found.differences[0].why
        assert found.canister_id == canister.id
        assert refused(sandbox.canister(canister.id), snapshot_id)
        sandbox.canister(canister.id).take_snapshot("two")
    goes_on(tmp_path, snapshot_id)


def test_a_torn_or_missing_manifest_is_named(tmp_path: Path) -> None:
    canister, snapshot_id = kept(tmp_path)
    [file] = (tmp_path / "snapshots").iterdir()
    for damaged in (lambda: file.write_bytes(file.read_bytes()[:100]), file.unlink):
        damaged()
        with Sandbox.open(tmp_path) as sandbox:
            assert sandbox.snapshots.verify(snapshot_id).differs == "manifest"
            assert refused(sandbox.canister(canister.id), snapshot_id)


def test_nothing_is_pruned_while_a_manifest_cannot_be_read(tmp_path: Path) -> None:
    kept(tmp_path)
    rewrite(tmp_path, lambda record: record.update(label="other"))
    before = files(tmp_path)
    with Sandbox.open(tmp_path) as sandbox, pytest.raises(StateCorrupt):
        sandbox.snapshots.prune()
    assert files(tmp_path) == before


def files(path: Path) -> list[str]:
    return sorted(file.name for part in ("packs", "modules", "snapshots") for file in (path / part).iterdir())


def test_a_manifest_that_another_put_in_place_is_noticed_while_it_is_open(tmp_path: Path) -> None:
    _, snapshot_id = kept(tmp_path)
    with Sandbox.open(tmp_path) as sandbox:
        rewrite(tmp_path, lambda record: record.update(label="other"))
        assert sandbox.snapshots.verify(snapshot_id).differs == "label"


def test_every_damaged_page_is_named_when_asked_for(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    heap = pool.memory(200 * PAGE)
    for page in range(0, 200, 10):
        heap.write(page * PAGE, os.urandom(PAGE))
    [entry] = Repository(tmp_path).put([snapshot(1, heap)])
    [pack] = (tmp_path / "packs").iterdir()
    flip(pack, pack.stat().st_size // 2)
    parts = [d.part for d in on_disk(Repository(tmp_path), entry, None, Reading())]
    assert parts
    assert len(parts) < 20
    numbers = [int(part.removeprefix("heap page "), 16) for part in parts]
    assert numbers == sorted(numbers)
    assert all(number % 10 == 0 for number in numbers)


def test_bytes_in_memory_that_changed_unseen_are_named(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path) as sandbox:
        canister = sandbox.create_canister()
        canister.install(OTHER)
        canister.call("grow", 20)
        canister.call("stable_put", 5 * PAGE, b"x" * 100)
        taken = canister.take_snapshot()
        assert sandbox.snapshots.verify(taken.id).checksum == taken.checksum
        assert not sandbox.snapshots.verify(taken.id).on_disk
        state = runtime_of(sandbox).state_of(canister.id)
        with open(tmp_path / "memories" / state.stable.name, "r+b") as file:
            file.seek(5 * PAGE + 50)
            file.write(b"y")
        found = sandbox.snapshots.verify(taken.id)
        assert found.differs == "stable page 0x5"
        assert found.checksum is None


def test_a_module_in_memory_that_is_not_its_hash_is_named(pool: Pool, snapshot: Make) -> None:
    from sandbox.state import WasmModule

    state = snapshot(1, pool.memory(PAGE), code=WasmModule(b"\0asm\1\0\0\1", b"h" * 32))
    assert [d.part for d in in_memory(state, Reading())] == ["module"]


def test_contradictions_of_what_is_not_there(tmp_path: Path) -> None:
    assert contradictions(tmp_path / "nothing", Repository(tmp_path).module) is None

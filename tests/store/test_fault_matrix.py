"""Every file of a state directory but its memories, changed, cut off, deleted, exchanged: noticed or harmless.

Noticed: an error, or the damage of a snapshot, that names the file. Nothing else is lost: the canisters and the other
snapshots are exact, or the directory is refused, and is whole again once the file is back.
"""

from __future__ import annotations

import random
import shutil
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from sandbox import Canister, RawState, Sandbox, Snapshot
from sandbox.errors import StateCorrupt, StateError, StateWarning
from sandbox.pagestore.pack import Pack
from tests.management.methods import by_user
from tests.snapshots.writer import tell, writer
from tests.store.live import canister, flip, live_state, opened

PLACES = 200
FEW = 4
HARMLESS = {"lock", "manifest.reserve", "manifest.copy"}
KINDS = ("lock", "manifest", "manifest.copy", "manifest.reserve", "journal", "modules", "packs", "snapshots")
kinds = pytest.mark.parametrize("kind", KINDS)


class Sample(NamedTuple):
    """A state directory, what is in it, and the content of its files."""

    path: Path
    canisters: dict[str, RawState]
    snapshots: dict[bytes, str]
    files: dict[str, bytes]

    def of(self, kind: str) -> list[str]:
        """The files of a kind."""
        return sorted(name for name in self.files if name == kind or name.startswith((f"{kind}/", f"{kind}-")))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Two canisters, three modules of which one is only a snapshot's, chunks, and five snapshots in four packs."""
    path = tmp_path_factory.mktemp("matrix") / "state"
    with Sandbox.open(path, max_snapshots=5) as sandbox:
        one, other = sandbox.create_canister(), sandbox.create_canister()
        one.install(writer(3))
        tell(one, "stable_grow", 1)
        one.take_snapshot("with another module")
        sandbox.save()
        other.install(writer(2))
        by_user(sandbox, "upload_chunk", {"canister_id": other.id, "chunk": b"a chunk"})
        one.install(writer(1), mode="reinstall")
        tell(one, "grow", 20)
        rng = random.Random(1)
        for number in range(3):
            for page in range(60):
                tell(one, "poke", page * 20_000 + rng.randrange(9_000), rng.randrange(9_000), rng.randrange(256))
            one.take_snapshot(f"number {number}")
            sandbox.save()
        tell(other, "stable_grow", 1)
        other.take_snapshot("other")
        sandbox.save()
        tell(one, "poke", 5, 1_000, 3)
    files = {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and "memories" not in file.parts
    }
    with closing(Sandbox.open(path, read_only=True)) as sandbox:
        canisters = {str(canister.id): canister.raw_state() for canister in sandbox.canisters()}
        snapshots = {snapshot.id: snapshot.checksum for snapshot in sandbox.snapshots.list()}
    assert len(snapshots) == 5
    return Sample(path, canisters, snapshots, files)


def looked(sample: Sample, path: Path, names: list[str]) -> set[bytes]:
    """Check that damage in the files `names` is noticed or harmless; the snapshots that are damaged, or all."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", StateWarning)
        try:
            sandbox = Sandbox.open(path, read_only=True)
        except StateError as refusal:
            why = str(refusal)
            sandbox = None
    if sandbox is None:
        assert any(str(path / name) in why for name in names), why
        return set(sample.snapshots)
    assert all(any(str(path / name) in str(warning.message) for name in names) for warning in said)
    with closing(sandbox):
        assert {str(c.id): c.raw_state() for c in sandbox.canisters()} == sample.canisters
        snapshots = {snapshot.id: snapshot for snapshot in sandbox.snapshots.list()}
        assert snapshots.keys() == sample.snapshots.keys()
        return {
            s.id for s in snapshots.values() if not intact(sample, sandbox, s, [str(path / name) for name in names])
        }


def intact(sample: Sample, sandbox: Sandbox, snapshot: Snapshot, names: list[str]) -> bool:
    """Whether the snapshot is what it was, by every byte; if not, a file that was damaged is named."""
    found = sandbox.snapshots.verify(snapshot.id, every=True)
    if found.intact:
        assert (found.checksum, snapshot.damage) == (sample.snapshots[snapshot.id], None)
        return True
    assert any(name in difference.why for name in names for difference in found.differences), found.differences
    return False


def allowed(sample: Sample, names: list[str]) -> int:
    """How many snapshots damage in these files may harm without the directory being refused."""
    folder = names[0].partition("/")[0]
    return len(names) if folder == "snapshots" else len(sample.snapshots)


@contextmanager
def fault(sample: Sample, change: dict[str, bytes | None]) -> Iterator[list[str]]:
    """The directory with other contents of these files, or without them; afterwards they are back."""
    try:
        for name, content in change.items():
            if content is None:
                (sample.path / name).unlink()
            else:
                (sample.path / name).write_bytes(content)
        yield list(change)
    finally:
        for name in change:
            (sample.path / name).write_bytes(sample.files[name])


def flipped(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def places(content: bytes, rng: random.Random, count: int) -> list[int]:
    """Everywhere in a small file; in others the beginning, the end, and at random."""
    if len(content) <= count:
        return list(range(len(content)))
    edges = [*range(30), *range(len(content) - 50, len(content))] if count > 100 else []
    return edges + [rng.randrange(len(content)) for _ in range(count - len(edges))]


def lengths(content: bytes) -> list[int]:
    found = {0, 1, 23, 24, 40, len(content) // 3, len(content) - 44, len(content) - 1}
    return sorted(length for length in found if 0 <= length < len(content))


Change = dict[str, bytes | None]


def flips(sample: Sample, kind: str, count: int) -> Iterator[Change]:
    rng = random.Random(kind)
    for name in sample.of(kind):
        content = sample.files[name]
        for place in places(content, rng, count):
            yield {name: flipped(content, place, rng.randrange(8))}


def cuts(sample: Sample, kind: str) -> Iterator[Change]:
    for name in sample.of(kind):
        yield {name: None}
        for length in lengths(sample.files[name]):
            yield {name: sample.files[name][:length]}
        yield {name: sample.files[name] + b"more"}


def exchanges(sample: Sample, kind: str) -> Iterator[Change]:
    names = sample.of(kind)
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            yield {one: sample.files[other], other: sample.files[one]}
            yield {one: sample.files[other]}


@pytest.mark.slow
@kinds
def test_a_changed_byte_anywhere_is_noticed_or_harmless(sample: Sample, kind: str) -> None:
    noticed = 0
    for change in flips(sample, kind, PLACES):
        with fault(sample, change) as names:
            harmed = looked(sample, sample.path, names)
            assert len(harmed) <= allowed(sample, names) or harmed == set(sample.snapshots)
            noticed += bool(harmed)
    assert (noticed > 0) == (kind not in HARMLESS), "the digit of the manifest's version is noticed"
    assert looked(sample, sample.path, []) == set()


@kinds
def test_what_is_cut_deleted_or_exchanged_is_noticed_or_harmless(sample: Sample, kind: str) -> None:
    for change in [*cuts(sample, kind), *exchanges(sample, kind)]:
        with fault(sample, change) as names:
            harmed = looked(sample, sample.path, names)
            assert len(harmed) <= allowed(sample, names) or harmed == set(sample.snapshots)
    assert looked(sample, sample.path, []) == set()


@pytest.mark.slow
@kinds
def test_going_on_with_the_damage_loses_nothing_else(sample: Sample, tmp_path: Path, kind: str) -> None:
    """What is saved meanwhile is whole, and all is whole once the file is back."""
    for number, change in enumerate([*cuts(sample, kind), *exchanges(sample, kind), *flips(sample, kind, FEW)]):
        path = tmp_path / str(number)
        shutil.copytree(sample.path, path)
        copy = Sample(path, sample.canisters, sample.snapshots, sample.files)
        with fault(copy, change), warnings.catch_warnings():
            warnings.simplefilter("ignore", StateWarning)
            try:
                taken = gone_on(path)
            except StateError:
                taken = {}
            after = sample.files | {str(f.relative_to(path)): f.read_bytes() for f in path.iterdir() if f.is_file()}
        if taken:  # what a later save has written is newer than what was there
            for name in ("manifest", "manifest.copy"):
                (path / name).write_bytes(after[name])
        with closing(Sandbox.open(path)) as sandbox:
            assert {str(c.id): c.raw_state() for c in sandbox.canisters()} == sample.canisters
            found = {s.id: sandbox.snapshots.verify(s.id).checksum for s in sandbox.snapshots.list()}
        assert found == sample.snapshots | taken, change.keys()
        shutil.rmtree(path)


def gone_on(path: Path) -> dict[bytes, str]:
    """Take snapshots, save and prune; the snapshots."""
    with closing(Sandbox.open(path, max_snapshots=9)) as sandbox:
        taken = [canister.take_snapshot("meanwhile") for canister in sandbox.canisters()]
        sandbox.save()
        with suppress(StateCorrupt):
            sandbox.snapshots.prune()
        return {snapshot.id: snapshot.checksum for snapshot in taken}


def test_a_frame_that_claims_to_be_larger_takes_no_memory(sample: Sample) -> None:
    """Every bit of the head of a compressed frame, which says how large the content is."""
    pack = Pack.at(sample.path / sample.of("packs")[0])
    start, name = pack.frames[0], f"packs/{pack.path.name}"
    for place in range(start, start + 14):
        for bit in range(8):
            with fault(sample, {name: flipped(sample.files[name], place, bit)}), suppress(StateCorrupt):
                assert pack.frame(0) is not None, "a bit that says nothing about the content"


def test_an_intact_snapshot_is_loaded_although_what_the_memory_stands_on_is_damaged(tmp_path: Path) -> None:
    """The live memory differs by a few pages from a snapshot whose pack is damaged; the other is in another pack."""
    live, loaded = live_state(tmp_path / "state"), 0
    for pack in (live.path / "packs").iterdir():
        for place in range(40, pack.stat().st_size, 97):
            flip(pack, place)
            with suppress(StateError), opened(live.path) as sandbox:
                victim = canister(sandbox, live.victim)
                assert victim.raw_state() == live.saved
                intact = {label: sandbox.snapshots.verify(found).intact for label, found in live.snapshots.items()}
                for label in [label for label in intact if intact[label]]:
                    with sandbox.anchor():
                        loads(victim, live.snapshots[label])
                        assert victim.raw_state() == live.kept[label]
                    loaded += not all(intact.values())
                sandbox.state_hash()
            flip(pack, place)
    assert loaded > 0


def loads(victim: Canister, snapshot: bytes) -> None:
    try:
        victim.load_snapshot(snapshot)
    except StateError as error:
        raise AssertionError("an intact snapshot was refused") from error

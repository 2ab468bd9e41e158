"""A state directory, what it must hold, and everything that can happen to its canisters and snapshots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sandbox import CallRejected, Canister, Principal, RawState, Sandbox, Snapshot
from sandbox.api import runtime_of
from sandbox.memory import Readable
from sandbox.pagestore.memory_trees import tree
from sandbox.state import SnapshotState
from sandbox.store.checksum import snapshot_checksum
from tests.management.methods import by_user
from tests.snapshots.writer import WASM, calls_of, facts, root, tell, writer

Step = tuple[str, int, int, int]
"""A method of `Sample`, and numbers for it to choose by."""

_MOST_CANISTERS = 4


@dataclass(frozen=True)
class Kept:
    """What a snapshot must bring back. `hooks`: only its stable memory and the answer; `checksum`: once it was asked
    for."""

    raw: RawState
    hooks: bool = False
    uploaded: bool = False
    checksum: str | None = None


@dataclass
class Model:
    """What there must be: canisters and, in order, their snapshots."""

    live: dict[Principal, RawState] = field(default_factory=dict)
    kept: dict[bytes, Kept] = field(default_factory=dict)

    def copy(self) -> Model:
        return Model(dict(self.live), dict(self.kept))

    def of(self, owner: Principal) -> list[bytes]:
        return [snapshot_id for snapshot_id in self.kept if snapshot_id[8:] == bytes(owner)]


def same(found: RawState, wanted: RawState) -> None:
    """Fails with something short."""
    assert found == wanted, f"{facts(found)} is not {facts(wanted)}"


class Sample:
    """Every step does something through the public face and tells the model; what was not touched is checked later."""

    def __init__(self, path: Path, most: int, strategy: str | None = None) -> None:
        self.path = path
        self.most = most
        self.strategy = strategy
        self.files = 0
        self.model = Model()
        self.saved = Model()
        self.anchors: list[tuple[ExitStack, Model]] = []
        self.sandbox = self.opened()
        for _ in range(2):
            self.create(0, 0, 0)
        self.save(0, 0, 0)

    def opened(self) -> Sandbox:
        return Sandbox.open(self.path / "state", max_snapshots=self.most, strategy=self.strategy)

    # Choosing

    def canister(self, number: int) -> Canister:
        names = list(self.model.live)
        return self.sandbox.canister(names[number % len(names)])

    def snapshot(self, number: int, wanted: Callable[[Kept], bool] = lambda kept: True) -> bytes | None:
        found = [snapshot_id for snapshot_id, kept in self.model.kept.items() if wanted(kept)]
        return found[number % len(found)] if found else None

    def attempt(self, canister: Canister, action: Callable[..., Any], *args: Any, **how: Any) -> Any:
        """Do it; None, and nothing has changed, if it is rejected."""
        try:
            done = action(*args, **how)
        except CallRejected:
            same(canister.raw_state(), self.model.live[canister.id])
            return None
        return True if done is None else done

    def looked_at(self, canister: Canister) -> None:
        self.model.live[canister.id] = canister.raw_state()

    def made(self, snapshot: Snapshot | None, kept: Kept, ask: int, *, replacing: bool = True) -> None:
        """There is a new snapshot; where only one may be, it took the place of the others."""
        if snapshot is None:
            return
        if replacing and self.most == 1:
            for gone in self.model.of(snapshot.canister_id):
                del self.model.kept[gone]
        self.model.kept[snapshot.id] = replace(kept, checksum=snapshot.checksum if ask % 2 else None)

    # Canisters

    def create(self, a: int, b: int, c: int) -> None:
        if len(self.model.live) < _MOST_CANISTERS:
            canister = self.sandbox.create_canister()
            canister.install(writer(1 + a % 2))
            self.looked_at(canister)

    def remove(self, a: int, b: int, c: int) -> None:
        if len(self.model.live) > 2:
            canister = self.canister(a)
            canister.stop()
            canister.delete()
            for gone in self.model.of(canister.id):
                del self.model.kept[gone]
            del self.model.live[canister.id]

    def poke(self, a: int, b: int, c: int) -> None:
        canister = self.canister(a)
        size = len(self.model.live[canister.id].heap) or WASM
        offset = b * 997 % size
        self._tell(canister, "poke", offset, min(size - offset, (5, 4096, 70_000, 400_000)[c % 4]), c % 3 * 77, a // 4)

    def stable_poke(self, a: int, b: int, c: int) -> None:
        canister = self.canister(a)
        size = len(self.model.live[canister.id].stable) or WASM
        offset = b * 991 % size
        self._tell(
            canister, "stable_poke", offset, min(size - offset, (5, 4096, 70_000, 100_000)[c % 4]), c % 3 * 77, a // 4
        )

    def grow(self, a: int, b: int, c: int) -> None:
        canister = self.canister(a)
        if len(self.model.live[canister.id].heap) < 30 * WASM:
            self._tell(canister, "grow", 1 + b % 12, a // 4)

    def stable_grow(self, a: int, b: int, c: int) -> None:
        canister = self.canister(a)
        if len(self.model.live[canister.id].stable) < 20 * WASM:
            self._tell(canister, "stable_grow", 1 + b % 8, a // 4)

    def _tell(self, canister: Canister, method: str, *numbers: int) -> None:
        *rest, trap = numbers
        if self.attempt(canister, tell, canister, method, *rest, 1 if trap == 7 else 0):
            self.looked_at(canister)

    def upgrade(self, a: int, b: int, c: int) -> None:
        canister = self.canister(a)
        if self.attempt(canister, canister.install, writer(1 + b % 2), mode="upgrade"):
            self.looked_at(canister)

    def reinstall(self, a: int, b: int, c: int) -> None:
        canister = self.canister(a)
        canister.install(writer(1 + b % 2), mode="reinstall")
        self.looked_at(canister)

    def uninstall(self, a: int, b: int, c: int) -> None:
        canister = self.canister(a)
        canister.uninstall()
        self.looked_at(canister)

    # Snapshots

    def take(self, a: int, b: int, c: int) -> None:
        canister = self.canister(a)
        taken = self.attempt(canister, canister.take_snapshot, f"label {b}")
        self.made(taken, Kept(self.model.live[canister.id]), c)

    def take_via_hooks(self, a: int, b: int, c: int) -> None:
        canister = self.canister(a)
        taken = self.attempt(canister, canister.take_snapshot, via_hooks=True)
        raw = self.model.live[canister.id]
        same(canister.raw_state(), raw)
        stable = raw.stable or bytes(WASM)
        stable = calls_of(raw).to_bytes(8, "little") + stable[8:]
        self.made(taken, Kept(replace(raw, globals=b"", heap=b"", stable=stable), hooks=True), c)

    def load(self, a: int, b: int, c: int) -> None:
        """Its own or another canister's."""
        canister, chosen = self.canister(a), self.snapshot(b)
        if chosen is None:
            return
        kept = self.model.kept[chosen]
        if kept.hooks:
            self._load_via_hooks(canister, chosen, kept)
            return
        canister.load_snapshot(chosen)
        same(canister.raw_state(), kept.raw)
        self.looked_at(canister)

    def load_via_hooks(self, a: int, b: int, c: int) -> None:
        canister, chosen = self.canister(a), self.snapshot(b)
        if chosen is not None:
            self._load_via_hooks(canister, chosen, self.model.kept[chosen])

    def _load_via_hooks(self, canister: Canister, chosen: bytes, kept: Kept) -> None:
        calls = int.from_bytes(kept.raw.stable[:8], "little") if kept.hooks else calls_of(kept.raw)
        canister.load_snapshot(chosen, via_hooks=True)
        raw = canister.raw_state()
        assert calls_of(raw) == calls
        assert raw.module == kept.raw.module
        assert raw.stable[8:] == (kept.raw.stable or bytes(WASM))[8:]
        self.looked_at(canister)

    def delete(self, a: int, b: int, c: int) -> None:
        chosen = self.snapshot(a)
        if chosen is not None:
            self.sandbox.snapshots.delete(chosen)
            del self.model.kept[chosen]

    def edit(self, a: int, b: int, c: int) -> None:
        chosen = self.snapshot(a)
        if chosen is None:
            return
        kept = self.model.kept[chosen]
        part = "stable" if kept.hooks or b % 2 else "heap"
        old = getattr(kept.raw, part)
        size = len(old) + (c % 4 - 1) * WASM
        at, data = b * 983 % max(1, size - 6), bytes([b % 256]) * 6
        canister = self.sandbox.canister(Principal(chosen[8:]))
        edited = self.attempt(
            canister,
            self.sandbox.snapshots.edit,
            chosen,
            **{f"{part}_size": size, part: {at: data}},
        )
        if edited is not None:
            new = bytearray(old[:size] + bytes(max(0, size - len(old))))
            new[at : at + 6] = data
            raw = replace(kept.raw, **{part: bytes(new)})
            self.made(edited, replace(kept, raw=raw), c, replacing=False)

    # Files and slices

    def move(self, a: int, b: int, c: int) -> None:
        """Download in one of the formats, upload to any canister."""
        chosen, canister = self.snapshot(a), self.canister(b)
        if chosen is None:
            return
        path = self._downloaded(chosen, c)
        uploaded = self.attempt(canister, self.sandbox.snapshots.upload, canister.id, path)
        self.made(uploaded, replace(self.model.kept[chosen], uploaded=True), c // 2, replacing=False)

    def create_from(self, a: int, b: int, c: int) -> None:
        """A new canister from a file or from a snapshot here."""
        chosen = self.snapshot(a, lambda kept: not kept.hooks)
        if chosen is not None and len(self.model.live) < _MOST_CANISTERS:
            source = chosen if b % 2 else self._downloaded(chosen, c)
            canister = self.sandbox.snapshots.create_canister(source)
            same(canister.raw_state(), self.model.kept[chosen].raw)
            self.looked_at(canister)

    def _downloaded(self, chosen: bytes, form: int) -> Path:
        self.files += 1
        one = self.model.kept[chosen].hooks or form % 2
        return self.sandbox.snapshots.download(chosen, self.path / (f"{self.files}.icsnap" if one else str(self.files)))

    def slice(self, a: int, b: int, c: int) -> None:
        """Write into an uploaded snapshot."""
        chosen = self.snapshot(a, lambda kept: kept.uploaded)
        if chosen is None:
            return
        kept = self.model.kept[chosen]
        part = "stable" if kept.hooks or b % 2 else "heap"
        old = getattr(kept.raw, part)
        at, data = b * 977 % max(1, len(old) - 9), bytes([c % 251]) * 9
        if at + 9 > len(old):
            return
        kind = {"heap": "wasm_memory", "stable": "stable_memory"}[part]
        place = {"kind": {kind: {"offset": at}}, "chunk": data}
        owner = Principal(chosen[8:])
        by_user(self.sandbox, "upload_canister_snapshot_data", {"canister_id": owner, "snapshot_id": chosen, **place})
        raw = replace(kept.raw, **{part: old[:at] + data + old[at + 9 :]})
        self.model.kept[chosen] = replace(kept, raw=raw, checksum=None)

    # The directory

    def save(self, a: int, b: int, c: int) -> None:
        self.sandbox.save()
        self.saved = self.model.copy()

    def reopen(self, a: int, b: int, c: int) -> None:
        """Another process goes on."""
        self.undo_all()
        self.save(0, 0, 0)
        self._again(a)

    def crash(self, a: int, b: int, c: int) -> None:
        """Another process goes on from what was saved."""
        self.undo_all()
        self.model = self.saved.copy()
        self._again(a)

    def _again(self, how: int) -> None:
        self.sandbox.close()
        self.sandbox = self.opened()
        if how % 3:
            self.check()

    def prune(self, a: int, b: int, c: int) -> None:
        directory = runtime_of(self.sandbox).directory
        assert directory is not None
        directory.prune()

    def anchor(self, a: int, b: int, c: int) -> None:
        stack = ExitStack()
        self.anchors.append((stack, self.model.copy()))
        stack.enter_context(self.sandbox.anchor())

    def undo(self, a: int, b: int, c: int) -> None:
        if self.anchors:
            stack, self.model = self.anchors.pop()
            stack.close()
            for canister_id, raw in self.model.live.items():
                same(self.sandbox.raw_state(canister_id), raw)

    def undo_all(self) -> None:
        while self.anchors:
            self.undo(0, 0, 0)

    # Checking

    def check(self) -> None:
        """Everything is what the model says, without changing anything."""
        model, sandbox = self.model, self.sandbox
        assert sorted(model.live) == [canister.id for canister in sandbox.canisters()]
        for canister_id, raw in model.live.items():
            same(sandbox.raw_state(canister_id), raw)
            states = runtime_of(sandbox).state_of(canister_id).snapshots
            assert [state.id for state in states] == model.of(canister_id)
            for state in states:
                kept = model.kept[state.id]
                self.check_snapshot(state, kept)
                model.kept[state.id] = replace(kept, checksum=snapshot_checksum(state).hex())

    def check_snapshot(self, state: SnapshotState, kept: Kept) -> None:
        found = RawState(kept.raw.module, kept.raw.globals, bytes_of(state.heap), bytes_of(state.stable))
        same(found, kept.raw)
        assert (tree(state.heap).root, tree(state.stable).root) == (root(state.heap), root(state.stable))
        assert kept.checksum in (None, snapshot_checksum(state).hex())

    def check_loads(self) -> None:
        """Every snapshot can be loaded, into any canister, and that can be undone."""
        for number, chosen in enumerate(list(self.model.kept)):
            self.anchor(0, 0, 0)
            self.load(number, list(self.model.kept).index(chosen), 0)
            self.undo(0, 0, 0)


def bytes_of(content: Readable) -> bytes:
    return content.read(0, content.size)


def play(path: Path, steps: Sequence[Step], most: int, strategy: str | None = None) -> None:
    """Carry out the steps; then another process, and one more after it, finds everything as it must be."""
    sample = Sample(path, most, strategy)
    try:
        for name, *numbers in steps:
            getattr(sample, name)(*numbers)
        for last in (sample.reopen, sample.crash):
            last(1, 0, 0)
            sample.check_loads()
        for number in range(len(sample.model.kept)):
            sample.load(number, number, 0)
    finally:
        while sample.anchors:
            sample.anchors.pop()[0].close()
        sample.sandbox.close()

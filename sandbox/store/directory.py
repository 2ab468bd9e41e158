"""The state directory: all canisters of a sandbox on disk, replaced atomically by each save.

    lock                  held (flock) by the process that uses the directory
    manifest              the generation and every record; replaced by rename (`state_manifest.py`)
    manifest.copy         the same bytes
    manifest.reserve      zeros: space that is freed when the disk is full (`reserve.py`)
    memories/N.memory     committed bytes of one memory, or the checks of one (`checks.py`), sparse
    modules/, packs/, snapshots/    snapshots and modules, write-once (`repository.py`)
    journal-G             the old pages that take the memories back to generation G

The rename of the manifest is the one moment at which a save happens. Before it, `journal-G` with G its own
generation says that the memories have changed since: opening takes them back. After it, the journal is of an older
generation and void; the next one is there already, so that nothing can fail between the two. Content that contradicts
its checksum is never used. Snapshots are finished before the rename; deleted ones are removed after it.

Only files of this format are deleted: those that the manifest names, or whose content is as their names say. All other
files stay.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import fork
from sandbox.errors import StateCorrupt, StateError, of_system
from sandbox.memory import Image, Journal, Memory, Pool
from sandbox.memory.host import sync
from sandbox.pagestore.prune import Pruned
from sandbox.principal import Principal
from sandbox.state import CanisterState, SnapshotState, Subnet, WasmModule
from sandbox.store import state_manifest
from sandbox.store.base_trees import BaseTrees
from sandbox.store.checks import CheckRecords, Checks, table_names
from sandbox.store.encodings import Encoded, Encodings, array, joined
from sandbox.store.lock import locked, unlock
from sandbox.store.records import Sources, States, decode_subnet, encode_canister, encode_subnet, memory_part
from sandbox.store.repository import Entry, Repository, memories
from sandbox.store.reserve import Reserve

_GARBAGE = 2, 64 << 20
"""Factor and bytes: packs are pruned above this multiple of their size after the last pruning plus these bytes."""
_SPARE = 64 << 10
"""Bytes that a save needs for journals, directories and the list of packs to be deleted."""


class StateDirectory:
    """An open, locked state directory: one process at a time, or any number of readers. `close` releases the lock.

    `warning`: damage in spite of which it could be opened, None if there is none.
    """

    def __init__(
        self, path: Path, lock_timeout: float = 10.0, strategy: str | None = None, *, read_only: bool = False
    ) -> None:
        self.path = path
        self.read_only = read_only
        self._lock = locked(path, lock_timeout, shared=read_only)
        try:
            saved = state_manifest.read(path)
            self._record: state_manifest.StateRecord = saved.record if saved else {}
            self.warning = saved.warning if saved else None
            self.generation: int = self._record.get("generation", 0)
            self.pool = Pool(path / "memories", strategy, read_only=read_only)
            self._recover()
            self.repository = Repository(path, self._record.get("packs"), read_only=read_only)
        except BaseException:
            unlock(self._lock)
            raise
        self._following: tuple[int, Journal] | None = None
        """During a save: its generation, and the journal that begins with it."""
        self._saved: dict[str, int] = {}
        self._modules: set[str] = set()
        self._bases = BaseTrees(self.repository)
        self.checks = Checks(self.pool, self._record.get("checks", {}))
        self._kept: dict[bytes, tuple[SnapshotState, Entry]] = {}
        self._packed: int = self._record.get("packed", 0)
        self._encodings = Encodings()
        self._reserve = Reserve(path / "manifest.reserve")
        fork.own(self)

    def load(self, subnet: Subnet) -> None:
        """Fill a fresh subnet with the saved state, and begin to journal its memories."""
        if self._record:
            sources = Sources(self.checks.open, self.repository.module, self._snapshot)
            decode_subnet(self._record["subnet"], subnet, sources)
        needed = _Needed.by(subnet)
        self._bases.load(self._record.get("bases", {}), needed.memories)
        if not self.read_only:
            self.pool.prune(needed.names | self.checks.tables, self._record.get("dropped", ()))
            self._reserve.spend(lambda: self.pool.begin_journal(self._journal(self.generation)))
        self._note(needed)
        self._record = {}

    def _snapshot(self, name: str) -> SnapshotState:
        """Load a snapshot; a damaged one becomes a placeholder, so that the rest of the state can be used."""
        entry = Entry(bytes.fromhex(name.partition("-")[0]), name)
        try:
            snapshot = self.repository.get(entry)
        except StateCorrupt as error:
            snapshot = self.repository.damaged(entry, str(error))
        self._kept[snapshot.id] = snapshot, entry
        return snapshot

    def save(self, subnet: Subnet) -> None:
        """Save the subnet's present state, all or nothing; when it returns, it is on the disk."""
        self._check_writable("saved")
        self.settle()
        self.checks.prove(lambda name: _part(subnet, name))
        known = {entry.name for _, entry in self._kept.values()}
        self._keep_snapshots(subnet)
        needed = _Needed.by(subnet)
        try:
            manifest, checks = self._reserve.spend(lambda: self._put_manifest(subnet, needed))
        except BaseException as error:
            self.settle()
            if isinstance(error, OSError):
                of_system(error)
                raise StateError(f"{self.path} cannot be saved: {error}") from error
            raise
        self._note(needed)
        self.checks.saved(checks)
        try:
            self._clear_away(needed, manifest)
            self._forget_snapshots(known)
        except OSError as error:
            of_system(error)
            raise StateError(f"{self.path} was saved, but could not be cleared up: {error}") from error
        self._reserve.keep(2 * len(manifest) + _SPARE)

    def _put_manifest(self, subnet: Subnet, needed: _Needed) -> tuple[bytes, CheckRecords]:
        """Save up to and including the rename of the manifest; return its bytes and its checks of the memories."""
        self.settle()
        following = self.pool.prepare_journal(self._journal(self.generation + 1))
        self._following = self.generation + 1, following
        self._modules |= needed.modules  # from the rename on they are needed
        checks = self.checks.renew(needed.memories, self._saved)
        sync(self.path / "memories")
        for code in needed.codes:
            self.repository.keep_module(code)
        record = {
            "generation": self.generation + 1,
            "subnet": encode_subnet(subnet, self._encode_canisters),
            "bases": self._bases.dump(needed.memories),
            "packed": self._packed,
            "packs": self.repository.objects.names,
            "dropped": self.pool.unneeded(needed.names | table_names(checks)),
            "checks": self._encode_checks(checks),
        }
        manifest = state_manifest.write(self.path, record)
        self._encodings.end()
        return manifest, checks

    def _encode_canisters(self, states: States) -> Encoded:
        def record(_: Principal, state: CanisterState) -> dict[str, Any]:
            return encode_canister(state, lambda snapshot: self._kept[snapshot.id][1].name)

        return array(self._encodings.of(states, record))

    def _encode_checks(self, checks: CheckRecords) -> Encoded:
        return joined(self._encodings.of(checks.items(), lambda name, record: {name: record}))

    def settle(self) -> None:
        """Finish an interrupted save: after the rename of the manifest it has happened, before it has not.

        Costs nothing if there is none. May be repeated until it returns.
        """
        if self._following is None:
            return
        generation, following = self._following
        record = state_manifest.present(self.path)
        if record is not None and record["generation"] == generation:
            self.checks.saved(record["checks"])
            self._switch(generation, following)
        else:
            following.discard()
        self._following = None

    def _clear_away(self, needed: _Needed, manifest: bytes) -> None:
        """After the rename: write the copy, delete memories no longer needed, switch to the new journal."""
        assert self._following is not None
        try:
            sync(self.path)
            self._reserve.spend(lambda: state_manifest.write_copy(self.path, manifest))
            self.pool.prune(needed.names | self.checks.tables)
        finally:
            self._switch(*self._following)
            self._following = None

    def _switch(self, generation: int, following: Journal) -> None:
        """Switch to the saved generation and its journal. May be repeated."""
        self.generation = generation
        self.pool.switch_journal(following)

    def _keep_snapshots(self, subnet: Subnet) -> None:
        """Store the snapshots that are not stored yet; afterwards `_kept` has exactly those of the subnet."""
        snapshots = [snapshot for state in subnet.canisters.values() for snapshot in state.snapshots]
        kept, new = {}, []
        for snapshot in snapshots:
            known = self._kept.get(snapshot.id)
            if known is not None and known[0] is snapshot:
                kept[snapshot.id] = known
            else:
                new.append(snapshot)
        for snapshot in new:
            _check_bytes(snapshot)
        if new:
            entries = self.repository.put(new, self._bases.tree)
            kept.update({s.id: (s, entry) for s, entry in zip(new, entries, strict=True)})
            self._bases.note(new, _memories(subnet))
        self._kept = kept

    def _forget_snapshots(self, known: set[str]) -> None:
        """Delete the manifests of deleted snapshots; prune when there is likely to be much garbage."""
        gone = self.repository.keep_only(self._entries, known)
        times, more = _GARBAGE
        if gone and self.repository.objects.size > times * self._packed + more:
            with suppress(StateCorrupt):  # nothing is deleted while the needs of a snapshot are unknown
                self._prune()

    def prune(self) -> Pruned:
        """Delete pages and modules that the last save does not need."""
        self._check_writable("pruned")
        try:
            return self._prune()
        except OSError as error:
            of_system(error)
            raise StateError(f"{self.path} cannot be pruned; what is needed is all there: {error}") from error

    def _prune(self) -> Pruned:
        needed = self._bases.keys
        done = self._reserve.spend(lambda: self.repository.prune(needed, self._modules, self._entries))
        self._packed = done.after
        self._note_packs()
        return done

    def _note_packs(self) -> None:
        """Write the remaining packs into the manifest. If that fails, it names packs that are gone: until the next
        pruning, additions then share nothing with older packs and cost more space."""
        saved = state_manifest.read(self.path)
        if saved is not None and "packs" in saved.record:
            record = saved.record | {"packs": self.repository.objects.names, "packed": self._packed}
            with suppress(OSError):
                state_manifest.write_copy(self.path, state_manifest.write(self.path, record))
                sync(self.path)

    @property
    def _entries(self) -> list[Entry]:
        return [entry for _, entry in self._kept.values()]

    def entry(self, snapshot: SnapshotState) -> Entry | None:
        """Return the entry of a stored snapshot, or None if it was not saved yet."""
        known, entry = self._kept.get(snapshot.id, (None, None))
        return entry if known is snapshot else None

    def disown(self, process: int) -> None:
        """Give up the directory in a forked child: the lock belongs to the parent alone."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def close(self) -> None:
        """Release the lock. Unsaved changes are taken back when the directory is opened next."""
        if self._lock >= 0:
            unlock(self._lock)
            self._lock = -1

    def _check_writable(self, action: str) -> None:
        if self._lock < 0:
            raise StateError(f"{self.path} is not locked by this process: it was closed here, or opened before a fork")
        if self.read_only:
            raise StateError(f"{self.path} was opened read-only and cannot be {action}")

    # --- opening

    def _recover(self) -> None:
        """Take the memories back to the last save; delete the journals of completed saves.

        Of a damaged journal, what can be read is taken back: afterwards the checks of the memories tell which of them
        are damaged. Without checks the directory is refused, and nothing has changed (StateCorrupt).
        """
        if not self.read_only:
            for file in state_manifest.void_journals(self.path, self.generation):
                file.unlink()
        checked = not self._record or "checks" in self._record
        problems: list[str] | None = [] if checked else None
        try:
            self.pool.recover(self._journal(self.generation), problems)
        except StateCorrupt as error:
            raise StateCorrupt(f"{error}; bring it back from a copy of {self.path}") from error
        if problems:
            named = "; ".join([*problems, "the canisters whose memories differ from the last save are damaged"])
            self.warning = f"{self.warning}; {named}" if self.warning else named

    def _journal(self, generation: int) -> Path:
        return state_manifest.journal(self.path, generation)

    def _note(self, needed: _Needed) -> None:
        """Note what the last save needs, and the generations of its memories."""
        self._modules = needed.modules
        self._saved = {memory.name: memory.generation for memory in needed.memories}


@dataclass(frozen=True, slots=True)
class _Needed:
    """The memories of all canisters and their names; all modules and chunks of modules, and their SHA-256 as text."""

    memories: list[Memory]
    names: set[str]
    codes: list[WasmModule]
    modules: set[str]

    @classmethod
    def by(cls, subnet: Subnet) -> _Needed:
        """Return what the present state of a subnet needs."""
        memories, codes = _memories(subnet), _codes(subnet)
        names = {memory.name for memory in memories}
        return cls(memories, names, codes, {digest.hex() for digest in {code.hash for code in codes}})


def _memories(subnet: Subnet) -> list[Memory]:
    """Return the heap and the stable memory of every canister."""
    return [memory for state in subnet.canisters.values() for memory in (state.heap, state.stable)]


def _check_bytes(snapshot: SnapshotState) -> None:
    """Check that the memories that a new snapshot was taken of are not known to be damaged (StateCorrupt)."""
    for content in memories(snapshot):
        if isinstance(content, Image) and content.memory.damage is not None:
            raise StateCorrupt(
                f"snapshot {snapshot.id.hex()} was taken of bytes that are damaged ({content.memory.damage}); "
                "delete it, then what else has changed can be saved"
            )


def _part(subnet: Subnet, name: str) -> str:
    """Return the name that errors use for a memory with this file name."""
    parts = ((kind, state) for state in subnet.canisters.values() for kind in ("heap", "stable"))
    return next((memory_part(k, s.id) for k, s in parts if getattr(s, k).name == name), f"the memory {name}")


def _codes(subnet: Subnet) -> list[WasmModule]:
    """Return the modules of the canisters, each once, and the chunks in their chunk stores."""
    states = subnet.canisters.values()
    codes = {state.code.hash: state.code for state in states if state.code is not None}
    chunks = (WasmModule(chunk, digest) for state in states if state.chunks for digest, chunk in state.chunks.items())
    return [*codes.values(), *chunks]

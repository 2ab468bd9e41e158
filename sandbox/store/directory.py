"""The state directory.

    lock                  held (flock) by the process that uses the directory
    manifest              the generation and every record; replaced by rename (`state_manifest.py`)
    manifest.copy         the same once more
    manifest.reserve      zeros: space for giving space back when the disk is full (`reserve.py`)
    memories/N.memory     committed bytes of one memory, or the checks of one (`checks.py`), sparse
    modules/, packs/, snapshots/    snapshots and modules, write-once (`repository.py`)
    journal-G             how to take the memories back to generation G

The rename of the manifest is the one moment at which a save happens. Before it, `journal-G` with G its own
generation says that the memories have moved on: opening takes them back. After it, the journal is of an older
generation and void; the next one is there already, so that nothing can fail between the two. Nothing is believed that
contradicts its checksum. Snapshots are finished before the rename, and those that are gone are deleted after it.

What is deleted has been written by this version and is known: named by the manifest, or readable as what its name says.
Other files stay, wherever they are.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sandbox import fork
from sandbox.errors import StateCorrupt, StateError
from sandbox.memory import Journal, Memory, Pool
from sandbox.memory.host import sync
from sandbox.pagestore.prune import Pruned
from sandbox.state import SnapshotState, Subnet, WasmModule
from sandbox.store import state_manifest
from sandbox.store.base_trees import BaseTrees
from sandbox.store.checks import CheckRecord, Checks, table_names
from sandbox.store.lock import locked
from sandbox.store.records import Sources, decode_subnet, encode_subnet, memory_part
from sandbox.store.repository import Entry, Repository
from sandbox.store.reserve import Reserve

_GARBAGE = 2, 64 << 20
"""Packs are pruned when they are so many times as large as after the last time, and so many bytes more."""
_SPARE = 64 << 10
"""Bytes that a save needs for journals, directories and the list of packs that go."""


class StateDirectory:
    """An open, locked directory: one process at a time, or any number that only read. Close it to let others in.

    `warning`: the damage that it is used in spite of.
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
            os.close(self._lock)
            raise
        self._following: tuple[int, Journal] | None = None
        """While a save is under way: the generation that it makes, and the journal that begins with it."""
        self._saved: dict[str, int] = {}
        self._modules: set[str] = set()
        self._bases = BaseTrees(self.repository)
        self.checks = Checks(self.pool, self._record.get("checks", {}))
        self._kept: dict[bytes, tuple[SnapshotState, Entry]] = {}
        self._packed: int = self._record.get("packed", 0)
        self._reserve = Reserve(path / "manifest.reserve")
        fork.own(self)

    def load(self, subnet: Subnet) -> None:
        """Fill a fresh subnet with what was saved, and begin to journal what happens to its memories."""
        if self._record:
            sources = Sources(self.checks.open, self.repository.module, self._snapshot)
            decode_subnet(self._record["subnet"], subnet, sources)
            self._bases.load(self._record.get("bases", {}), _memories(subnet))
            self._modules = {code.hash.hex() for code in _codes(subnet)}
        if not self.read_only:
            self.pool.prune(_names(subnet) | self.checks.tables, self._record.get("dropped", ()))
            self._reserve.spend(lambda: self.pool.begin_journal(self._journal(self.generation)))
        self._note_generations(subnet)
        self._record = {}

    def _snapshot(self, name: str) -> SnapshotState:
        """One that is damaged does not keep the others, and the canisters, from being used."""
        entry = Entry(bytes.fromhex(name.partition("-")[0]), name)
        try:
            snapshot = self.repository.get(entry)
        except StateCorrupt as error:
            snapshot = self.repository.damaged(entry, str(error))
        self._kept[snapshot.id] = snapshot, entry
        return snapshot

    def save(self, subnet: Subnet) -> None:
        """Make the subnet's present state the directory's, on the disk itself; all or nothing."""
        self._check_writable("saved")
        self.settle()
        self.checks.prove(lambda name: _part(subnet, name))
        known = {entry.name for _, entry in self._kept.values()}
        self._keep_snapshots(subnet)
        try:
            manifest, checks = self._reserve.spend(lambda: self._put_manifest(subnet))
        except BaseException as error:
            self.settle()
            if isinstance(error, OSError):
                raise StateError(f"{self.path} cannot be saved: {error}") from error
            raise
        self._note_generations(subnet)
        self.checks.saved(checks)
        try:
            self._clear_away(subnet, manifest)
            self._forget_snapshots(known)
        except OSError as error:
            raise StateError(f"{self.path} was saved, but could not be cleared up: {error}") from error
        self._reserve.keep(2 * len(manifest) + _SPARE)

    def _put_manifest(self, subnet: Subnet) -> tuple[bytes, CheckRecord]:
        """Save, up to the rename of the manifest; its bytes, and the checks of the memories as it has them."""
        self.settle()
        following = self.pool.prepare_journal(self._journal(self.generation + 1))
        self._following = self.generation + 1, following
        codes = list(_codes(subnet))
        self._modules |= {code.hash.hex() for code in codes}  # from the rename on they are needed
        checks = self._sync_memories(subnet)
        for code in codes:
            self.repository.keep_module(code)
        record = {
            "generation": self.generation + 1,
            "subnet": encode_subnet(subnet, lambda snapshot: self._kept[snapshot.id][1].name),
            "bases": self._bases.dump(_memories(subnet)),
            "packed": self._packed,
            "packs": self.repository.objects.names,
            "dropped": self.pool.unneeded(_names(subnet) | table_names(checks)),
            "checks": checks,
        }
        return state_manifest.write(self.path, record), checks

    def settle(self) -> None:
        """Finish a save that was interrupted: from the rename of the manifest on it has happened, before it has not.

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

    def _clear_away(self, subnet: Subnet, manifest: bytes) -> None:
        """After the save: the copy, the old journal, and memories that are needed no more."""
        assert self._following is not None
        try:
            sync(self.path)
            self._reserve.spend(lambda: state_manifest.write_copy(self.path, manifest))
            self.pool.prune(_names(subnet) | self.checks.tables)
        finally:
            self._switch(*self._following)
            self._following = None

    def _switch(self, generation: int, following: Journal) -> None:
        """Go on with the generation that was saved and its journal. May be repeated."""
        self.generation = generation
        self.pool.switch_journal(following)

    def _keep_snapshots(self, subnet: Subnet) -> None:
        """Finish the snapshots that are not kept yet; `_kept` is then what the subnet has."""
        snapshots = [snapshot for state in subnet.canisters.values() for snapshot in state.snapshots]
        kept, new = {}, []
        for snapshot in snapshots:
            known = self._kept.get(snapshot.id)
            if known is not None and known[0] is snapshot:
                kept[snapshot.id] = known
            else:
                new.append(snapshot)
        if new:
            entries = self.repository.put(new, self._bases.tree)
            kept.update({s.id: (s, entry) for s, entry in zip(new, entries, strict=True)})
            self._bases.note(new, _memories(subnet))
        self._kept = kept

    def _forget_snapshots(self, known: set[str]) -> None:
        """Delete the manifests of snapshots that are gone; prune when there is likely to be much garbage."""
        gone = self.repository.keep_only(self._entries, known)
        times, more = _GARBAGE
        if gone and self.repository.objects.size > times * self._packed + more:
            with suppress(StateCorrupt):  # nothing goes while it is not known what is needed
                self._prune()

    def prune(self) -> Pruned:
        """Give back the space of what was not needed when it was saved last."""
        self._check_writable("pruned")
        try:
            return self._prune()
        except OSError as error:
            raise StateError(f"{self.path} cannot be pruned; what is needed is all there: {error}") from error

    def _prune(self) -> Pruned:
        needed = self._bases.keys
        done = self._reserve.spend(lambda: self.repository.prune(needed, self._modules, self._entries))
        self._packed = done.after
        self._note_packs()
        return done

    def _note_packs(self) -> None:
        """Let the manifest say which packs are left. Where that fails, it names some that are gone: what is added until
        the next pruning does not rely on what is there, and costs more space."""
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
        """Where the snapshot is kept; None if it was not saved yet."""
        known, entry = self._kept.get(snapshot.id, (None, None))
        return entry if known is snapshot else None

    def disown(self, process: int) -> None:
        """Called in a forked child: the lock is the parent's alone, and ends with it."""
        self.close()

    def close(self) -> None:
        """Let other processes in. What was not saved is taken back when the directory is opened next."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _check_writable(self, action: str) -> None:
        if self._lock < 0:
            raise StateError(f"{self.path} is not locked by this process: it was closed here, or opened before a fork")
        if self.read_only:
            raise StateError(f"{self.path} was opened read-only and cannot be {action}")

    # --- opening

    def _recover(self) -> None:
        """Take the memories back if a save did not happen; clear journals of saves that did."""
        if not self.read_only:
            for file in state_manifest.void_journals(self.path, self.generation):
                file.unlink()
        self.pool.recover(self._journal(self.generation))

    def _journal(self, generation: int) -> Path:
        return state_manifest.journal(self.path, generation)

    # --- saving

    def _sync_memories(self, subnet: Subnet) -> CheckRecord:
        checks = self.checks.renew(_memories(subnet), lambda memory: self._saved.get(memory.name) != memory.generation)
        sync(self.path / "memories")
        return checks

    def _note_generations(self, subnet: Subnet) -> None:
        self._saved = {memory.name: memory.generation for memory in _memories(subnet)}


def _memories(subnet: Subnet) -> list[Memory]:
    """Every memory that a canister lives in."""
    return [memory for state in subnet.canisters.values() for memory in (state.heap, state.stable)]


def _part(subnet: Subnet, name: str) -> str:
    """How errors call the memory with this name."""
    parts = ((kind, state) for state in subnet.canisters.values() for kind in ("heap", "stable"))
    return next((memory_part(k, s.id) for k, s in parts if getattr(s, k).name == name), f"the memory {name}")


def _names(subnet: Subnet) -> set[str]:
    return {memory.name for memory in _memories(subnet)}


def _codes(subnet: Subnet) -> list[WasmModule]:
    """Modules and chunks of modules of the canisters themselves."""
    states = subnet.canisters.values()
    codes = [state.code for state in states if state.code is not None]
    return codes + [WasmModule(chunk, digest) for state in states for digest, chunk in state.chunks.items()]

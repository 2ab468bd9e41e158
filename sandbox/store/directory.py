"""The state directory.

    lock                  held (flock) by the process that uses the directory
    manifest              version, BLAKE3, CBOR: the generation and every record; replaced by rename
    memories/N.memory     committed bytes of one memory, sparse
    modules/, packs/, snapshots/    snapshots and modules, write-once (`repository.py`)
    journal-G             how to take the memories back to generation G

The rename of the manifest is the one moment at which a save happens. Before it, `journal-G` with G its own
generation says that the memories have moved on: opening takes them back. After it, the journal is of an older
generation and void; the next one is there already, so that nothing can fail between the two. Nothing is believed that
contradicts its checksum. Snapshots are finished before the rename, and those that are gone are deleted after it.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import cbor2

from sandbox.errors import StateCorrupt, StateError, StateLocked
from sandbox.memory import Journal, Memory, Pool
from sandbox.memory.host import sync
from sandbox.state import Code, SnapshotState, Subnet
from sandbox.store.bases import Bases
from sandbox.store.files import put_in_place
from sandbox.store.prune import Pruned
from sandbox.store.records import Sources, decode_subnet, encode_subnet
from sandbox.store.repository import Entry, Repository
from sandbox.store.sealed import Kind, seal, unseal

_MANIFEST = Kind(b"canister-sandbox state ", "the manifest of a state directory", (1, 2))
_GARBAGE = 2, 64 << 20
"""Packs are pruned when they are so many times as large as after the last time, and so many bytes more."""


class StateDirectory:
    """An open, locked directory. One process at a time; close it to let others in."""

    def __init__(self, path: Path, lock_timeout: float = 10.0, strategy: str | None = None) -> None:
        self.path = path
        try:
            (path / "modules").mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{path} cannot be used as a state directory: {error}") from error
        try:
            self._wait(lock_timeout)
            self._record = self._read_manifest()
            self.generation: int = self._record["generation"] if self._record else 0
            self.pool = Pool(path / "memories", strategy)
            self._recover()
        except BaseException:
            os.close(self._lock)
            raise
        self._following: tuple[int, Journal] | None = None
        """While a save is under way: the generation that it makes, and the journal that begins with it."""
        self._saved: dict[str, int] = {}
        self._modules: set[str] = set()
        self.repository = Repository(path)
        self._bases = Bases(self.repository)
        self._kept: dict[bytes, tuple[SnapshotState, Entry]] = {}
        self._packed: int = self._record.get("packed", 0) if self._record else 0

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever saved here."""
        return self._record is None

    def load(self, subnet: Subnet) -> None:
        """Fill a fresh subnet with what was saved, and begin to journal what happens to its memories."""
        if self._record is not None:
            sources = Sources(self.pool.open, self.repository.module, self._snapshot)
            decode_subnet(self._record["subnet"], subnet, sources)
            self._bases.load(self._record.get("bases", {}), _memories(subnet))
            self._modules = {code.hash.hex() for code in _codes(subnet)}
        self.pool.prune(_names(subnet))
        self._note_generations(subnet)
        self.pool.begin_journal(self._journal(self.generation))

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
        self.settle()
        self._keep_snapshots(subnet)
        following = self.pool.prepare_journal(self._journal(self.generation + 1))
        self._following = self.generation + 1, following
        codes = list(_codes(subnet))
        self._modules |= {code.hash.hex() for code in codes}  # from the rename on they are needed
        try:
            self._sync_memories(subnet)
            for code in codes:
                self.repository.keep_module(code)
            self._write_manifest(
                {
                    "generation": self.generation + 1,
                    "subnet": encode_subnet(subnet, lambda snapshot: self._kept[snapshot.id][1].name),
                    "bases": self._bases.dump(_memories(subnet)),
                    "packed": self._packed,
                }
            )
        except BaseException as error:
            self.settle()
            if isinstance(error, OSError):
                raise StateError(f"{self.path} cannot be saved: {error}") from error
            raise
        self._modules = {code.hash.hex() for code in codes}
        self._note_generations(subnet)
        try:
            self._clear_away(subnet)
        except OSError as error:
            raise StateError(f"{self.path} was saved, but could not be cleared up: {error}") from error

    def settle(self) -> None:
        """Finish a save that was interrupted: from the rename of the manifest on it has happened, before it has not.

        Costs nothing if there is none. May be repeated until it returns.
        """
        if self._following is None:
            return
        generation, following = self._following
        record = self._read_manifest()
        if record is not None and record["generation"] == generation:
            self.generation = generation
            self.pool.switch_journal(following)
        else:
            following.discard()
        self._following = None

    def _clear_away(self, subnet: Subnet) -> None:
        """After the save: the old journal, and what is needed no more."""
        try:
            sync(self.path)
            self.pool.prune(_names(subnet))
        finally:
            self.settle()
        self._forget_snapshots()

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

    def _forget_snapshots(self) -> None:
        """Delete the manifests of snapshots that are gone; prune when there is likely to be much garbage."""
        gone = self.repository.keep_only(entry for _, entry in self._kept.values())
        times, more = _GARBAGE
        if gone and self.repository.objects.size > times * self._packed + more:
            with suppress(StateCorrupt):  # nothing goes while it is not known what is needed
                self._prune()

    def prune(self) -> Pruned:
        """Give back the space of what was not needed when it was saved last."""
        try:
            return self._prune()
        except OSError as error:
            raise StateError(f"{self.path} cannot be pruned; what is needed is all there: {error}") from error

    def _prune(self) -> Pruned:
        done = self.repository.prune(self._bases.keys, self._modules)
        self._packed = done.after
        return done

    def entry(self, snapshot: SnapshotState) -> Entry | None:
        """Where the snapshot is kept; None if it was not saved yet."""
        known, entry = self._kept.get(snapshot.id, (None, None))
        return entry if known is snapshot else None

    def close(self) -> None:
        """Let other processes in. What was not saved is taken back when the directory is opened next."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # --- opening

    def _wait(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise StateLocked(
                        f"{self.path} is in use by another process (waited {timeout:g} s for its lock)"
                    ) from None
                time.sleep(0.02)

    def _read_manifest(self) -> dict[str, Any] | None:
        file = self.path / "manifest"
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return None
        body, digest = unseal(_MANIFEST, file, content)
        if digest is None:
            raise StateCorrupt(f"{file} contradicts its checksum")
        record = cbor2.loads(body)
        assert isinstance(record, dict)
        return record

    def _recover(self) -> None:
        """Take the memories back if a save did not happen; clear journals of saves that did."""
        own = self._journal(self.generation)
        for file in self.path.glob("journal-*"):
            if file.name not in (own.name, f"{own.name}.done"):
                file.unlink()
        self.pool.recover(own)

    def _journal(self, generation: int) -> Path:
        return self.path / f"journal-{generation}"

    # --- saving

    def _sync_memories(self, subnet: Subnet) -> None:
        for memory in _memories(subnet):
            if self._saved.get(memory.name) != memory.generation:
                sync(self.path / "memories" / memory.name)
        sync(self.path / "memories")

    def _note_generations(self, subnet: Subnet) -> None:
        self._saved = {memory.name: memory.generation for memory in _memories(subnet)}

    def _write_manifest(self, record: dict[str, Any]) -> None:
        put_in_place(self.path / "manifest", seal(_MANIFEST, cbor2.dumps(record))[0])


def _memories(subnet: Subnet) -> list[Memory]:
    """Every memory that a canister lives in."""
    return [memory for state in subnet.canisters.values() for memory in (state.heap, state.stable)]


def _names(subnet: Subnet) -> set[str]:
    return {memory.name for memory in _memories(subnet)}


def _codes(subnet: Subnet) -> list[Code]:
    """Modules and chunks of modules of the canisters themselves."""
    states = subnet.canisters.values()
    codes = [state.code for state in states if state.code is not None]
    return codes + [Code(chunk, digest) for state in states for digest, chunk in state.chunks.items()]

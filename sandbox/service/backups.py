"""The repository of backups: a directory with snapshots, deduplicated and incremental on disk (`store.Repository`).

    packs/, modules/, snapshots/   the snapshots; equal pages are kept once
    network                        the root key of the network that they are from, hexadecimal
    runs/CANISTER.json             what an interrupted run had begun
    incoming/CANISTER              a download that is not finished
    log.jsonl                      one line for each run
    lock                           held by the process that writes

Encryption at rest is not supported: keep the directory on an encrypted file system.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Final, Self

from sandbox.limits import WASM_PAGE
from sandbox.management.retention import Judged, judge
from sandbox.memory import Readable, Run
from sandbox.pagestore.durable_files import write_durably
from sandbox.pagestore.hash_tree import Tree
from sandbox.pagestore.memory_trees import tree
from sandbox.pagestore.prune import Pruned
from sandbox.principal import Principal
from sandbox.service.failure import BackupError, BackupsLocked
from sandbox.service.journal import Journal
from sandbox.snapshots.content_id import content_id
from sandbox.snapshots.portable import Content, Progress
from sandbox.snapshots.portable.content import Blob, ContentPart, whole
from sandbox.state import Keep, SnapshotState, Upload
from sandbox.store import Difference, Reading, Repository, verify
from sandbox.store.repository import Entry

_NETWORK: Final = "network"
_INCOMING: Final = "incoming"


@dataclass(frozen=True, slots=True)
class Checked:
    """A backup read again from the disk. `content_id`: 64 hexadecimal digits; `difference`: the first damaged part."""

    content_id: str | None
    bytes_read: int
    difference: Difference | None


class Arrived(ContentPart):
    """A part of a snapshot that was downloaded; its hash tree is computed once."""

    def __init__(self, part: Readable) -> None:
        self.size = part.size
        self._part = part

    def extents(self) -> list[Run]:
        return self._part.extents()

    def read(self, offset: int, length: int) -> bytes:
        return self._part.read(offset, length)

    @cached_property
    def tree(self) -> Tree:
        """The hash tree; reads all bytes."""
        return tree.dispatch(ContentPart)(self)


@tree.register
def _(content: Arrived) -> Tree:
    return content.tree


class Backups:
    """An open repository of backups; use it in a `with`. One process writes; any number reads."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        if read_only and not (path / "snapshots").is_dir():
            raise BackupError(f"there is no repository of backups in {path}")
        self.path = path
        self._lock = -1 if read_only else _locked(path)
        try:
            self.repository = Repository(path, read_only=read_only)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def check_network(self, root_key: bytes) -> None:
        """Refuse a repository of another network: ids of canisters and snapshots are unique in one network only."""
        file = self.path / _NETWORK
        if not file.exists():
            write_durably(file, f"{root_key.hex()}\n".encode(), 0o644)
        elif file.read_text().strip() != root_key.hex():
            raise BackupError(
                f"{self.path} has backups of another network (another root key): use a repository for each network"
            )

    def journal(self, canister_id: Principal) -> Journal:
        """Return the journal of a canister."""
        return Journal(self.path / "runs" / f"{canister_id}.json")

    def unfinished(self) -> list[Principal]:
        """Return the canisters that have a journal."""
        folder = self.path / "runs"
        files = sorted(folder.glob("*.json")) if folder.is_dir() else []
        return [Principal.from_text(file.stem) for file in files]

    def incoming(self, canister_id: Principal) -> Path:
        """Return the folder of an unfinished download of a canister."""
        (self.path / _INCOMING).mkdir(exist_ok=True)
        return self.path / _INCOMING / str(canister_id)

    def received(self, canister_id: Principal) -> None:
        """Delete the folder of a download."""
        shutil.rmtree(self.path / _INCOMING / str(canister_id), ignore_errors=True)

    # --- snapshots

    def entries(self) -> dict[bytes, Entry]:
        """Return the backups by the ids of their snapshots."""
        return {entry.id: entry for entry in self.repository.entries()}

    def snapshots(self, canister_id: Principal | None = None) -> list[SnapshotState]:
        """Return the backups of a canister, or all, oldest first; a damaged one has `damage`."""
        states = [self.repository.get(entry) for entry in self.repository.entries()]
        mine = [state for state in states if canister_id in (None, state.canister_id)]
        return sorted(mine, key=lambda state: (state.taken_at, state.id))

    def get(self, snapshot_id: bytes) -> SnapshotState:
        """Return one backup; `BackupError` if there is none."""
        entry = self.entries().get(snapshot_id)
        if entry is None:
            raise BackupError(f"there is no backup of snapshot {snapshot_id.hex()} in {self.path}")
        return self.repository.get(entry)

    def find(self, canister_id: Principal, text: str) -> SnapshotState:
        """Return the backup of a canister by `latest`, an id, or its first or last digits; `BackupError` otherwise."""
        known = self.snapshots(canister_id)
        if text == "latest" and known:
            return known[-1]
        matching = [state for state in known if state.id.hex() == text] or [
            state for state in known if len(text) >= 4 and state.id.hex().startswith(text)
        ]
        if len(matching) == 1:
            return matching[0]
        names = ", ".join(state.id.hex() for state in known) or "none"
        which = "several backups" if matching else "no backup"
        raise BackupError(f"{text!r} names {which} of {canister_id}; there are: {names}")

    def add(self, content: Content, label: str | None = None) -> SnapshotState:
        """Store a snapshot of a network; it is on the disk when this returns.

        Only pages that differ from the canister's newest backup are written, and none that are stored already.
        """
        fields = content.fields
        assert fields.id is not None
        assert fields.canister_id is not None
        module = whole(content.module)
        size = -(-len(module) // WASM_PAGE) * WASM_PAGE
        parts = Arrived(Blob(module.ljust(size, b"\0"))), Arrived(content.heap), Arrived(content.stable)
        state = SnapshotState(
            id=fields.id,
            canister_id=fields.canister_id,
            label=label,
            taken_at=fields.taken_at,
            canister_version=fields.canister_version,
            code=None,
            globals=b"",
            heap=parts[1],
            stable=parts[2],
            certified_data=fields.certified_data,
            global_timer=fields.global_timer,
            low_memory_hook=fields.low_memory_hook,
            chunks={digest: whole(chunk) for digest, chunk in content.chunks.items()},
            upload=Upload(parts[0], len(module), fields.globals),
            automatic=True,
        )
        last = dict(zip(parts, self._newest(fields.canister_id), strict=False))
        [entry] = self.repository.put([state], lambda part: last[part] if isinstance(part, Arrived) else None)
        return self.repository.get(entry)

    def _newest(self, canister_id: Principal) -> list[Tree | None]:
        """Return the trees of module, heap and stable memory of the newest backup; None where there is none."""
        known = [state for state in self.snapshots(canister_id) if state.damage is None]
        if not known or known[-1].upload is None:
            return [None, None, None]
        return [tree(part) for part in (known[-1].upload.module, known[-1].heap, known[-1].stable)]

    def verify(self, snapshot_id: bytes, progress: Progress | None = None) -> Checked:
        """Read every byte of a backup from the disk again, and compare it with its checksums."""
        entry = self.entries().get(snapshot_id)
        if entry is None:
            return Checked(None, 0, Difference("snapshot", "it is not in the repository"))
        fresh = self.repository.unread()
        state = self.repository.get(entry)
        reading = Reading(verify.extent(state), progress)
        found = next(islice(verify.on_disk(fresh, entry, state, reading), 1), None)
        return Checked(None if found else content_id(state), reading.read, found)

    def retain(self, canister_id: Principal, keep: Keep, now: int, *, dry_run: bool = False) -> list[Judged]:
        """Delete the backups of a canister that no rule keeps, newest first, and say which rules keep the others."""
        judged = judge(self.snapshots(canister_id), keep, now)
        gone = {item.snapshot.id for item in judged if not item.reasons}
        if gone and not dry_run:
            self.repository.keep_only(entry for entry in self.repository.entries() if entry.id not in gone)
        return judged

    def prune(self) -> Pruned:
        """Free the disk space that no backup needs."""
        return self.repository.prune()

    def size(self) -> int:
        """Return the bytes on disk of all snapshots."""
        return sum(
            file.stat().st_size for file in _files(self.path / name for name in ("packs", "modules", "snapshots"))
        )


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    return (file for folder in folders if folder.is_dir() for file in folder.iterdir() if file.is_file())


def _locked(path: Path) -> int:
    """Return a descriptor that holds the lock; `BackupsLocked` names the process that has it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackupError(f"{path} cannot be used as a repository of backups: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise BackupsLocked(
            f"another backup is at work in {path} (process {holder or 'unknown'}); nothing was done"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


@contextmanager
def opened_for_reading(path: Path) -> Iterator[Backups]:
    """Open a repository to read it."""
    with Backups(path, read_only=True) as backups:
        yield backups

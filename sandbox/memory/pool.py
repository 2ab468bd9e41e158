"""The memories of one sandbox, in one place: all anonymous, or all files of one directory."""

from __future__ import annotations

import os
import weakref
from collections.abc import Container, Iterable
from pathlib import Path

from sandbox import fork
from sandbox.errors import StateError
from sandbox.memory import host, journal, strategies
from sandbox.memory.base import closed
from sandbox.memory.committed import Memory, check_size
from sandbox.memory.journal import Journal, Past
from sandbox.memory.store import Arena, Handles, NamedFile, Store
from sandbox.memory.write_barrier import Overwritten, PoolMark, WriteBarrier

_SUFFIX = ".memory"


class Pool:
    """Makes memories and marks. With a `directory`, every memory is a sparse file there whose bytes are committed as
    soon as a call returns, so they survive the process; without, memories live and die with the pool.

    With `read_only`, the directory and its files are read and never written; new memories live and die with the pool.

    `strategy` names the search for written pages (`protect`, `scan`, `pagemap`, `compare`); None chooses the best that
    works here.
    Two pools share nothing. A pool, its memories and marks belong to one thread at a time; dropping references is safe
    in any. They belong to one process: a forked child that uses them gets StateError, and never changes them.
    """

    def __init__(self, directory: Path | None = None, strategy: str | None = None, *, read_only: bool = False) -> None:
        self.directory = directory
        self.read_only = read_only
        try:
            self._arena = Arena()
            self._strategy = strategies.choose(strategy, self._arena.slot())
            if directory is not None and not read_only:
                directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise host.failure(error, "making room for memories", str(directory or "memory")) from error
        self._handles = Handles(read_only=read_only)
        self._barrier = WriteBarrier()
        self._live: weakref.WeakValueDictionary[str, Memory] = weakref.WeakValueDictionary()
        self._known: set[str] = set()
        self._pasts: dict[str, Past] = {}
        fork.own(self)
        self._next = 1 + max((_number(name) for name in self.names()), default=0)

    def disown(self, process: int) -> None:
        """In a forked child: give up all descriptors, and refuse every use from now on."""
        self._barrier.disown(process)
        self._strategy.detach()
        self._handles.close_all()
        self._arena.detach()

    @property
    def strategy(self) -> str:
        """The name of the strategy in use."""
        return self._strategy.name

    def memory(self, size: int = 0, *, unmarked: bool = False) -> Memory:
        """Make a memory of `size` zero bytes; one that is `unmarked` is not taken back by marks."""
        check_size(size)
        memory = self._create(unmarked)
        if size:
            memory.resize(size)
        return memory

    def open(self, name: str, *, unmarked: bool = False) -> Memory:
        """Open the memory `name` of the pool's directory; the same object while it is referenced. Copies nothing."""
        self._check()
        memory = self._live.get(name)
        if memory is not None and not memory.closed:
            return memory
        if not self._has(name):
            raise StateError(f"no memory {name!r} in {self.directory or 'a pool without a directory'}")
        past = self._pasts.get(name)
        return self._file(name, unmarked) if past is None else self._taken_back(self._file(name, unmarked), past)

    def referenced(self, name: str) -> Memory | None:
        """Return the memory of the directory that has this name, if it was opened or made and is still referenced."""
        return self._live.get(name)

    def damaged(self, name: str, size: int, damage: str) -> Memory:
        """Return a closed stand-in for a memory of the directory whose bytes are damaged; its file is not touched."""
        memory = self._build(NamedFile(self._handles, self._need_directory() / name), size)
        memory.give_up(damage)
        return memory

    def names(self) -> list[str]:
        """Return the names of all memories in the directory, oldest first."""
        if self.directory is None or not self.directory.exists():
            return []
        return sorted((name for name in os.listdir(self.directory) if self._is_own(name)), key=_number)

    @property
    def journal(self) -> Journal | None:
        """The journal that is being written."""
        return self._barrier.journal

    def mark(self) -> PoolMark:
        """Return a mark, to which all memories of the pool can be taken back; O(1)."""
        return self._barrier.mark()

    @property
    def marked(self) -> bool:
        """True if there are marks to which the pool may be taken back."""
        return bool(self._barrier.marks)

    def note_changes(self) -> list[Overwritten]:
        """Note every change of a memory from now on; return the notes, for `take_back`. Costs the bytes overwritten."""
        return self._barrier.note()

    def keep_changes(self) -> None:
        """Stop noting; the changes stay."""
        self._barrier.forget()

    def take_back(self, noted: list[Overwritten]) -> None:
        """Take all memories back to the begin of the notes, also after a change that was interrupted half-way.

        Views of them are stale. May be repeated until it returns.
        """
        self._barrier.take_back(noted)

    # Files

    def unneeded(self, keep: Container[str], also: Iterable[str] = ()) -> list[str]:
        """Return the names of files that this pool opened or made, or that are in `also`, without those in `keep`.

        Other files of the directory are not the pool's to delete.
        """
        unused = (name for name in self._known.union(also) if name not in keep)
        return sorted((name for name in unused if self._has(name)), key=_number)

    def prune(self, keep: Container[str], also: Iterable[str] = ()) -> list[str]:
        """Delete the `unneeded` files that no open Memory uses; return their names."""
        gone = [name for name in self.unneeded(keep, also) if name not in self._live]
        for name in gone:
            self._delete(name)
        return gone

    def begin_journal(self, path: Path, durable: bool = False) -> None:
        """Begin a journal: until `end_journal`, all changes to the pool's files happen together or not at all.

        The journal at `path` survives the death of the process at any moment; with `durable`, of the machine too (each
        commit then waits for the disk). StateError if `path` was left by a crash: `recover` first.
        """
        directory = self._need_directory()
        if self._barrier.journal is not None:
            raise StateError(f"the journal {self._barrier.journal.path} has not ended")
        try:
            self._barrier.journal = journal.begin(path, directory, durable)
        except OSError as error:
            raise host.failure(error, "beginning a journal", str(path)) from error

    def end_journal(self) -> None:
        """Make everything since `begin_journal` final and durable. After StateError the journal is still open."""
        _end(self._barrier.journal)
        self._barrier.journal = None

    def prepare_journal(self, path: Path, durable: bool = False) -> Journal:
        """Begin a journal to switch to or to discard; an earlier one at `path` is void and deleted."""
        directory = self._need_directory()
        try:
            path.unlink(missing_ok=True)
            return journal.begin(path, directory, durable)
        except OSError as error:
            raise host.failure(error, "preparing a journal", str(path)) from error

    def switch_journal(self, following: Journal) -> None:
        """End the journal; changes of the files from here on are recorded in `following`, also after StateError.

        Does nothing if `following` is the journal already.
        """
        current = self._barrier.journal
        if current is not following:
            self._barrier.journal = following
            _end(current)

    def recover(self, path: Path, problems: list[str] | None = None) -> bool:
        """Take all files back to the begin of the journal at `path`; must be called before any is opened.

        Return True if there was something to take back. May be interrupted and repeated. If the pool is `read_only`,
        the files stay, and `open` returns copies that were taken back in memory. `problems`: as for `journal.recover`.
        """
        directory = self._need_directory()
        if self._barrier.journal is not None or self._live:
            raise StateError("recovering while memories of the pool are open")
        try:
            if not self.read_only:
                return journal.recover(path, directory, problems)
            self._pasts = journal.read(path, directory, problems).changed
        except OSError as error:
            raise host.failure(error, "recovering", str(path)) from error
        return bool(self._pasts)

    def _check(self) -> None:
        if self._barrier.owner is not None:
            raise closed("this pool of memories", self._barrier.owner)

    def _has(self, name: str) -> bool:
        """Return whether `names` has the name; lists no directory."""
        return self.directory is not None and self._is_own(name) and (self.directory / name).exists()

    def _is_own(self, name: str) -> bool:
        """Return whether a file of the directory with this name is a memory that was not deleted."""
        journal = self._barrier.journal
        return _number(name) > 0 and (journal is None or name not in journal.deleted)

    def _need_directory(self) -> Path:
        self._check()
        if self.directory is None:
            raise StateError("only a pool with a directory has files")
        return self.directory

    def _delete(self, name: str) -> None:
        directory = self._need_directory()
        try:
            if self._barrier.journal is not None:
                self._barrier.journal.delete(name)
            else:
                (directory / name).unlink()
        except OSError as error:
            raise host.failure(error, "deleting", str(directory / name)) from error
        self._known.discard(name)

    def _create(self, unmarked: bool) -> Memory:
        self._check()
        try:
            if self.directory is None or self.read_only:
                return self._build(self._arena.slot(), 0, unmarked)
            name = f"{self._next:08d}{_SUFFIX}"
            self._next += 1
            path = self.directory / name
            if self._barrier.journal is not None:
                self._barrier.journal.created(name)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            return self._file(name, unmarked)
        except OSError as error:
            raise host.failure(error, "making a memory", str(self.directory or "memory")) from error

    def _file(self, name: str, unmarked: bool) -> Memory:
        assert self.directory is not None
        path = self.directory / name
        size = path.stat().st_size
        if size % host.PAGE:
            raise StateError(f"{path}: {size} bytes are not a whole number of pages of {host.PAGE}")
        memory = self._build(NamedFile(self._handles, path), size, unmarked)
        self._live[name] = memory
        self._known.add(name)
        weakref.finalize(memory, self._handles.close, path).atexit = False
        return memory

    def _taken_back(self, present: Memory, past: Past) -> Memory:
        """Return a copy of a file as it was at the begin of the journal."""
        memory = self.memory(past.size, unmarked=present.unmarked)
        for run in host.clipped(present.extents(), min(past.low_water, past.size)):
            for offset, length in host.pieces(*run):
                memory.write(offset, present.read(offset, length))
        for offset, data in past.pages:
            memory.write(offset, data)
        self._live[present.name] = memory
        return memory

    def _build(self, store: Store, size: int, unmarked: bool = False) -> Memory:
        return Memory(store, size, self._barrier, self._strategy, self.memory, unmarked)


def _end(current: Journal | None) -> None:
    if current is None:
        raise StateError("no journal was begun")
    try:
        current.end()
    except OSError as error:
        raise host.failure(error, "ending a journal", str(current.path)) from error


def _number(name: str) -> int:
    """Return the number in a memory's file name; 0 for any other file."""
    stem = name.removesuffix(_SUFFIX)
    return int(stem) if stem != name and stem.isascii() and stem.isdigit() else 0

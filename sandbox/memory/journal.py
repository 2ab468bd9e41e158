"""An undo journal: all changes of a pool's files between begin and end happen or, after a crash, none of them.

Before a page of a file is overwritten for the first time since begin, its old bytes are appended here; likewise the
first size of a file, every cut below it, and the name of every file created or deleted. Recovery puts all of that back
and can itself be interrupted and repeated. A record that was not written completely is ignored: the change it
precedes had not happened yet. A damaged one before others is passed over only where every page is checked afterwards.

File: `MAGIC`, then records: CRC-32 of the rest, kind, length of the name, a number (an offset or a size), length of the
payload (little-endian), name, payload. Removing the file makes the changes final. If files are to be deleted,
it is renamed to `<path>.done` instead, they are deleted, and then it is removed. Recovery leaves a journal without
records, to which the next one appends: that takes no space on the disk.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import weakref
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from sandbox.errors import StateCorrupt, StateError
from sandbox.memory import host
from sandbox.memory.base import BaseMemory
from sandbox.memory.host import PAGE, Part, Run
from sandbox.memory.undo_pages import UndoPages

MAGIC: Final = b"canister-sandbox undo 1\n"
_HEADER: Final = struct.Struct("<BHQI")
_CRC: Final = struct.Struct("<I")
_SIZE, _PAGES, _LOW, _CREATED, _DELETED = 1, 2, 3, 4, 5
_HEAD: Final = re.compile(rb"(?s)(?=[\1-\5].{14}[0-9]+\.memory)")
"""What a record begins with after its CRC-32."""


OldPart = tuple[int, memoryview]
"""An offset and the bytes that were there."""


class Record(NamedTuple):
    """One entry: an old state, or a creation or deletion, of the file `name`."""

    kind: int
    name: str
    number: int = 0
    payload: bytes | memoryview = b""


class Journal:
    """The journal being written for the files of `directory`."""

    def __init__(self, path: Path, directory: Path, durable: bool) -> None:
        self.path = path
        self.deleted: set[str] = set()
        self._directory = directory
        self._durable = durable
        self._renamed = False
        self._saved: dict[str, UndoPages] = {}
        self._created: set[str] = set()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._close = weakref.finalize(self, os.close, self._fd)
        self._end = os.fstat(self._fd).st_size
        if not self._end:
            self._append(MAGIC)
        if durable:
            host.sync(path.parent)

    def saved(self, name: str) -> UndoPages | None:
        """Return the pages of a file overwritten since begin; None if there are none or the file was created since."""
        return self._saved.get(name)

    def has_created(self, name: str) -> bool:
        """Return True if a file was created since begin."""
        return name in self._created

    def overwritten(self, since: int = 0) -> tuple[dict[str, list[OldPart]], int]:
        """Return the old pages recorded after the journal was `since` bytes long, and its present length.

        The pages, as they were at begin, are (offset, whole pages) by the name of the file. The records are not checked
        (`check`).
        """
        parts: dict[str, list[OldPart]] = {}
        position, data = max(since, len(MAGIC)), _mapped(self.path)
        while position < self._end:
            start = position + _CRC.size
            kind, name, number, length = _HEADER.unpack_from(data, start)
            start += _HEADER.size + name
            position = start + length
            if kind == _PAGES:
                parts.setdefault(bytes(data[start - name : start]).decode(), []).append((number, data[start:position]))
        return parts, self._end

    def check(self) -> None:
        """Check the records against their checksums (StateCorrupt)."""
        deque(_records(self.path, self._end), 0)

    def before(self, memory: BaseMemory, runs: list[Run], low_water: int) -> None:
        """Save the pages `runs` of a memory, and its bytes past `low_water`; must precede their change."""
        name = memory.name
        if name in self._created:
            return
        saved = self._saved.get(name)
        if saved is None:
            self._append(_encode(Record(_SIZE, name, memory.size)))
            saved = self._saved[name] = UndoPages(memory.size)
        if low_water < saved.low_water:
            lost = host.data_runs(memory.store.fd, low_water, min(saved.low_water, memory.size))
            self._save(memory, saved, [(low_water + offset, length) for offset, length in lost])
            self._append(_encode(Record(_LOW, name, low_water)))
            saved.low_water = low_water
        self._save(memory, saved, runs)
        if self._durable:
            os.fdatasync(self._fd)

    def created(self, name: str) -> None:
        """Record that a file is about to be created."""
        self._append(_encode(Record(_CREATED, name)))
        self._created.add(name)
        if self._durable:
            os.fdatasync(self._fd)

    def delete(self, name: str) -> None:
        """Delete a file when the journal ends."""
        self._append(_encode(Record(_DELETED, name)))
        self.deleted.add(name)

    def end(self) -> None:
        """Make everything since begin final, on the disk itself. May be repeated after an OSError."""
        for name in sorted((self._saved.keys() | self._created) - self.deleted):
            file = self._directory / name
            if name in self._saved or file.exists():  # one that was about to be created may never have been
                host.sync(file)
        if self._created:
            host.sync(self._directory)
        if self.deleted:
            if not self._renamed:
                os.fdatasync(self._fd)
                os.rename(self.path, _done(self.path))
                self._renamed = True
            host.sync(self.path.parent)
            _finish(self.path, self._directory, sorted(self.deleted))
        else:
            self.path.unlink(missing_ok=True)
        host.sync(self.path.parent)
        self._close()

    def discard(self) -> None:
        """Give up a journal without records; if its file cannot be deleted, it is void all the same."""
        self._close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def detach(self) -> None:
        """In a forked child: give the descriptor back; the file is the parent's."""
        self._close()

    def _save(self, memory: BaseMemory, saved: UndoPages, runs: list[Run]) -> None:
        for run in saved.missing(runs):
            for offset, length in host.pieces(*run):
                old = host.read_padded(memory.store.fd, length, offset)
                self._append(_encode(Record(_PAGES, memory.name, offset, old)))
                saved.pages.update(dict.fromkeys(range(offset // PAGE, -(-(offset + length) // PAGE)), b""))

    def _append(self, data: bytes) -> None:
        try:
            host.write_all(self._fd, data, self._end)
        except OSError:
            os.ftruncate(self._fd, self._end)
            raise
        self._end += len(data)


def recover(path: Path, directory: Path, problems: list[str] | None = None) -> bool:
    """Take the files of `directory` back to the begin of the journal at `path`, or finish its end, after a crash.

    Return True if there was something to take back. If the journal contradicts its checksums in the middle, or a file
    that it names is missing, StateCorrupt is raised; with a list of `problems`, they are added to it, and the rest is
    taken back: for callers who check the files afterwards.
    """
    done = _done(path)
    if done.exists():  # of what is passed over, a file that nothing needs stays
        _finish(path, directory, [record.name for record in _records(done, problems=[]) if record.kind == _DELETED])
    content = read(path, directory, problems)
    for name in content.created:
        (directory / name).unlink(missing_ok=True)
    for name, past in content.changed.items():
        _take_back(directory / name, past)
    if content.created or content.changed:
        host.sync(directory)
    _empty(path)
    return bool(content.created or content.changed)


class Past(NamedTuple):
    """A file at the begin of a journal: the smallest size it has had since, its size, and pages, as (offset, bytes)."""

    low_water: int
    size: int
    pages: list[Part]


class Content(NamedTuple):
    """The content of a journal: files created since its begin, and the old states of changed ones."""

    created: set[str]
    changed: dict[str, Past]


def read(path: Path, directory: Path, problems: list[str] | None = None) -> Content:
    """Read the journal at `path` for the files of `directory`; empty if there is none. StateCorrupt as `recover`."""
    records = list(_records(path, problems=problems)) if path.exists() else []
    lows = {record.name: record.number for record in records if record.kind == _LOW}
    sizes = {record.name: record.number for record in records if record.kind == _SIZE}
    changed = {name: Past(lows.get(name, size), size, []) for name, size in sizes.items()}
    for name, past in list(changed.items()):
        if not (directory / name).exists():
            why = f"{directory / name} is missing, and {path} wants to take it back to {past.size} bytes"
            _report(why, problems)
            del changed[name]
    for record in records:
        if record.kind == _PAGES and record.name in changed:
            changed[record.name].pages.append((record.number, record.payload))
    return Content({record.name for record in records if record.kind == _CREATED}, changed)


def pending(path: Path) -> bool:
    """Return True if a journal at `path` has not been recovered, or its files to delete still exist after its end."""
    return (path.exists() and path.stat().st_size not in (0, len(MAGIC))) or _done(path).exists()


def _empty(path: Path) -> None:
    """Remove all records of a journal."""
    if pending(path):
        os.truncate(path, len(MAGIC) if path.stat().st_size > len(MAGIC) else 0)
        host.sync(path)


def _take_back(file: Path, past: Past) -> None:
    fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, past.low_water)
        os.ftruncate(fd, past.size)
        for offset, old in past.pages:
            host.write_all(fd, old, offset)
        os.fsync(fd)
    finally:
        os.close(fd)


def _finish(path: Path, directory: Path, deleted: list[str]) -> None:
    """Delete the files of a journal that has ended."""
    for name in deleted:
        (directory / name).unlink(missing_ok=True)
    host.sync(directory)
    _done(path).unlink(missing_ok=True)


def _encode(record: Record) -> bytes:
    name = record.name.encode()
    body = _HEADER.pack(record.kind, len(name), record.number, len(record.payload)) + name + bytes(record.payload)
    return _CRC.pack(zlib.crc32(body)) + body


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b"")


def _records(path: Path, end: int = 0, problems: list[str] | None = None) -> Iterator[Record]:
    """Yield the complete records of a journal, in order; before `end` all must be complete (StateCorrupt). With a list
    of `problems`, they are added to it, and damaged records are passed over."""
    data, position = _mapped(path), len(MAGIC)
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise StateCorrupt(f"{path} is not an undo journal of this version")
    while position < len(data):
        decoded = _decode(data, position)
        if decoded is not None:
            record, position = decoded
            yield record
            continue
        following = _following(data, position)
        if following is not None or position < end:
            _report(f"{path}: the record at byte {position} contradicts its checksum", problems)
        position = len(data) if following is None else following


def _report(problem: str, problems: list[str] | None) -> None:
    if problems is None:
        raise StateCorrupt(problem)
    problems.append(problem)


def _following(data: memoryview, position: int) -> int | None:
    """Return where the first complete record after the damaged or torn one at `position` is, None if none follows."""
    supposed = position + _length(data, position)
    if supposed > position and _decode(data, supposed):
        return supposed
    heads = (match.start() - _CRC.size for match in _HEAD.finditer(data, position + 1 + _CRC.size))
    return next((head for head in heads if _decode(data, head)), None)


def _length(data: memoryview, position: int) -> int:
    """Return the length of the record at `position` by its header; 0 without a header."""
    start = position + _CRC.size
    if len(data) < start + _HEADER.size:
        return 0
    _, name, _, payload = _HEADER.unpack_from(data, start)
    return int(_CRC.size + _HEADER.size + name + payload)


def _decode(data: memoryview, position: int) -> tuple[Record, int] | None:
    """Return the record at `position` and its end; None if it is incomplete or contradicts its checksum."""
    length = _length(data, position)
    end = position + length
    if not length or end > len(data):
        return None
    body = data[position + _CRC.size : end]
    if zlib.crc32(body) != _CRC.unpack_from(data, position)[0]:
        return None
    kind, name, number, _ = _HEADER.unpack_from(body)
    payload = _HEADER.size + name
    return Record(kind, bytes(body[_HEADER.size : payload]).decode(), number, body[payload:]), end


def _done(path: Path) -> Path:
    return path.with_name(path.name + ".done")


def begin(path: Path, directory: Path, durable: bool) -> Journal:
    """Begin a new journal; StateError if an earlier one has not been recovered."""
    if pending(path):
        raise StateError(f"{path} was left by a command that did not finish; recover first")
    return Journal(path, directory, durable)

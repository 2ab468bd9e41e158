"""Write the directory of dfx and icp-cli: sparse, beside its place, continued where an earlier attempt ended."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sandbox.memory import Readable
from sandbox.memory.host import data_runs, punch, read_padded, sync, write_all
from sandbox.pagestore.durable_files import write_durably
from sandbox.snapshots.portable import extras, metadata
from sandbox.snapshots.portable.content import Blob, Content, Progress, whole
from sandbox.snapshots.portable.directory import CHUNKS, FILES, METADATA, Directory, chunk_path
from sandbox.snapshots.portable.files import locked, making, part_of, put
from sandbox.snapshots.portable.windows import WINDOW, Window, expanded, load, packed, pieces, spans

_LOCK: Final = ".lock"
_MODE: Final = 0o644
"""The permissions of files, before the umask."""


def write_directory(content: Content, path: Path, progress: Progress | None = None) -> None:
    """Write the directory; it has its name only when it is complete and on the disk.

    Bytes that an earlier attempt left in `PATH.part/` are compared with the content and kept where they are equal.
    """
    part = part_of(path)
    with making(path, directory=True):
        part.mkdir(exist_ok=True)
        with locked(part / _LOCK):
            _Writer(part, content, progress).write()
            (part / _LOCK).unlink()
            put(part, path)


def finish_directory(content: Directory, path: Path) -> None:
    """Complete a directory that has all its parts and nothing else, and give it its name."""
    sums = {file: extras.checksum(content.parts()[name]) for name, file in FILES.items()}
    _describe(content.path, content, sums)
    put(content.path, path)


def _describe(path: Path, content: Content, sums: Mapping[str, str]) -> None:
    """Write the files that make parts and chunks a snapshot; `sums`: the checksums of the parts by file."""
    text = metadata.encode(content)
    sums = {METADATA: extras.checksum(Blob(text)), **sums}
    write_durably(path / extras.NAME, extras.encode(content, sums), _MODE)
    write_durably(path / METADATA, text, _MODE)


class _Writer:
    def __init__(self, path: Path, content: Content, progress: Progress | None) -> None:
        self._path = path
        self._content = content
        self._progress = progress
        self._total = sum(map(load, content.parts().values()))
        self._done = 0

    def write(self) -> None:
        """Write parts and chunks, then the files that make them a snapshot."""
        self._clear()
        self._report(0)
        sums = {}
        for name, file in FILES.items():
            sums[file] = self._part(self._path / file, self._content.parts()[name])
        self._chunks()
        _describe(self._path, self._content, sums)

    def _clear(self) -> None:
        """Delete all files that are not of this layout, and the metadata, so that the directory is incomplete."""
        (self._path / METADATA).unlink(missing_ok=True)
        (self._path / CHUNKS).mkdir(exist_ok=True)
        names = {chunk_path(self._path, digest).name for digest in self._content.chunks}
        for folder, keep in ((self._path, {*FILES.values(), CHUNKS, _LOCK}), (self._path / CHUNKS, names)):
            for entry in folder.iterdir():
                if entry.name not in keep:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _chunks(self) -> None:
        for digest, chunk in self._content.chunks.items():
            write_durably(chunk_path(self._path, digest), whole(chunk), _MODE)
            self._report(load(chunk))

    def _part(self, file: Path, source: Readable) -> str:
        """Write the windows that differ and return the checksum of the whole part."""
        sums = extras.Sums(source.size)
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(fd, source.size)
            wanted = spans(source)
            self._empty(fd, source.size, {span.number for span in wanted})
            for span in wanted:
                window = packed(source, span)
                sums.add(window)
                _write(fd, window, source.size)
                self._report(span.high - span.low)
            os.fsync(fd)
        finally:
            os.close(fd)
        sync(file.parent)
        return sums.hex

    @staticmethod
    def _empty(fd: int, size: int, wanted: set[int]) -> None:
        """Clear windows of an earlier attempt that are zero in the content."""
        for start, length in data_runs(fd, 0, size):
            for number in range(start // WINDOW, -(-(start + length) // WINDOW)):
                if number not in wanted:
                    _write(fd, Window(number, 0, b""), size)

    def _report(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)


def _write(fd: int, window: Window, size: int) -> None:
    """Write a window unless the file has it already; zeros become holes."""
    start = window.number * WINDOW
    wanted = expanded(window, size)
    there = read_padded(fd, len(wanted), start)
    if there == wanted:
        return
    if there.count(0) != len(there) and not punch(fd, start, start + len(wanted)):
        write_all(fd, bytes(len(wanted)), start)
    for offset, piece in pieces(window, size):
        write_all(fd, piece, offset)

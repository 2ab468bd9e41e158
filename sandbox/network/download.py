"""Download a snapshot from a network: several slices at once, each proven by a certificate; continued after an
interruption where it was.

A download grows in a folder: the files of the parts, sparse, and `slices`, a line with part, offset and BLAKE3 for each
slice that is there. A slice counts as there if the bytes of the file have that hash. Memory: a few slices per worker.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from blake3 import blake3

from sandbox.errors import SnapshotFileError
from sandbox.limits import SNAPSHOT_SLICE
from sandbox.memory.host import clear, read_padded, write_all
from sandbox.network.failure import NetworkError
from sandbox.network.parallel import KINDS, WORKERS, opened, run_all
from sandbox.network.remote import Remote
from sandbox.pagestore.durable_files import write_durably
from sandbox.snapshots import portable
from sandbox.snapshots.content_id import content_id
from sandbox.snapshots.portable import Progress
from sandbox.snapshots.portable.directory import CHUNKS, FILES, Directory, assembled, chunk_path
from sandbox.snapshots.portable.directory_writer import finish_directory
from sandbox.snapshots.portable.files import locked, making
from sandbox.snapshots.portable.metadata import Metadata

FOLDER: Final = ".download"
"""The suffix of the folder in which a download grows."""
_LOG: Final = "slices"
_LOCK: Final = ".lock"
_ZEROS: Final = bytes(SNAPSHOT_SLICE)


class _Slice(NamedTuple):
    part: str
    offset: int
    size: int


def download(
    remote: Remote, snapshot_id: bytes, path: Path, form: str | None = None, progress: Progress | None = None
) -> str:
    """Write a snapshot of a network to `path`, as `snapshots.portable.write` does, and return its content id.

    What is on the disk is read again and verified. After an interruption, the same call continues what it left in
    `PATH.download`.
    """
    if form is None:
        form = "icsnap" if path.suffix == portable.SUFFIX else "dir"
    folder = path.with_name(path.name + FOLDER)
    with making(path, directory=form == "dir"), fetched(remote, snapshot_id, folder, progress) as content:
        if form == "dir":
            _tidy(folder)
            finish_directory(content, path)
        else:
            portable.write(content, path, form)
            shutil.rmtree(folder)
    with portable.opened(path) as content:
        portable.verify(content)
        return content_id(content)


@contextmanager
def fetched(
    remote: Remote, snapshot_id: bytes, folder: Path, progress: Progress | None = None, workers: int = WORKERS
) -> Iterator[Directory]:
    """Fetch a snapshot into a folder, locked meanwhile, and yield its content; the folder stays."""
    metadata = remote.metadata(snapshot_id)
    try:
        (folder / CHUNKS).mkdir(parents=True, exist_ok=True)
        with locked(folder / _LOCK):
            _Download(remote, snapshot_id, folder, metadata, progress).run(workers)
            with assembled(folder, metadata) as content:
                yield content
    except OSError as error:
        raise SnapshotFileError(f"{folder} cannot be written: {error.strerror or error}") from error


def _tidy(folder: Path) -> None:
    """Delete what is not part of a snapshot."""
    for name in (_LOG, _LOCK):
        (folder / name).unlink(missing_ok=True)


class _Download:
    def __init__(
        self, remote: Remote, snapshot_id: bytes, folder: Path, metadata: Metadata, progress: Progress | None
    ) -> None:
        self._remote = remote
        self._id = snapshot_id
        self._folder = folder
        self._metadata = metadata
        self._progress = progress
        self._lock = threading.Lock()
        self._sizes = {"module": metadata.module_size, "heap": metadata.heap_size, "stable": metadata.stable_size}
        self._total = sum(self._sizes.values())
        self._done = 0
        self._files: dict[str, int] = {}
        self._log = -1

    def run(self, workers: int) -> None:
        """Fetch what is missing; everything is on the disk when it returns."""
        known = self._known()
        with ExitStack() as stack:
            self._log = opened(stack, self._folder / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for part, size in self._sizes.items():
                self._files[part] = opened(stack, self._folder / FILES[part], os.O_RDWR | os.O_CREAT)
                os.ftruncate(self._files[part], size)
            self._report(0)
            missing = [piece for piece in self._slices() if not self._has(piece, known)]
            run_all([partial(self._fetch, piece) for piece in missing] + self._chunks(), workers)
            for descriptor in self._files.values():
                os.fsync(descriptor)

    def _known(self) -> dict[tuple[str, int], str]:
        """Return the hashes in the log; a log of another snapshot is thrown away with its files."""
        head = f"{self._remote.id} {self._id.hex()}"
        file = self._folder / _LOG
        lines = file.read_text("utf-8", "replace").split("\n") if file.exists() else []
        if not lines or lines[0] != head:
            for name in FILES.values():
                (self._folder / name).unlink(missing_ok=True)
            write_durably(file, f"{head}\n".encode())
            return {}
        rows = (line.split(" ") for line in lines[1:-1])  # what follows the last line break is torn
        return {(row[0], int(row[1])): row[2] for row in rows if len(row) == 3 and row[1].isdigit()}

    def _slices(self) -> Iterator[_Slice]:
        for part, size in self._sizes.items():
            for offset in range(0, size, SNAPSHOT_SLICE):
                yield _Slice(part, offset, min(SNAPSHOT_SLICE, size - offset))

    def _has(self, piece: _Slice, known: dict[tuple[str, int], str]) -> bool:
        """Return whether a slice is there; if not, its bytes in the file are zero."""
        digest, file = known.get((piece.part, piece.offset)), self._files[piece.part]
        if digest is None or blake3(read_padded(file, piece.size, piece.offset)).hexdigest() != digest:
            clear(file, piece.offset, piece.offset + piece.size)
            return False
        self._report(piece.size)
        return True

    def _fetch(self, piece: _Slice) -> None:
        place = {"offset": piece.offset, "size": piece.size}
        data = self._remote.data(self._id, {KINDS[piece.part]: place})
        if len(data) != piece.size:
            raise NetworkError(f"the network sent {len(data)} bytes of {piece.part} instead of {piece.size}")
        if data != _ZEROS[: piece.size]:
            write_all(self._files[piece.part], data, piece.offset)
        line = f"{piece.part} {piece.offset} {blake3(data).hexdigest()}\n"
        with self._lock:
            os.write(self._log, line.encode())
            self._report(piece.size)

    def _chunks(self) -> list[Callable[[], None]]:
        missing = (digest for digest in self._metadata.chunks if not chunk_path(self._folder, digest).exists())
        return [partial(self._chunk, digest) for digest in missing]

    def _chunk(self, digest: bytes) -> None:
        data = self._remote.data(self._id, {"wasm_chunk": {"hash": digest}})
        if hashlib.sha256(data).digest() != digest:
            raise NetworkError(f"the network sent something else for the chunk {digest.hex()}")
        write_durably(chunk_path(self._folder, digest), data, 0o644)

    def _report(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)

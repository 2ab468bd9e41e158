"""Read the snapshot directory of dfx and icp-cli: `metadata.json`, `wasm_module.bin`, `wasm_memory.bin`,
`stable_memory.bin`, `wasm_chunk_store/SHA256.bin`, all read in place; and the sandbox's own `sandbox.json`, verified
where it is present.

An empty part may have no file. A link may lead to another place in the directory, not outside of it: an upload must not
read files that are not part of the snapshot. Without `sandbox.json`, sizes, hashes of chunks and the globals can be
checked, bytes of memories cannot: the layout has no checksum of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sandbox.errors import SnapshotFileError
from sandbox.limits import CHUNK_SIZE
from sandbox.memory import Readable, Run
from sandbox.memory.host import clipped, data_runs, read_padded
from sandbox.snapshots.portable import extras, metadata
from sandbox.snapshots.portable.content import Blob, Content, ContentPart, check_range, corrupt, whole
from sandbox.snapshots.portable.files import check_inside, opened_file

METADATA: Final = "metadata.json"
CHUNKS: Final = "wasm_chunk_store"
FILES: Final = {"module": "wasm_module.bin", "heap": "wasm_memory.bin", "stable": "stable_memory.bin"}
_UNFINISHED: Final = ".download_progress.json"
"""The file of icp-cli that marks an unfinished download."""
_SMALL: Final = 1 << 26


class FilePart(ContentPart):
    """A file of `directory`, sparse or not. It is closed with its last reference."""

    _fd = -1

    def __init__(self, path: Path, directory: Path) -> None:
        check_inside(path, directory)
        self.path = path
        self._fd = opened_file(path)
        self.size = os.fstat(self._fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        check_range(self, offset, length)
        if self._fd < 0:
            raise SnapshotFileError(f"{self.path} was closed")
        try:
            return read_padded(self._fd, length, offset)
        except OSError as error:
            raise SnapshotFileError(f"{self.path} cannot be read at byte {offset}: {error.strerror}") from error

    def extents(self) -> list[Run]:
        return clipped(data_runs(self._fd, 0, self.size), self.size)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()


class Directory(Content):
    """A snapshot in a directory."""

    path: Path
    files: list[FilePart]

    def place(self, part: str) -> str:
        return str(self.path / FILES[part])

    def close(self) -> None:
        for file in self.files:
            file.close()


def open_directory(path: Path) -> Directory:
    """Open a directory; its metadata and the sizes of its files are checked."""
    if not _is_there(path / METADATA):
        raise SnapshotFileError(f"{path} is not the directory of a snapshot: it has no {METADATA}")
    if _is_there(path / _UNFINISHED):
        raise corrupt(path, f"its download was not finished ({_UNFINISHED} is there)")
    raw = _small(path / METADATA, path)
    content = metadata.decode(raw, str(path / METADATA))
    content, sums = _with_extras(path, raw, content)
    if content.unknown:
        raise corrupt(path / METADATA, f"global {content.unknown[0]} has no number: it was NaN or infinite")
    return assembled(path, content, sums)


def assembled(path: Path, content: metadata.Metadata, sums: Mapping[str, str] = MappingProxyType({})) -> Directory:
    """Return the content of a directory whose metadata are known; the sizes of its files are checked. `sums`: the
    expected checksums of its files, if they are known."""
    files: list[FilePart] = []
    try:
        sizes = {"module": content.module_size, "heap": content.heap_size, "stable": content.stable_size}
        parts = {name: _part(path, FILES[name], size, files) for name, size in sizes.items()}
        chunks: dict[bytes, Readable] = {digest: _chunk(path, digest, files) for digest in content.chunks}
    except BaseException:
        for file in files:
            file.close()
        raise
    wanted = {name: sums[file] for name, file in FILES.items() if sums}
    made = Directory(str(path), content.fields, parts["module"], parts["heap"], parts["stable"], chunks, wanted)
    object.__setattr__(made, "path", path)
    object.__setattr__(made, "files", files)
    return made


def _with_extras(path: Path, raw: bytes, content: metadata.Metadata) -> tuple[metadata.Metadata, dict[str, str]]:
    file = path / extras.NAME
    if not _is_there(file):
        return content, {}
    fields, sums = extras.decode(_small(file, path), content.fields, file)
    if sums.pop(METADATA, None) != extras.checksum(Blob(raw)):
        raise corrupt(path / METADATA, f"it is not what {extras.NAME} says (without that file, it is taken as it is)")
    if sums.keys() != set(FILES.values()):
        raise corrupt(file, "it does not name the files of this layout")
    return replace(content, fields=fields, unknown=()), sums


def _part(path: Path, name: str, size: int, files: list[FilePart]) -> Readable:
    file = path / name
    if not size and not _is_there(file):
        return Blob(b"")
    part = FilePart(file, path)
    files.append(part)
    if part.size != size:
        raise corrupt(file, f"it has {part.size:,} bytes, {METADATA} says {size:,}: torn, or from two snapshots")
    return part


def _chunk(path: Path, digest: bytes, files: list[FilePart]) -> Readable:
    part = FilePart(chunk_path(path, digest), path)
    files.append(part)
    if part.size > CHUNK_SIZE:
        raise corrupt(part.path, f"a chunk has at most {CHUNK_SIZE:,} bytes, this file has {part.size:,}")
    return part


def chunk_path(path: Path, digest: bytes) -> Path:
    """Return the path of a chunk."""
    return path / CHUNKS / f"{digest.hex()}.bin"


def _is_there(file: Path) -> bool:
    """Return whether the name exists, also as a broken link."""
    return os.path.lexists(file)


def _small(file: Path, directory: Path) -> bytes:
    part = FilePart(file, directory)
    try:
        if part.size > _SMALL:
            raise corrupt(file, f"it has more than {_SMALL:,} bytes")
        return whole(part)
    finally:
        part.close()

"""The manifest of a state directory, and its copy.

    manifest         version, BLAKE3, CBOR: the generation and every record; replaced by rename, which is the save
    manifest.copy    the same bytes, written after that: it stands in for a manifest that is missing or damaged

The memories belong to one generation, which `journal-G` identifies: it exists from before the save of generation G
until after the next save, and takes the memories back to G. A copy of generation G is therefore as good as the manifest
while `journal-G` exists, and useless otherwise. A manifest without its journal, where other journals exist, does not
belong to these memories either.

Format 2. Later additions, which older versions ignore: `dropped`, names of memories that this save no longer needed;
`packs`, the names of the packs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import cbor2

from sandbox.errors import StateCorrupt, of_system
from sandbox.pagestore.durable_files import put_in_place
from sandbox.pagestore.envelope import FileKind, unwrap, wrap
from sandbox.store import encodings

KIND: Final = FileKind(b"canister-sandbox state ", "the manifest of a state directory", (1, 2))
_FILE, _COPY = "manifest", "manifest.copy"
_JOURNAL: Final = re.compile(r"journal-(\d+)")
_FOLDERS: Final = ("memories", "modules", "packs", "snapshots")

StateRecord = dict[str, Any]


class Saved(NamedTuple):
    """The last save. `warning`: set if the manifest is damaged and its copy is used."""

    record: StateRecord
    warning: str | None = None


def journal(path: Path, generation: int) -> Path:
    """Return the path of the journal that takes the memories back to a generation."""
    return path / f"journal-{generation}"


def read(path: Path) -> Saved | None:
    """Read the last save of the directory `path`; None if nothing was ever saved.

    `StateCorrupt` if the manifest is missing or damaged and the copy cannot replace it, or if there is no manifest but
    other files of a state directory. `StateError` if it has another version.
    """
    present = _journals(path)
    record, why = _usable(path / _FILE, lambda generation: generation in present or not present)
    if record is not None:
        return Saved(record)
    record, reason = _usable(path / _COPY, lambda generation: generation in present)
    if record is not None:
        return Saved(record, f"{why}; its copy {path / _COPY} is used, nothing is lost")
    if (path / _FILE).exists() or (path / _COPY).exists() or _left(path):
        left = "".join(f"; there is {name}" for name in _left(path)[:1])
        raise StateCorrupt(f"{why}, and {reason}{left}: {path} is a damaged state directory, or not one at all")
    return None


def present(path: Path) -> StateRecord | None:
    """Read the record of the manifest itself; None if there is no file, `StateCorrupt` if it is damaged."""
    return _read(path / _FILE)


def write(path: Path, record: StateRecord) -> bytes:
    """Replace the manifest atomically; return its bytes, for `write_copy` once the directory is synced."""
    content, _ = wrap(KIND, encodings.dumps(record))
    put_in_place(path / _FILE, content)
    return content


def write_copy(path: Path, content: bytes) -> None:
    """Replace the copy; on failure there is no copy. Power loss may tear it, which its checksum detects."""
    try:
        put_in_place(path / _COPY, content, wait=False)
    except BaseException:
        with suppress(OSError):
            (path / _COPY).unlink(missing_ok=True)
        raise


def void_journals(path: Path, generation: int) -> list[Path]:
    """Return the journals of other generations, of completed or abandoned saves."""
    own = journal(path, generation).name
    return [
        file for file in path.iterdir() if _JOURNAL.fullmatch(name := file.name.removesuffix(".done")) and name != own
    ]


def _usable(file: Path, belongs: Callable[[int], bool]) -> tuple[StateRecord | None, str]:
    """Return the record in a file if its generation `belongs` to the memories; otherwise None and the reason."""
    try:
        record = _read(file)
    except StateCorrupt as error:
        return None, str(error)
    if record is None:
        return None, f"{file} is missing"
    if not belongs(record["generation"]):
        return None, f"{file} is of generation {record['generation']}, and the memories are of another one"
    return record, ""


def _read(file: Path) -> StateRecord | None:
    try:
        body, digest = unwrap(KIND, file, file.read_bytes())
        record = cbor2.loads(body) if digest is not None else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        of_system(error)
        raise StateCorrupt(f"{file} cannot be read: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("generation"), int):
        raise StateCorrupt(f"{file} contradicts its checksum")
    return record


def _journals(path: Path) -> set[int]:
    """Return the generations to which journals can take the memories back."""
    return {int(match[1]) for file in path.iterdir() if (match := _JOURNAL.fullmatch(file.name))}


def _left(path: Path) -> list[Path]:
    """Return files that only a saved state has; none if `journal-0` shows that nothing was saved yet."""
    journals = _journals(path)
    if 0 in journals:
        return []
    folders = (path / name for name in _FOLDERS)
    left = [file for folder in folders if folder.exists() for file in _files(folder)]
    return sorted([*left, *(journal(path, generation) for generation in journals)])


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else [folder]

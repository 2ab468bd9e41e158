"""Files that survive power loss: written beside, waited for, renamed, the directory waited for."""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(file: Path, content: bytes) -> None:
    """Make `content` the file's, on the disk itself; all or nothing."""
    put_in_place(file, content)
    sync_directory(file.parent)


def put_in_place(file: Path, content: bytes) -> None:
    """Make `content` the file's, or leave it what it was; it is on the disk itself when the directory is."""
    temporary = file.with_name(f".new-{file.name}")
    with open(temporary, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, file)


def sync_directory(path: Path) -> None:
    """Wait until the disk has the file, or the names in the directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

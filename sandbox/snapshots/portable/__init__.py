"""Portable snapshots: one file (`.icsnap`), or the directory of dfx and icp-cli.

`opened` reads either in place, `write` makes one, `of_state` presents a snapshot of a sandbox in the same way, `filled`
brings the bytes into memories, `verify` reads them all, `unreadable_globals` lists globals that other tools misread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sandbox.errors import SnapshotFileError
from sandbox.snapshots.portable.archive import open_archive
from sandbox.snapshots.portable.archive_writer import write_archive
from sandbox.snapshots.portable.content import Content, Fields, Progress, of_state
from sandbox.snapshots.portable.directory import open_directory
from sandbox.snapshots.portable.directory_writer import write_directory
from sandbox.snapshots.portable.files import PART
from sandbox.snapshots.portable.filling import filled, verify
from sandbox.snapshots.portable.metadata import unreadable_globals

FORMATS: Final = {"icsnap": write_archive, "dir": write_directory}
"""The writers of a snapshot by format: one file, or a directory."""
SUFFIX: Final = ".icsnap"


def opened(path: Path) -> Content:
    """Open the snapshot in a file or a directory; checks everything except the contents of its parts.

    `SnapshotFileCorrupt` says what is wrong and where; any other `SnapshotFileError`: there is no snapshot to open.
    """
    if path.name.endswith(PART):
        raise SnapshotFileError(f"{path} was not finished: downloading the snapshot again continues it")
    if not path.exists():
        raise SnapshotFileError(f"there is no file or directory {path}")
    return open_directory(path) if path.is_dir() else open_archive(path)


def write(content: Content, path: Path, form: str | None = None, progress: Progress | None = None) -> None:
    """Write as `icsnap` or `dir`; without `form`, a directory unless the name ends in `.icsnap`.

    Nothing is overwritten. An unfinished one stays as `PATH.part`, and writing the same again continues it.
    """
    if form is None:
        form = "icsnap" if path.suffix == SUFFIX else "dir"
    if form not in FORMATS:
        raise ValueError(f"a format is one of {', '.join(FORMATS)}, not {form!r}")
    FORMATS[form](content, path, progress)


__all__ = [
    "FORMATS",
    "SUFFIX",
    "Content",
    "Fields",
    "Progress",
    "filled",
    "of_state",
    "opened",
    "unreadable_globals",
    "verify",
    "write",
]

"""Write files under temporary names, and never over existing ones: a final name means a finished file."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.errors import SnapshotFileError
from sandbox.memory.host import sync

PART = ".part"
"""The suffix of the temporary name of an unfinished file."""


def part_of(path: Path) -> Path:
    """Return the temporary path of `path`."""
    return path.with_name(path.name + PART)


def check_inside(path: Path, directory: Path) -> None:
    """Refuse a file that links, its own or those of folders, lead outside of `directory`. Links within are allowed."""
    target, root = Path(os.path.realpath(path)), os.path.realpath(directory)
    if not target.is_relative_to(root):
        raise SnapshotFileError(f"{path} is a link that leads outside of {directory}, to {target}: it is not read")


def opened_file(path: Path) -> int:
    """Open a regular file for reading and return its descriptor."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SnapshotFileError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise SnapshotFileError(f"{path} cannot be read: not a file")
    return fd


@contextmanager
def making(path: Path, *, directory: bool) -> Iterator[None]:
    """Guard the writing of `path`: it must not exist (an empty directory may), and OSErrors become
    `SnapshotFileError`."""
    try:
        if path.exists() and not (directory and path.is_dir() and not any(path.iterdir())):
            raise SnapshotFileError(f"{path} is there already, and nothing is overwritten")
        yield
    except OSError as error:
        raise SnapshotFileError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Open a file, made if absent, and lock it against other processes; yields the descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SnapshotFileError(f"{path} is being written by another process") from None
        yield fd
    finally:
        os.close(fd)


def put(part: Path, path: Path) -> None:
    """Rename to the final path, which must not exist, and sync."""
    try:
        os.rename(part, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise SnapshotFileError(f"{path} is there already, and nothing is overwritten") from error
    sync(path.parent)

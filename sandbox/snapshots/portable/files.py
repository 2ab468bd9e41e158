"""Writing so that a name always means something finished, and never over what is there."""

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
"""What is not finished lies beside its place, under its name with this at the end."""


def part_of(path: Path) -> Path:
    """Where `path` is made."""
    return path.with_name(path.name + PART)


def check_inside(path: Path, directory: Path) -> None:
    """Refuse a file that a link, its own or one of a folder, leads to outside of `directory`. Links within may be."""
    target, root = Path(os.path.realpath(path)), os.path.realpath(directory)
    if not target.is_relative_to(root):
        raise SnapshotFileError(f"{path} is a link that leads outside of {directory}, to {target}: it is not read")


def opened_file(path: Path) -> int:
    """A descriptor of a regular file, to be read."""
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
    """Within, `path` is being made: it is not there yet (a directory may be, if empty), and failures of the system
    become `SnapshotFileError`."""
    try:
        if path.exists() and not (directory and path.is_dir() and not any(path.iterdir())):
            raise SnapshotFileError(f"{path} is there already, and nothing is overwritten")
        yield
    except OSError as error:
        raise SnapshotFileError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """A descriptor of the file, made if absent, that no other process has within."""
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
    """Rename, and wait for the disk."""
    try:
        os.rename(part, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise SnapshotFileError(f"{path} is there already, and nothing is overwritten") from error
    sync(path.parent)

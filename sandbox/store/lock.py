"""The lock of a state directory: one process that writes, or any number of readers."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from sandbox.errors import StateError, StateLocked, of_system


def locked(path: Path, timeout: float, *, shared: bool) -> int:
    """Return a descriptor that holds the lock of the directory `path` until `unlock`; the directory is made if absent.

    With `shared`, other readers may hold it too, and nothing is made: a directory without the file `lock` was copied
    from elsewhere and never written here. `StateLocked` if the lock is not free within `timeout` seconds.
    """
    try:
        if shared:
            descriptor = os.open(_lock_or_directory(path), os.O_RDONLY | os.O_CLOEXEC)
        else:
            path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        of_system(error)
        raise StateError(f"{path} cannot be used as a state directory: {error}") from error
    try:
        _wait(path, descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, timeout)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unlock(descriptor: int) -> None:
    """Release the lock for every process, and close the descriptor.

    Closing alone would leave the lock with a child that was forked but has not closed its copy of the descriptor yet.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _lock_or_directory(path: Path) -> Path:
    return path / "lock" if (path / "lock").exists() else path


def _wait(path: Path, descriptor: int, kind: int, timeout: float) -> None:
    end = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise StateLocked(f"{path} is in use by another process (waited {timeout:g} s for its lock)") from None
            time.sleep(0.02)

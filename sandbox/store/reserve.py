"""Space reserved on the disk, so that operations that free space still work when it is full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sandbox.memory.host import write_all

T = TypeVar("T")
_UNIT = 64 << 10
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Reserve:
    """A file of zeros, deleted when its space is needed. A file with any other content is left alone."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def keep(self, size: int) -> None:
        """Reserve at least `size` bytes, if the disk has them."""
        wanted = (size // _UNIT + 1) * _UNIT
        with suppress(OSError):
            if not self._file.exists() or (self._file.stat().st_size < wanted and self._is_ours()):
                _allocate(self._file, wanted)

    def spend(self, action: Callable[[], T]) -> T:
        """Do `action`; if the disk is full, free the space and do it once more. It must be repeatable."""
        try:
            return action()
        except Exception as error:
            if not is_full(error) or not self._is_ours():
                raise
        self._file.unlink()
        return action()

    def _is_ours(self) -> bool:
        return self._file.is_file() and not self._file.read_bytes().strip(b"\0")


def is_full(error: BaseException | None) -> bool:
    """Return whether an error, or its cause, means that the disk is full."""
    return error is not None and (getattr(error, "errno", None) in _FULL or is_full(error.__cause__))


def _allocate(file: Path, size: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            write_all(descriptor, bytes(size), 0)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)

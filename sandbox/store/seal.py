"""The seal of a file: metadata that the system changes with every write by others (`checks.py`)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sandbox.errors import of_system
from sandbox.memory import host

Seal = list[int]
"""The size, the inode number and the times of modification and change of a file, in nanoseconds."""


def seal_of(file: Path) -> Seal:
    """Return the seal of a file; empty if there is no file."""
    try:
        status = os.stat(file)
    except OSError as error:
        of_system(error)
        return []
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def sealed(file: Path) -> Seal:
    """Sync a file to the disk and return its new seal."""
    now = time.time_ns()
    os.utime(file, ns=(now, now))
    host.sync(file)
    return seal_of(file)

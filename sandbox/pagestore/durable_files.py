"""Files that survive power loss: written beside, synced, renamed, the directory synced.

Every change of a file goes through functions of `os`, so that tests can count, record and fail them all.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from sandbox.memory.host import sync

DIGEST = re.compile(r"[0-9a-f]{64}")
"""The name of a file that is named by its digest. Files with other names are not of this format."""
TEMPORARY = ".new-"
"""The prefix of the name of a file that is not in place yet."""


def write_durably(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file's content atomically and sync it to the disk. `mode`: the permissions of a new file."""
    put_in_place(file, content, mode)
    sync(file.parent)


def put_in_place(file: Path, content: bytes, mode: int = 0o600, *, wait: bool = True) -> None:
    """Replace a file's content atomically; it is on the disk once the directory is synced. Without `wait` the content
    is not synced: after a power loss the file may be torn."""
    temporary = file.with_name(f"{TEMPORARY}{file.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if wait:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, file)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise

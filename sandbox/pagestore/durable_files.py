"""Files that survive power loss: written beside, waited for, renamed, the directory waited for.

Whatever changes a file in a state directory does so by functions of `os`: a test can count, record and fail them all.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from sandbox.memory.host import sync

DIGEST = re.compile(r"[0-9a-f]{64}")
"""The name of a file that is called by a digest: packs, modules. What has another kind of name is none of ours."""
TEMPORARY = ".new-"
"""How the name of a file begins that is not in place yet."""


def write_durably(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Make `content` the file's, on the disk itself; all or nothing. `mode`: who may read it, if it is new."""
    put_in_place(file, content, mode)
    sync(file.parent)


def put_in_place(file: Path, content: bytes, mode: int = 0o600, *, wait: bool = True) -> None:
    """Make `content` the file's, or leave it what it was; it is on the disk itself when the directory is. Without
    `wait` that is some time later, and the file is torn if the power fails before."""
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

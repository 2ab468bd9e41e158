"""Compiled code on disk: machine code that is loaded and run, so only files that this user wrote are loaded.

The directory must belong to the user and be writable by no other; so must each file, which is never followed through
a link. A file is header, BLAKE3 of its name and the rest, the rest; anything else is treated as absent, also an intact
file under the name of another. Writers write beside and rename, so that processes may share the directory and a kill
leaves nothing half-written under a final name.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import blake3

from sandbox.errors import of_system

_HEADER = b"canister-sandbox code 2\n"
_DIGEST = 32


def directory() -> Path:
    """Return `$CANISTER_SANDBOX_CACHE`, or `canister-sandbox` in the user's cache directory."""
    chosen = os.environ.get("CANISTER_SANDBOX_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "canister-sandbox" / "code"


def load(where: Path, name: str) -> bytes | None:
    """Return the stored bytes, or None if they are absent, damaged, or not provably this user's own."""
    try:
        if not _is_ours(os.stat(where)):
            return None
        descriptor = os.open(where / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        of_system(error)
        return None
    try:
        status = os.fstat(descriptor)
        if not (_is_ours(status) and stat.S_ISREG(status.st_mode)):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read()
    except OSError as error:
        of_system(error)
        return None
    finally:
        os.close(descriptor)
    body = len(_HEADER) + _DIGEST
    if not content.startswith(_HEADER):
        return None
    digest, code = content[len(_HEADER) : body], content[body:]
    return code if _digest(name, code) == digest else None


def store(where: Path, name: str, code: bytes) -> None:
    """Store `code`. Does nothing if the directory cannot be written or is not the user's own: it is only a cache."""
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(os.stat(where)):
            return
        descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=where)
        try:
            with open(descriptor, "wb") as file:
                file.write(_HEADER + _digest(name, code))
                file.write(code)
            os.replace(temporary, where / name)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        of_system(error)


def _digest(name: str, code: bytes) -> bytes:
    """Return the digest of the code and its name, which stands for the module, the engine and its configuration."""
    return blake3.blake3(name.encode() + b"\0", max_threads=1).update(code).digest()


def _is_ours(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)

"""Compiled code on disk: machine code that is loaded and run, so only files that this user wrote are loaded.

The directory must belong to the user and be writable by no other; so must each file, which is never followed through
a link. A file is header, BLAKE3 of its name and the rest, the rest; anything else is treated as absent, also an intact
file under the name of another. Writers write beside and rename, so that processes may share the directory and a kill
leaves nothing half-written under a final name.

The files together take at most `limit()` bytes, give or take what processes that run at the same time have just
written: the least recently used go first. A file's time of modification says when it was last used. Files that are not
entries of this cache stay.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import blake3

from sandbox.errors import StateError, of_system
from sandbox.limits import GIB, MIB

_LIMIT: Final = GIB
"""The default of `limit()`: machine code of about 500 canisters of 200 KB."""
_LIMIT_VARIABLE: Final = "CANISTER_SANDBOX_CACHE_LIMIT"
_OFTEN: Final = 16
"""A process looks at the whole directory at its first addition, and after additions of this part of the limit."""
_NAME: Final = re.compile(r"[0-9a-f]{64}-.+")
_NEW: Final = ".new-"
_ABANDONED: Final = 3600
"""Seconds after which a file that was not finished belongs to no running process."""
_unlooked: dict[Path, int] = {}
"""Bytes that this process has added to a directory since it looked at the whole."""

_HEADER = b"canister-sandbox code 2\n"
_DIGEST = 32


def directory() -> Path:
    """Return `$CANISTER_SANDBOX_CACHE`, or `canister-sandbox` in the user's cache directory."""
    chosen = os.environ.get("CANISTER_SANDBOX_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "canister-sandbox" / "code"


def limit() -> int:
    """Return the bytes that the cache may take: `$CANISTER_SANDBOX_CACHE_LIMIT` MiB, or 1 GiB; 0: nothing is kept.

    `StateError` if the variable is no number of MiB.
    """
    chosen = os.environ.get(_LIMIT_VARIABLE)
    if not chosen:
        return _LIMIT
    if not (chosen.isascii() and chosen.isdigit()):
        raise StateError(f"{_LIMIT_VARIABLE} is a number of MiB, not {chosen!r}")
    return int(chosen) * MIB


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the cache: its size in bytes, and when it was last used, in seconds since 1970."""

    path: Path
    size: int
    used: float


def entries(where: Path) -> list[Entry]:
    """Return the entries of a directory, least recently used first; none if it is not the user's own."""
    return sorted((entry for entry in _files(where) if _NAME.fullmatch(entry.path.name)), key=lambda entry: entry.used)


def trim(where: Path, most: int) -> list[Entry]:
    """Delete the least recently used entries until the others take at most `most` bytes; return those deleted."""
    present, gone = entries(where), []
    size = sum(entry.size for entry in present)
    for entry in present:
        if size <= most:
            break
        if _delete(entry.path):
            gone.append(entry)
        size -= entry.size
    old = time.time() - _ABANDONED
    for entry in _files(where):
        if entry.path.name.startswith(_NEW) and entry.used < old:
            _delete(entry.path)
    return gone


def _files(where: Path) -> Iterator[Entry]:
    """Yield the regular files in a directory of the user's own."""
    try:
        if not _is_ours(os.stat(where)):
            return
        with os.scandir(where) as listing:
            for file in listing:
                with suppress(FileNotFoundError):  # another process has deleted it
                    status = file.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield Entry(where / file.name, status.st_size, status.st_mtime)
    except OSError as error:
        of_system(error)


def _delete(file: Path) -> bool:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        of_system(error)
        return False
    return True


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
        with suppress(OSError):  # a directory that cannot be written
            os.utime(descriptor)
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
    """Store `code`, and keep the directory within `limit()`. Does nothing if the directory cannot be written or is not
    the user's own: it is only a cache."""
    most = limit()
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(os.stat(where)):
            return
        descriptor, temporary = tempfile.mkstemp(prefix=_NEW, dir=where)
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
        return
    added = _unlooked.get(where, most) + len(code)
    if added > most // _OFTEN:
        trim(where, most)
        added = 0
    _unlooked[where] = added


def _digest(name: str, code: bytes) -> bytes:
    """Return the digest of the code and its name, which stands for the module, the engine and its configuration."""
    return blake3.blake3(name.encode() + b"\0", max_threads=1).update(code).digest()


def _is_ours(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)

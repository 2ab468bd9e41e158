"""Files that say what they are: a line with kind and version, a BLAKE3 of the rest, the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blake3 import blake3

from sandbox.errors import StateCorrupt, StateError

_DIGEST: Final = 32


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file: how its first line begins, what to call it, and the versions that are read, the last of which is
    written."""

    header: bytes
    name: str
    versions: tuple[int, ...]


def wrap(kind: FileKind, body: bytes) -> tuple[bytes, bytes]:
    """The file's bytes, and the digest in them."""
    digest = blake3(body).digest()
    return kind.header + str(kind.versions[-1]).encode() + b"\n" + digest + body, digest


def unwrap(kind: FileKind, file: Path, content: bytes) -> tuple[bytes, bytes | None]:
    """What was sealed, and its digest; None if it contradicts that. `StateCorrupt` if the file is not of this kind,
    `StateError` if it is of no version that is read."""
    header, _, rest = content.partition(b"\n")
    if not header.startswith(kind.header):
        raise StateCorrupt(f"{file} is not {kind.name}")
    version = header[len(kind.header) :]
    if version not in [str(number).encode() for number in kind.versions]:
        known = " and ".join(map(str, kind.versions))
        raise StateError(f"{file} has format {version.decode(errors='replace')}, this version reads {known}")
    digest, body = rest[:_DIGEST], rest[_DIGEST:]
    return body, digest if blake3(body).digest() == digest else None


def is_of(kind: FileKind, file: Path) -> bool:
    """Whether a file begins as one of this kind, of a version that is read, or is cut off before that shows."""
    heads = [kind.header + str(number).encode() + b"\n" for number in kind.versions]
    with open(file, "rb") as opened:
        start = opened.read(max(map(len, heads)))
    return any(start.startswith(head) or head.startswith(start) for head in heads)


def contents(content: bytes) -> bytes:
    """What was sealed, whether it is what it was or not."""
    return content.partition(b"\n")[2][_DIGEST:]

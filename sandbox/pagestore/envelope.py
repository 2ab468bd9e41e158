"""An envelope for files: a line with kind and version, then the BLAKE3 of the body, then the body."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blake3 import blake3

from sandbox.errors import StateCorrupt, StateError

_DIGEST: Final = 32


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file: the start of its first line, its name in errors, and the versions that are read; the last one is
    written."""

    header: bytes
    name: str
    versions: tuple[int, ...]


def wrap(kind: FileKind, body: bytes) -> tuple[bytes, bytes]:
    """Return the file's bytes, and the digest in them."""
    digest = blake3(body).digest()
    return kind.header + str(kind.versions[-1]).encode() + b"\n" + digest + body, digest


def unwrap(kind: FileKind, file: Path, content: bytes) -> tuple[bytes, bytes | None]:
    """Return the body and its digest, None if the body contradicts it. `StateCorrupt` if the file is not of this kind,
    `StateError` if its version is not supported."""
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
    """Return whether a file begins with the header of this kind in a supported version, perhaps cut off."""
    heads = [kind.header + str(number).encode() + b"\n" for number in kind.versions]
    with open(file, "rb") as opened:
        start = opened.read(max(map(len, heads)))
    return any(start.startswith(head) or head.startswith(start) for head in heads)


def contents(content: bytes) -> bytes:
    """Return the body, unchecked."""
    return content.partition(b"\n")[2][_DIGEST:]

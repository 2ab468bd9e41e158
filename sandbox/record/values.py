"""Inputs as CBOR: arrays that begin with a letter for their type. Long bytes are stored once and named by hash.

`p` principal, `t` tuple, `l` list, `d` mapping with text keys, `r` record (class, fields by name), `b` blob (SHA-256);
everything else is stored as it is. An image of a memory is a `Sparse`. A field that a later version adds gets a default
in its class, so that old files remain readable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from sandbox.errors import RecordError
from sandbox.execution import Advance, Query, Round, Submit, UntilIdle, UntilStopped, Update
from sandbox.management.code import InstallCode
from sandbox.management.commands import Command
from sandbox.management.edits import Edits
from sandbox.management.hook_path import HookLoad
from sandbox.management.upload_whole import NewCanister, Uploading
from sandbox.memory import Image, Pool, Readable
from sandbox.pagestore.stored_memory import Stored
from sandbox.principal import Principal
from sandbox.record.watch import Begin, Undo
from sandbox.state import Derived, InstructionLimits, Keep, Policy, SenderInfo, Visibility


@dataclass(frozen=True, slots=True)
class Sparse:
    """A memory as bytes: `runs` are (offset, content), everything else is zero."""

    size: int
    runs: tuple[tuple[int, bytes], ...]

    @classmethod
    def of(cls, image: Readable) -> Sparse:
        """Return the bytes of an image."""
        return cls(image.size, tuple(image.pieces(image.extents())))

    def image(self, pool: Pool) -> Image:
        """Return an image of a new memory of `pool` with these bytes."""
        memory = pool.memory(self.size)
        for offset, content in self.runs:
            memory.write(offset, content)
        return memory.image()


BLOB = 4096
"""The least length of bytes that are stored as blobs."""
CLASSES: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Advance,
        Begin,
        Command,
        Derived,
        Edits,
        InstallCode,
        InstructionLimits,
        Keep,
        Policy,
        Query,
        HookLoad,
        NewCanister,
        Round,
        SenderInfo,
        Sparse,
        Submit,
        Undo,
        UntilIdle,
        UntilStopped,
        Update,
        Uploading,
        Visibility,
    )
}


def encode(value: Any, blob: Callable[[bytes, bytes], None]) -> Any:
    """Return a value as CBOR-ready values; `blob` is called with the SHA-256 and the content of long bytes.
    `RecordError` for a value that `decode` could not read."""
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes(bytes(value), blob)
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Principal):
        return ["p", bytes(value)]
    name = type(value).__name__
    if CLASSES.get(name) is type(value):
        return ["r", name, {field: encode(getattr(value, field), blob) for field in _fields(name)}]
    if isinstance(value, tuple | list):
        return ["t" if isinstance(value, tuple) else "l", *(encode(item, blob) for item in value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return ["d", {key: encode(item, blob) for key, item in value.items()}]
    if isinstance(value, Image | Stored):
        return encode(Sparse.of(value), blob)
    raise RecordError(f"{value!r} cannot be recorded: no input of the platform has a {name} in it")


@cache
def _fields(name: str) -> tuple[str, ...]:
    return tuple(field.name for field in fields(CLASSES[name]))


def _bytes(value: bytes, blob: Callable[[bytes, bytes], None]) -> Any:
    if len(value) < BLOB:
        return value
    digest = hashlib.sha256(value).digest()
    blob(digest, value)
    return ["b", digest]


def decode(value: Any, blobs: Mapping[bytes, bytes]) -> Any:
    """Return the value that was encoded. `KeyError`, `TypeError` or `ValueError` for anything else."""
    if not isinstance(value, tuple | list):
        return value
    match value:
        case ["p", raw]:
            return Principal(raw)
        case ["b", digest]:
            return blobs[digest]
        case ["t", *items]:
            return tuple(decode(item, blobs) for item in items)
        case ["l", *items]:
            return [decode(item, blobs) for item in items]
        case ["d", content]:
            return {key: decode(item, blobs) for key, item in content.items()}
        case ["r", name, content]:
            return CLASSES[name](**{key: decode(item, blobs) for key, item in content.items()})
    raise ValueError(f"{value[:1]!r} begins no value")

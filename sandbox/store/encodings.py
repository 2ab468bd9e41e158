"""CBOR of parts of the manifest that have not changed since the last save: a save encodes only what has changed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import cbor2

Key = TypeVar("Key")
Part = TypeVar("Part")
_ARRAY: Final = 0x80
_MAP: Final = 0xA0


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value of CBOR, as bytes."""

    data: bytes


class Encodings:
    """The encodings of immutable parts, by the identity of the part, which they do not keep alive."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], bytes]] = {}
        self._used: dict[int, tuple[weakref.ref[Any], bytes]] = {}

    def of(self, parts: Iterable[tuple[Key, Part]], content: Callable[[Key, Part], Any]) -> list[bytes]:
        """Return the encodings of `content(key, part)`, which is called once for each part."""
        before, used = self._known, {}
        for key, part in parts:
            known = before.get(id(part))
            if known is None or known[0]() is not part:
                known = weakref.ref(part), cbor2.dumps(content(key, part))
            used[id(part)] = known
        self._used |= used
        return [encoding for _, encoding in used.values()]

    def end(self) -> None:
        """End a manifest: forget the parts that were not in it."""
        self._known, self._used = self._used, {}


def array(items: Sequence[bytes]) -> Encoded:
    """Return the array of encoded items."""
    return Encoded(_head(_ARRAY, len(items)) + b"".join(items))


def joined(maps: Sequence[bytes]) -> Encoded:
    """Return one map for encoded maps that have one entry each, all with other keys."""
    return Encoded(_head(_MAP, len(maps)) + b"".join([entry[1:] for entry in maps]))


def dumps(value: Any) -> bytes:
    """Return the CBOR of a value; maps in it may contain encoded parts.

    `cbor2.dumps` could take them too, with `default`, but then imports `email`, `fractions` and more for other types.
    """
    if isinstance(value, Encoded):
        return value.data
    if isinstance(value, dict):
        return _head(_MAP, len(value)) + b"".join([cbor2.dumps(key) + dumps(item) for key, item in value.items()])
    return cbor2.dumps(value)


def _head(kind: int, count: int) -> bytes:
    """Return the head of an array or a map, in the shortest form (RFC 8949, section 3)."""
    if count < 24:
        return bytes([kind | count])
    size = next(size for size in (1, 2, 4, 8) if count < 1 << 8 * size)
    return bytes([kind | 23 + size.bit_length()]) + count.to_bytes(size, "big")

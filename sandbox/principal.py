"""Principals: 0 to 29 bytes that name a user, a canister or the management canister.

Text form: lower-case base32 of CRC32 (big-endian) and bytes, a dash after every five characters (interface
specification, "Textual representation of principals").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from functools import lru_cache

from sandbox.errors import PrincipalError

MAX_LENGTH = 29


class Principal:
    """An immutable principal; equal and ordered by its bytes."""

    __slots__ = ("_raw",)
    _raw: bytes

    def __init__(self, raw: bytes = b"") -> None:
        if len(raw) > MAX_LENGTH:
            raise PrincipalError(f"a principal has at most {MAX_LENGTH} bytes, not {len(raw)}")
        object.__setattr__(self, "_raw", bytes(raw))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Principal is immutable")

    @classmethod
    def from_text(cls, text: str) -> Principal:
        """Parse the text form, in upper or lower case; a wrong checksum or grouping is a `PrincipalError`."""
        letters = text.strip().lower()
        packed = letters.replace("-", "").upper()
        try:
            decoded = base64.b32decode(packed + "=" * (-len(packed) % 8))
        except (binascii.Error, ValueError) as error:
            raise PrincipalError(f"not a principal: {text!r} is not base32") from error
        if len(decoded) < 4 or len(decoded) - 4 > MAX_LENGTH:
            raise PrincipalError(f"not a principal: {text!r} has a wrong length")
        principal = cls(decoded[4:])
        if principal.to_text() != letters:
            raise PrincipalError(f"not a principal: {text!r} has a wrong checksum or grouping")
        return principal

    @classmethod
    def of(cls, value: Principal | str | bytes) -> Principal:
        """A principal from any of its forms."""
        if isinstance(value, Principal):
            return value
        return cls.from_text(value) if isinstance(value, str) else cls(value)

    @classmethod
    def management(cls) -> Principal:
        """`aaaaa-aa`, the management canister: no bytes."""
        return cls(b"")

    @classmethod
    def anonymous(cls) -> Principal:
        """`2vxsx-fae`: the sender of unsigned requests."""
        return cls(b"\x04")

    @classmethod
    def self_authenticating(cls, der_public_key: bytes) -> Principal:
        """SHA-224 of a DER public key, then 02."""
        return cls(hashlib.sha224(der_public_key).digest() + b"\x02")

    @classmethod
    def from_index(cls, index: int) -> Principal:
        """The canister id with this 64-bit index: eight bytes big-endian, then 01 01."""
        return cls(index.to_bytes(8, "big") + b"\x01\x01")

    def to_text(self) -> str:
        return _text(self._raw)

    def __bytes__(self) -> bytes:
        return self._raw

    def __str__(self) -> str:
        return _text(self._raw)

    def __repr__(self) -> str:
        return f"Principal({_text(self._raw)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Principal) and self._raw == other._raw

    def __lt__(self, other: Principal) -> bool:
        return self._raw < other._raw

    def __hash__(self) -> int:
        return hash(self._raw)

    def __reduce__(self) -> tuple[type[Principal], tuple[bytes]]:
        return Principal, (self._raw,)


@lru_cache(maxsize=4096)
def _text(raw: bytes) -> str:
    checked = zlib.crc32(raw).to_bytes(4, "big") + raw
    letters = base64.b32encode(checked).decode().lower().rstrip("=")
    return "-".join(letters[i : i + 5] for i in range(0, len(letters), 5))

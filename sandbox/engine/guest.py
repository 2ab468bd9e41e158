"""Access to a guest's memory: the one place where a number from a guest becomes an address.

Every pair (address, length) is checked against the memory's present size before anything is touched; the numbers are
unsigned and have no upper bound of their own, so that a sum cannot wrap.
"""

from __future__ import annotations

import ctypes
from typing import Protocol


class OutOfBounds(Exception):
    """A range that is not inside the guest's memory."""

    def __init__(self, address: int, length: int, size: int) -> None:
        super().__init__(f"address {address} + length {length} exceeds the memory of {size} bytes")
        self.address = address
        self.length = length
        self.size = size


class Mapped(Protocol):
    """Bytes at an address, such as a view of a committed memory."""

    @property
    def base(self) -> int: ...

    @property
    def size(self) -> int: ...


class GuestMemory:
    """Checked reads and writes of one mapped memory."""

    __slots__ = ("_mapped",)

    def __init__(self, mapped: Mapped) -> None:
        self._mapped = mapped

    @property
    def size(self) -> int:
        """The present size in bytes."""
        return self._mapped.size

    def read(self, address: int, length: int) -> bytes:
        """Return a copy of `length` bytes; `OutOfBounds` if they are not all inside."""
        size = self._mapped.size
        if address + length > size:
            raise OutOfBounds(address, length, size)
        return ctypes.string_at(self._mapped.base + address, length) if length else b""

    def write(self, address: int, data: bytes) -> None:
        """Store `data`; `OutOfBounds`, with nothing written, if it does not fit."""
        size = self._mapped.size
        if address + len(data) > size:
            raise OutOfBounds(address, len(data), size)
        if data:
            ctypes.memmove(self._mapped.base + address, data, len(data))

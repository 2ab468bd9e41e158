"""A Wasm module in the state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WasmModule:
    """A module as its user submitted it (gzip stays gzip) and the SHA-256 of exactly these bytes."""

    submitted: bytes
    hash: bytes

    @classmethod
    def from_bytes(cls, submitted: bytes) -> WasmModule:
        """The module with these bytes; not checked."""
        return cls(submitted, hashlib.sha256(submitted).digest())

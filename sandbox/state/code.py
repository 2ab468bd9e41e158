"""A module in the state."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WasmModule:
    """A module as its user submitted it (gzip stays gzip) and the SHA-256 of exactly these bytes."""

    submitted: bytes
    hash: bytes

"""Submitted bytes to a Wasm binary: raw or gzip (SPECIFICATION 2.1; interface specification, "Canister module
format").

The texts are those of `decode_wasm` in dfinity/ic `rs/embedders/src/wasm_utils/decoding.rs` (commit 01adcd36) and of
`WasmValidationError` in `rs/types/wasm_types/src/errors.rs`. One case is stricter than there: a compressed module that
is followed by other bytes is an error here whatever its last four bytes say.
"""

from __future__ import annotations

import zlib

from sandbox import limits
from sandbox.errors import InvalidModule

WASM_MAGIC = b"\0asm"
GZIP_MAGIC = b"\x1f\x8b\x08"
_GZIP_SMALLEST = 16  # an 8-byte header and an 8-byte footer
_GZIP_WINDOW = 31  # zlib's number for "gzip framing, largest window"


def decode_module(submitted: bytes) -> bytes:
    """Return the Wasm binary in the submitted bytes; the same object if they are raw Wasm.

    Never inflates more than one byte beyond the size that the gzip footer names, and that size is checked against the
    limit first: a bomb costs at most 100 MiB. Raises `InvalidModule`.
    """
    if submitted.startswith(WASM_MAGIC):
        _check_size(len(submitted))
        return submitted
    if submitted.startswith(GZIP_MAGIC):
        return _inflate(submitted)
    raise _undecodable("unsupported canister module format")


def _inflate(submitted: bytes) -> bytes:
    if len(submitted) < _GZIP_SMALLEST:
        raise _undecodable("invalid Wasm module: gzip stream is too short")
    expected = int.from_bytes(submitted[-4:], "little")
    _check_size(expected)
    stream = zlib.decompressobj(_GZIP_WINDOW)
    try:
        wasm = stream.decompress(submitted, expected + 1)
    except zlib.error as error:
        raise _undecodable(f"failed to decode compressed Wasm module: {error}") from None
    if stream.eof and stream.unused_data:
        raise _undecodable("failed to decode compressed Wasm module: bytes after the end of the gzip stream")
    if len(wasm) > expected or (stream.eof and len(wasm) != expected):
        raise _undecodable(f"specified uncompressed size {expected} does not match extracted size {len(wasm)}")
    if not stream.eof:
        raise _undecodable("failed to decode compressed Wasm module: failed to fill whole buffer")
    return wasm


def _check_size(size: int) -> None:
    if size > limits.MODULE_SIZE:
        raise InvalidModule(f"Wasm module size of {size} exceeds the maximum allowed size of {limits.MODULE_SIZE}")


def _undecodable(reason: str) -> InvalidModule:
    return InvalidModule(f"Failed to decode wasm module: {reason}")

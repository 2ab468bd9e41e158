"""Submitted bytes: raw or gzip, anything else is refused with the replica's text (SPECIFICATION 2.1, 2.4)."""

from __future__ import annotations

import gzip
import zlib

import pytest

from sandbox import limits
from sandbox.errors import InvalidModule
from sandbox.wasm import decode_module

WASM = b"\0asm\1\0\0\0"


def refusal(submitted: bytes) -> str:
    with pytest.raises(InvalidModule) as caught:
        decode_module(submitted)
    return str(caught.value)


def test_raw_wasm_is_the_same_object() -> None:
    assert decode_module(WASM) is WASM


def test_gzip_is_inflated() -> None:
    assert decode_module(gzip.compress(WASM)) == WASM


@pytest.mark.parametrize("submitted", [b"", b"\0as", b"\x1f\x8b", b"\x1f\x8b\x09" + bytes(30), b"PK\3\4", b"(module)"])
def test_other_formats_are_refused(submitted: bytes) -> None:
    assert refusal(submitted) == "Failed to decode wasm module: unsupported canister module format"


def test_a_raw_module_over_the_limit_is_refused() -> None:
    size = limits.MODULE_SIZE + 1
    assert refusal(WASM.ljust(size, b"\0")) == (
        f"Wasm module size of {size} exceeds the maximum allowed size of 104857600"
    )


def test_a_bomb_is_refused_by_the_size_that_it_names() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(bomb.compress(bytes(10 * limits.MIB)) for _ in range(11)) + bomb.flush()
    assert len(data) < 200_000
    assert refusal(data) == f"Wasm module size of {110 * limits.MIB} exceeds the maximum allowed size of 104857600"


def test_a_bomb_that_lies_about_its_size_is_not_inflated() -> None:
    lying = gzip.compress(WASM + bytes(limits.MIB))[:-4] + (20).to_bytes(4, "little")
    assert refusal(lying) == (
        "Failed to decode wasm module: specified uncompressed size 20 does not match extracted size 21"
    )


def test_broken_gzip_is_refused() -> None:
    good = gzip.compress(WASM + bytes(range(256)) * 40)
    prefix = "Failed to decode wasm module: "
    assert refusal(good[:12]) == prefix + "invalid Wasm module: gzip stream is too short"
    assert refusal(good[:40] + good[-4:]).startswith(prefix + "failed to decode compressed Wasm module: ")
    assert refusal(good[:-9] + good[-4:]).startswith(prefix)
    assert refusal(good + good).startswith(prefix + "failed to decode compressed Wasm module: bytes after the end")
    corrupt = good[:-8] + bytes(4) + good[-4:]
    assert "incorrect data check" in refusal(corrupt)


def test_every_truncation_of_gzip_is_refused() -> None:
    good = gzip.compress(WASM + b"hello hello hello")
    for size in range(len(good)):
        refusal(good[:size])

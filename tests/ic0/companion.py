"""An instance of the companion module (`sandbox.ic0.stable`), run directly under the engine."""

from __future__ import annotations

import struct
import weakref
from functools import lru_cache, partial
from typing import Any

import pytest
import wasmtime

from sandbox.ic0.stable import StableFailure, companion_wat
from sandbox.wasm import Cell

MOST = (1 << 64) - 1
LIMIT = 1 << 19
ENOUGH = 1 << 61
Size = tuple[bool, int | None]
"""64-bit heap or not; its pages, None for no heap."""


class Failed(Exception):
    """`fail` was called."""


@lru_cache
def engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_memory64 = True
    config.wasm_multi_memory = True
    return wasmtime.Engine(config)


@lru_cache
def module(size: Size) -> wasmtime.Module:
    return wasmtime.Module(engine(), companion_wat(*size, heap_max=10))


class Companion:
    """An instance, called with unsigned numbers."""

    def __init__(self, pointer64: bool = True, heap: int | None = 1, accessible: int = LIMIT, modifiable: int = LIMIT):
        self.store = wasmtime.Store(engine())
        self.failure: int | None = None
        one = wasmtime.FuncType([wasmtime.ValType.i32()], [])
        fail = wasmtime.Func(self.store, one, partial(Companion.fail, weakref.proxy(self)))  # which must not keep it
        self.exports: Any = wasmtime.Instance(self.store, module((pointer64, heap)), [fail]).exports(self.store)
        self.control: Any = self.exports["control"]
        self.serial = 0
        self.limits = (accessible, modifiable)
        self.begin()

    def fail(self, number: int) -> None:
        self.failure = number
        raise Failed

    def begin(self) -> None:
        """The next message."""
        self.serial += 1
        for cell, value in zip(
            (Cell.SERIAL, Cell.ACCESSIBLE, Cell.MODIFIABLE), (self.serial, *self.limits), strict=True
        ):
            self.control.write(self.store, struct.pack("<Q", value), cell)
        self.control.write(self.store, struct.pack("<q", ENOUGH), Cell.LEFT)

    def left(self) -> int:
        """Instructions that are left."""
        left: int = struct.unpack("<q", self.control.read(self.store, Cell.LEFT, Cell.LEFT + 8))[0]
        return left

    def call(self, name: str, *args: int) -> int:
        bits = 32 if name.startswith("stable_") else 64
        signed = [arg - (1 << bits) if arg >> (bits - 1) else arg for arg in args]
        result = self.exports[name](self.store, *signed)
        return 0 if result is None else result % (1 << bits)

    def failing(self, name: str, *args: int) -> StableFailure:
        with pytest.raises((Failed, wasmtime.WasmtimeError, wasmtime.Trap)):
            self.call(name, *args)
        assert self.failure is not None, "the engine trapped, not the companion"
        failure, self.failure = StableFailure(self.failure), None
        return failure

    def content(self, memory: str, start: int, stop: int) -> bytes:
        return bytes(self.exports[memory].read(self.store, start, stop))

    def put(self, memory: str, at: int, data: bytes) -> None:
        self.exports[memory].write(self.store, data, at)

"""The counter as plain wasmtime-py runs it: the original module, host functions in Python, fuel on, nothing committed.

This is what the calls of the sandbox are measured against.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import wasmtime

from scripts.benchmarks.measure import Action, Operation

PAGE = 4096


class BareCounter:
    """An instance of the module; every `ic0` function that its methods do not need answers 0."""

    def __init__(self, module: Path) -> None:
        config = wasmtime.Config()
        config.wasm_memory64 = True
        config.consume_fuel = True
        engine = wasmtime.Engine(config)
        compiled = wasmtime.Module(engine, module.read_bytes())
        self.store = wasmtime.Store(engine)
        self.store.set_fuel(1 << 62)
        self.reply, self.stable = bytearray(), bytearray()
        self.memory: wasmtime.Memory | None = None
        wanted: list[Any] = compiled.imports
        host = partial(BareCounter._host, weakref.proxy(self))  # wasmtime keeps a function as long as its store lives
        imports = [wasmtime.Func(self.store, i.type, host(i)) for i in wanted]
        self.exports: dict[str, Any] = dict(wasmtime.Instance(self.store, compiled, imports).exports(self.store))
        self.memory = next(e for e in self.exports.values() if isinstance(e, wasmtime.Memory))
        self.exports["canister_init"](self.store)

    def update(self, export: str) -> Action:
        """The call of an update method."""
        function, store = self.exports[export], self.store

        def run() -> None:
            self.reply.clear()
            function(store)

        return run

    def query(self, export: str) -> Operation:
        """The call of a query method; before each, untimed, the words that the one before has changed are put back:
        Motoko's runtime takes no further message after a query otherwise."""
        run = self.update(export)
        size = self.memory.data_len(self.store) if self.memory else 0
        before = self._read(0, size)
        run()
        base, after = self._base(), self._read(0, size)
        words = [
            (base + word, before[word : word + 8])
            for page in range(0, size, PAGE)
            if before[page : page + PAGE] != after[page : page + PAGE]
            for word in range(page, page + PAGE, 8)
            if before[word : word + 8] != after[word : word + 8]
        ]

        def put_back() -> None:
            for address, word in words:
                ctypes.memmove(address, word, 8)

        return Operation(run, put_back)

    def _host(self, wanted: Any) -> Callable[..., Any]:
        known: dict[str, Callable[..., Any]] = {
            "msg_arg_data_size": lambda: 6,
            "msg_arg_data_copy": lambda dst, off, n: self._write(dst, b"DIDL\0\0"[off : off + n]),
            "msg_caller_size": lambda: 1,
            "msg_caller_copy": lambda dst, off, n: self._write(dst, b"\4"),
            "msg_reply_data_append": lambda src, n: self.reply.extend(self._read(src, n)),
            "stable64_size": lambda: len(self.stable) >> 16,
            "stable64_grow": self._grow,
            "stable64_read": lambda dst, off, n: self._write(dst, bytes(self.stable[off : off + n])),
            "stable64_write": self._store,
            "canister_status": lambda: 1,
            "time": lambda: 10**18,
        }
        nothing: Callable[..., Any] = (lambda *_: 0) if wanted.type.results else (lambda *_: None)
        return known.get(wanted.name, nothing)

    def _grow(self, pages: int) -> int:
        before = len(self.stable) >> 16
        self.stable += bytes(pages << 16)
        return before

    def _store(self, offset: int, src: int, size: int) -> None:
        self.stable[offset : offset + size] = self._read(src, size)

    def _base(self) -> int:
        return ctypes.addressof(self.memory.data_ptr(self.store).contents) if self.memory else 0

    def _read(self, src: int, size: int) -> bytes:
        return ctypes.string_at(self._base() + src, size)

    def _write(self, dst: int, data: bytes) -> None:
        ctypes.memmove(self._base() + dst, data, len(data))

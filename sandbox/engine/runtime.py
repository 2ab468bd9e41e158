"""The process-wide engine: deterministic configuration, validation, compilation, and the memories it hands out.

One runtime serves every sandbox of a process: it holds no state of any of them. The feature set is that of the replica
(`dfinity/ic` `rs/embedders/src/wasm_utils/validation.rs`, `wasmtime_validation_config`); several memories are allowed
only in modules that were rewritten, never in submitted ones.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import blake3
import wasmtime

from sandbox.engine import bindings, cache, stack
from sandbox.engine.plain import PlainMemory
from sandbox.errors import InvalidModule
from sandbox.limits import GIB, MIB

CONFIGURATION = 2
"""Changes with every change of the configuration below: part of the name of compiled code in the cache."""

_SIZE = 8  # bytes before the code in the cache
RESERVED = 4 * GIB
GUARD = 32 * MIB


class LinearMemory(Protocol):
    """The bytes of a guest's memory as the engine needs them. `base` may move only when `grow` is called."""

    @property
    def base(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    def grow(self, new_size: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """Machine code of one module, ready to be instantiated."""

    module: wasmtime.Module
    imports: tuple[tuple[str, str], ...]
    """(module, name) of every import, in order."""
    size: int = 0
    """What the maker of the code said about its size."""
    code_bytes: int = 0
    """Bytes of machine code, with what belongs to it."""


class Runtime:
    """Compiles and instantiates; obtain it with `runtime()`. `parallel`: compile with the engine's threads."""

    def __init__(self, parallel: bool = True) -> None:
        bindings.check()
        self._lock = threading.RLock()
        self._pending: list[LinearMemory] = []
        self._handed_out: list[object] | None = None
        self._remember: bindings.Remember = _forget
        config = _configuration(several_memories=True, parallel=parallel)
        self._creator = bindings.set_host_memories(config, self._new_memory, lambda error: self._remember(error))
        self.engine = wasmtime.Engine(config)
        self._validator = wasmtime.Engine(_configuration(several_memories=False, parallel=parallel))
        self.version = f"wasmtime-{bindings.installed_version()}-{CONFIGURATION}-{sys.platform}"

    def validate(self, wasm: bytes) -> None:
        """Check that `wasm` is valid WebAssembly of the allowed features; InvalidModule has the engine's reason."""
        try:
            wasmtime.Module.validate(self._validator, wasm)
        except wasmtime.WasmtimeError as error:
            reason = str(error).strip()
            raise InvalidModule(
                f"Wasmtime failed to validate wasm module wasmtime::Module::validate() failed with {reason}"
            ) from error

    def compile(self, wasm: bytes, cache_directory: Path | None = None) -> Compiled:
        """Return machine code for `wasm`, from the cache if it is there; `cache_directory` None: the user's own."""
        return self.compile_made("", wasm, lambda: (wasm, 0), cache_directory)

    def compile_made(
        self, made_by: str, source: bytes, make: Callable[[], tuple[bytes, int]], cache_directory: Path | None = None
    ) -> Compiled:
        """Return machine code for the module that `make` returns with its size, both functions of `source` alone.

        `made_by` is the version of `make`, which is called only if the code is not in the cache.
        """
        name = f"{blake3.blake3(source, max_threads=1).hexdigest()}-{made_by}-{self.version}"
        directory = cache.directory() if cache_directory is None else cache_directory
        stored = cache.load(directory, name)
        module = self._deserialize(stored[_SIZE:]) if stored is not None else None
        size = int.from_bytes(stored[:_SIZE], "little") if stored is not None else 0
        if module is None:
            wasm, size = make()
            try:
                module = stack.call(lambda: wasmtime.Module(self.engine, wasm))
            except wasmtime.WasmtimeError as error:
                raise InvalidModule(f"Wasmtime failed to compile the module: {str(error).strip()}") from error
            stored = size.to_bytes(_SIZE, "little") + bytes(module.serialize())
            cache.store(directory, name, stored)
        return Compiled(module, tuple((i.module, i.name or "") for i in module.imports), size, len(stored or b""))

    @lru_cache(maxsize=256)  # noqa: B019 -- there is one runtime in a process
    def compile_text(self, text: str) -> Compiled:
        """Return machine code for a module of the sandbox's own, given as WebAssembly text."""
        return self.compile(bytes(wasmtime.wat2wasm(text)))

    def _deserialize(self, stored: bytes) -> wasmtime.Module | None:
        try:
            return wasmtime.Module.deserialize(self.engine, stored)
        except wasmtime.WasmtimeError:
            return None

    @contextmanager
    def memories(self, memories: list[LinearMemory], remember: bindings.Remember) -> Iterator[list[object]]:
        """Within the context, give these memories, in order, to modules that are instantiated and define memories.

        Further memories are the engine's own, such as its heap for references, and are fresh. `remember` receives later
        interruptions of these memories. Yields the list of objects that must stay alive as long as the store.
        """
        with self._lock:
            kept: list[object] = []
            self._pending, self._handed_out, self._remember = list(memories), kept, remember
            try:
                yield kept
            finally:
                if self._handed_out is kept:  # what was interrupted may end while another is under way
                    self._pending, self._handed_out, self._remember = [], None, _forget

    def _new_memory(self, minimum: int, reserved: int, guard: int, out: Any) -> int:
        kept = self._handed_out
        if kept is None:
            return bindings.new_error("a memory was asked for outside of an instantiation")
        memory = self._pending.pop(0) if self._pending else PlainMemory(minimum, max(minimum, reserved), guard)
        get: Callable[[], tuple[int, int, int]] = lambda: (memory.base, memory.size, memory.capacity)  # noqa: E731
        kept.append((bindings.linear_memory(out, get, memory.grow, self._remember), memory))
        return 0


class _Process:
    """The runtime of this process, made on first use, whichever thread comes first.

    The threads with which an engine compiles do not survive a fork: the child of a process with a runtime makes one
    that compiles without.
    """

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._lock = threading.Lock()
        self._parallel = True
        os.register_at_fork(after_in_child=self._forked)

    def runtime(self) -> Runtime:
        present = self._runtime
        if present is None:
            with self._lock:
                present = self._runtime = self._runtime or Runtime(self._parallel)
        return present

    def _forked(self) -> None:
        self._parallel = self._parallel and self._runtime is None and not self._lock.locked()
        self._runtime, self._lock = None, threading.Lock()


runtime = _Process().runtime
"""The runtime of this process."""


def _forget(_: BaseException) -> None:
    pass


def _configuration(several_memories: bool, parallel: bool) -> wasmtime.Config:
    config = wasmtime.Config()
    config.cranelift_nan_canonicalization = True
    config.wasm_memory64 = True
    config.wasm_simd = True
    config.wasm_bulk_memory = True
    config.wasm_reference_types = True
    config.wasm_multi_value = True
    config.wasm_tail_call = True
    config.wasm_relaxed_simd = False
    config.wasm_threads = False
    config.wasm_exceptions = False
    config.wasm_function_references = False
    config.wasm_gc = False
    config.wasm_wide_arithmetic = False
    config.wasm_custom_page_sizes = False
    config.wasm_stack_switching = False
    config.wasm_multi_memory = several_memories
    config.memory_reservation = RESERVED
    config.memory_guard_size = GUARD
    config.memory_may_move = True
    config.memory_init_cow = False
    config.parallel_compilation = parallel
    bindings.set_stack(config, stack.WASM)
    return config

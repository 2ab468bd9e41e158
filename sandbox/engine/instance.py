"""One instance of a module over given memories: the disposable tool that computes the next state.

The memories outlive it; their owner commits or forgets the writes of the instance. Functions of the host are plain
Python callables on unsigned integers; an exception in one ends the guest, and `call` raises it as `HostFailure`.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

import wasmtime

from sandbox.engine import bindings, shutdown, stack
from sandbox.engine.metering import Meter
from sandbox.engine.runtime import Compiled, LinearMemory, Runtime
from sandbox.engine.traps import EngineTrap, Frame, HostFailure, TrapKind
from sandbox.errors import EngineError

_TYPES = {"i": wasmtime.ValType.i32, "l": wasmtime.ValType.i64}
_WORDS = 16


@dataclass(frozen=True, slots=True)
class HostFunction:
    """A function for the guest. `params` and `results` are letters: `i` i32, `l` i64; at most one result.

    `function` is given `Instance.context.subject` and the arguments, unsigned.
    """

    params: str
    results: str
    function: Callable[..., int | None]


@dataclass(frozen=True, slots=True)
class Support:
    """A module of the sandbox's own, instantiated beside the guest's; its memories, in order of definition."""

    compiled: Compiled
    memories: tuple[LinearMemory, ...]


class Library:
    """Functions of the host for any number of instances: each is made once, when a module first imports it.

    `trap`: the exception that they raise on purpose, to end the guest. Any other exception takes precedence, and is
    raised as it is.
    """

    def __init__(
        self, runtime: Runtime, functions: Mapping[str, HostFunction], trap: type[Exception] = Exception
    ) -> None:
        self.runtime = runtime
        self.trap = trap
        self._functions = functions
        self._linker = bindings.Linker.empty(runtime.engine)
        self._defined: set[tuple[str, str]] = set()
        self._keep: list[object] = []

    def linker(self, modules: Iterable[Compiled]) -> bindings.Linker:
        """Return a new linker with all functions that these modules import from here, by name."""
        for compiled in modules:
            for key in compiled.imports:
                if key not in self._defined and key[1] in self._functions:
                    self._define(*key)
        return self._linker.copy()

    def _define(self, module: str, name: str) -> None:
        host = self._functions[name]
        adapted = _adapter(host.params, host.results)(host.function, _running, self.trap, _trapped)
        callback = bindings.host_callback(adapted, _remember)
        self._keep.append(callback)
        self._linker.define_function(module, name, _type(host.params, host.results), callback)
        self._defined.add((module, name))


class Context:
    """State of an instance that its host functions use."""

    __slots__ = ("meter", "raised", "subject")

    def __init__(self, meter: Meter | None) -> None:
        self.meter = meter
        self.subject: Any = None
        """The first argument of every host function: the subject of the present call."""
        self.raised: list[BaseException] = []
        """Exceptions in functions called by the engine."""

    def remember(self, error: BaseException) -> None:
        """Keep an exception that no frame can be given; the guest ends at the next check of its counter."""
        self.raised.append(error)
        if self.meter is not None:
            self.meter.stop()


class _Running(threading.local):
    """The instance that runs in this thread, the innermost if a host function runs another one."""

    context: Context | None = None


_running = _Running()


def _remember(error: BaseException) -> None:
    context = _running.context
    assert context is not None
    context.remember(error)


class Instance:
    """Instantiates `support` in order, then `compiled`; their imports are looked up by name in the exports of the
    supports before, then in the library. `meter`: the counter that ends the guest, if its code has one. Raises
    `EngineTrap` if a segment does not fit its table, `EngineError` if the engine itself fails."""

    def __init__(
        self, library: Library, compiled: Compiled, support: Sequence[Support] = (), meter: Meter | None = None
    ) -> None:
        self._library = library
        self._store = wasmtime.Store(library.runtime.engine)
        self._context = bindings.context_address(self._store)
        self._free = weakref.finalize(self, bindings.delete_store, bindings.owned(self._store))
        self._free.atexit = False
        self._words = (ctypes.c_uint64 * _WORDS)()
        self.context = Context(meter)
        self._raised = self.context.raised
        self._functions: dict[str, tuple[Any, int]] = {}
        self._callbacks: set[bytes] = set()
        """Functions, as C values, that have the type of a callback."""
        memories = [memory for part in support for memory in part.memories]
        with library.runtime.memories(memories, self.context.remember) as kept:
            linker = library.linker([*(part.compiled for part in support), compiled])
            names = dict.fromkeys(module for module, _ in compiled.imports)
            try:
                for part in support:
                    instance = self._instantiate(linker, part.compiled)
                    for name in names:
                        linker.define_instance(self._context, name, instance)
                self._instance = self._instantiate(linker, compiled)
            finally:
                linker.close()
            self._keep = list(kept)

    def _instantiate(self, linker: bindings.Linker, compiled: Compiled) -> Any:
        instance, error, trap = linker.instantiate(self._context, compiled.module)
        if error or trap:
            self._raise(error, trap)
        return instance

    def close(self) -> None:
        """Free the instance; the memories stay."""
        self._free()
        self.context.subject = None
        self._functions.clear()
        self._keep.clear()

    def has(self, name: str) -> bool:
        """Return True if the guest exports a function `name`."""
        return bindings.exported_function(self._context, self._instance, name) is not None

    def call(self, name: str) -> None:
        """Run an export of type () -> (); `EngineTrap` or `HostFailure` if it does not return."""
        stack.call(lambda: self.call_leaf(name), self._stop)

    def call_leaf(self, name: str) -> None:
        """Do as `call` for an added export that calls nothing: it runs however small the rest of the stack is."""
        known = self._functions.get(name)
        if known is None:
            function = bindings.exported_function(self._context, self._instance, name)
            assert function is not None, name
            known = self._functions[name] = function, ctypes.addressof(function)
        self._run(known[1], 0)

    def _run(self, function: int, arguments: int) -> None:
        running = _running
        outer, running.context = running.context, self.context
        try:
            shutdown.enter(self.context)
            error, trap = bindings.call(self._context, function, self._words, arguments)
        finally:
            running.context = outer
            shutdown.leave(outer)
        if error or trap or self._raised:
            self._raise(error, trap)

    def _stop(self) -> None:
        """Make the guest, which runs in another thread, end at the next check of its counter."""
        if self.context.meter is not None:
            self.context.meter.stop()

    def call_table(self, table: str, index: int, pointer: str, argument: int) -> None:
        """Run entry `index` of a table, of type (pointer) -> ().

        `IndexError`: no such entry, or null; `TypeError`: another type.
        """
        entries = bindings.exported_table(self._context, self._instance, table)
        assert entries is not None, table
        function = bindings.table_function(self._store, entries, index)
        if function is None:
            raise IndexError(index)
        struct = bindings.function_struct(function)
        identity = bytes(struct)
        if identity not in self._callbacks:
            kind = function.type(self._store)
            if list(map(str, kind.params)) != [str(_TYPES[pointer]())] or kind.results:
                raise TypeError(str(kind))
            self._callbacks.add(identity)
        self._words[0] = argument
        stack.call(lambda: self._run(ctypes.addressof(struct), 1), self._stop)

    def _raise(self, error: int | None, trap: int | None) -> NoReturn:
        code: int | None = None
        text, raw_frames = "", list[bindings.RawFrame]()
        if trap:
            code, text, raw_frames = bindings.take_trap(trap)
        elif error:
            text, raw_frames = bindings.take_error(error)
        frames = tuple(Frame(*frame) for frame in raw_frames)
        others = [error for error in self._raised if not isinstance(error, self._library.trap)]
        cause = next(iter(others or self._raised), None)
        self._raised.clear()
        if isinstance(cause, self._library.trap):
            raise HostFailure(cause, frames)
        if cause is not None:
            raise cause
        meter = self.context.meter
        kind = TrapKind.OUT_OF_INSTRUCTIONS if meter is not None and meter.exhausted else TrapKind.of(code)
        if kind is None:
            raise EngineError(f"the engine failed, which is no fault of the canister: {text.strip()}")
        raise EngineTrap(kind, text, frames)


def _trapped(context: Context, error: BaseException) -> int:
    """Return the trap for an exception that a host function raised on purpose.

    If this is interrupted, that exception is remembered too: only one that comes while the engine's own caller handles
    an exception would be lost.
    """
    context.raised.append(error)
    return bindings.new_trap("host")


def _type(params: str, results: str) -> wasmtime.FuncType:
    """Return a new type: the engine with which it is first used keeps it for itself."""
    return wasmtime.FuncType([_TYPES[p]() for p in params], [_TYPES[r]() for r in results])


@cache
def _adapter(params: str, results: str) -> Callable[..., Callable[..., int]]:
    """Return a maker of C callbacks for one signature, generated so that a call costs no loop over its values.

    An i32 stands in the low half of its word; the high half is not defined.
    """
    values = "".join(f", w[{2 * k}]" + (" & 0xFFFFFFFF" if letter == "i" else "") for k, letter in enumerate(params))
    call = f"w[0] = function(context.subject{values})" if results else f"function(context.subject{values})"
    source = f"""
def make(function, running, trap, trapped):
    def callback(env, caller, w, n):
        context = running.context
        try:
            {call}
        except trap as error:
            return trapped(context, error)
        return 0
    return callback
"""
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    maker: Callable[..., Callable[..., int]] = namespace["make"]
    return maker

"""One instance of a module over given memories: the disposable tool that computes the next state.

The memories outlive it; whoever made them commits or forgets what the instance wrote. Functions of the host are plain
Python callables on unsigned integers; what they raise ends the guest and comes out of `call` as `HostFailure`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NoReturn

import wasmtime

from sandbox.engine import bindings
from sandbox.engine.runtime import Compiled, LinearMemory, Runtime
from sandbox.engine.traps import EngineTrap, Frame, HostFailure, TrapKind

_TYPES = {"i": wasmtime.ValType.i32, "l": wasmtime.ValType.i64}
_WORDS = 16
_LOT = 100_000
"""Instructions that host functions may owe before they are taken from the fuel: that is too dear for every call."""


@dataclass(frozen=True, slots=True)
class HostFunction:
    """A function for the guest. `params` and `results` are letters: `i` i32, `l` i64; at most one result.

    `function` is given `Instance.context[0]` and the arguments, unsigned. A call counts as `cost` instructions.
    """

    params: str
    results: str
    function: Callable[..., int | None]
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Support:
    """A module of our own, instantiated beside the guest's; its memories, in order of definition."""

    compiled: Compiled
    memories: tuple[LinearMemory, ...]


class Instance:
    """Instantiates `support` in order, then `compiled`; their imports are looked up in the exports of the supports
    before, then in `functions`. Raises `EngineTrap` if a segment does not fit its table."""

    def __init__(
        self,
        runtime: Runtime,
        compiled: Compiled,
        support: Sequence[Support],
        functions: Mapping[str, HostFunction],
    ) -> None:
        self._store = wasmtime.Store(runtime.engine)
        self._context = bindings.context_address(self._store)
        self._words = (ctypes.c_uint64 * _WORDS)()
        self._fuel = ctypes.c_uint64()
        self._limit = 0
        self.context: list[Any] = [None, 0]
        """Entry 0 is the first argument of every host function: what the present call is about. Entry 1: instructions
        that host functions count for and that are not taken from the fuel yet."""
        self._raised: list[BaseException] = []
        """What was raised where only the engine was the caller: no reference back to this instance, hence no cycle."""
        self._keep: list[object] = []
        self._functions = functions
        self._linked: dict[str, Any] = {}
        self._calls: dict[str, tuple[Any, int]] = {}
        self.set_fuel(1 << 62)
        with runtime.memories([m for part in support for m in part.memories], self._raised.append) as kept:
            for part in support:
                exports = self._instantiate(part.compiled).exports(self._store)
                self._linked.update(exports.items())
            self._instance = self._instantiate(compiled)
            self._keep.extend(kept)
        self._exports = self._instance.exports(self._store)

    def _instantiate(self, compiled: Compiled) -> wasmtime.Instance:
        imports = [self._link(name) for _, name in compiled.imports]
        try:
            return wasmtime.Instance(self._store, compiled.module, imports)
        except wasmtime.Trap as trap:
            kind = TrapKind.of(trap.trap_code.value if trap.trap_code else None)
            raise EngineTrap(kind, trap.message, ()) from trap
        except wasmtime.WasmtimeError as error:
            raise EngineTrap(TrapKind.OTHER, str(error), ()) from error

    def _link(self, name: str) -> Any:
        if name not in self._linked:
            host = self._functions[name]
            settle = partial(_settle, self._context, self.context)
            adapted = _adapter(host.params, host.results)(host.function, self.context, host.cost, settle)
            callback = bindings.host_callback(adapted, self._raised.append)
            self._keep.append(callback)
            self._linked[name] = bindings.new_function(self._store, _type(host.params, host.results), callback)
        return self._linked[name]

    def close(self) -> None:
        """Free the instance; the memories stay."""
        self._store.close()
        self.context[0] = None
        self._linked.clear()
        self._keep.clear()

    def has(self, name: str) -> bool:
        """Whether the guest exports a function `name`."""
        return name in self._exports and isinstance(self._exports[name], wasmtime.Func)

    def call(self, name: str) -> None:
        """Run an export of type () -> (); `EngineTrap` or `HostFailure` if it does not return."""
        found = self._calls.get(name)
        if found is None:
            export = self._exports[name]
            assert isinstance(export, wasmtime.Func), name
            struct = bindings.function_struct(export)
            found = self._calls[name] = struct, ctypes.addressof(struct)
        error, trap = bindings.call(self._context, found[1], self._words, 0)
        if error or trap or self._raised:
            self._raise(error, trap)

    def call_table(self, table: str, index: int, pointer: str, argument: int) -> None:
        """Run entry `index` of a table, of type (pointer) -> ().

        `IndexError`: no such entry, or null; `TypeError`: another type.
        """
        entries = self._exports[table]
        assert isinstance(entries, wasmtime.Table), table
        function = bindings.table_function(self._store, entries, index)
        if function is None:
            raise IndexError(index)
        kind = function.type(self._store)
        if list(map(str, kind.params)) != [str(_TYPES[pointer]())] or kind.results:
            raise TypeError(str(kind))
        self._words[0] = argument
        struct = bindings.function_struct(function)
        error, trap = bindings.call(self._context, ctypes.addressof(struct), self._words, 1)
        if error or trap or self._raised:
            self._raise(error, trap)

    def set_fuel(self, limit: int) -> None:
        """The guest may execute this many instructions from now on; then it traps with `OUT_OF_FUEL`."""
        self._limit = limit
        self.context[1] = 0
        bindings.set_fuel(self._context, limit)

    def fuel_used(self) -> int:
        """Instructions executed since `set_fuel`; right also while a host function runs.

        More than the limit if the last host functions went beyond it.
        """
        bindings.get_fuel(self._context, ctypes.addressof(self._fuel))
        used: int = self._limit - self._fuel.value + self.context[1]
        return used

    def _raise(self, error: int | None, trap: int | None) -> NoReturn:
        code: int | None = None
        text, found = "", list[bindings.RawFrame]()
        if trap:
            code, text, found = bindings.take_trap(trap)
        elif error:
            text, found = bindings.take_error(error)
        frames = tuple(Frame(*frame) for frame in found)
        cause = self._raised[0] if self._raised else None
        self._raised.clear()
        if isinstance(cause, Exception):
            raise HostFailure(cause, frames)
        if cause is not None:
            raise cause
        raise EngineTrap(TrapKind.of(code), text, frames)


def _settle(store: int, context: list[Any]) -> None:
    """Take from the fuel what host functions owe."""
    fuel = ctypes.c_uint64()
    bindings.get_fuel(store, ctypes.addressof(fuel))
    bindings.set_fuel(store, max(fuel.value - context[1], 0))
    context[1] = 0


@cache
def _type(params: str, results: str) -> wasmtime.FuncType:
    return wasmtime.FuncType([_TYPES[p]() for p in params], [_TYPES[r]() for r in results])


@cache
def _adapter(params: str, results: str) -> Callable[..., Callable[..., int]]:
    """A maker of C callbacks for one signature, generated so that a call costs no loop over its values.

    An i32 stands in the low half of its word; the high half is not defined.
    """
    values = "".join(f", w[{2 * k}]" + (" & 0xFFFFFFFF" if letter == "i" else "") for k, letter in enumerate(params))
    call = f"w[0] = function(context[0]{values})" if results else f"function(context[0]{values})"
    source = f"""
def make(function, context, cost, settle):
    def callback(env, caller, w, n):
        context[1] += cost
        if context[1] > {_LOT}:
            settle()
        {call}
        return 0
    return callback
"""
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    maker: Callable[..., Callable[..., int]] = namespace["make"]
    return maker

"""Random modules do in a canister what they do in bare wasmtime: results, traps, memory and globals.

`fixtures/wasm/random-modules.zip`, made by `fixtures/src/random-modules`. Bare: the module as submitted, with nothing
but its globals exported, in an engine of plain configuration.
"""

from __future__ import annotations

import ctypes
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import pytest
import wasmtime
from wasmtime import _bindings as raw

from sandbox import CallRejected, Canister, ErrorCode, Sandbox
from sandbox.canister import failure
from sandbox.codec.leb128 import decode_unsigned, encode_unsigned
from sandbox.engine import EngineTrap, TrapKind, bindings, runtime, stack
from sandbox.wasm import (
    GLOBALS,
    LOAD_GLOBALS,
    SAVE_GLOBALS,
    SIZES,
    START,
    Cell,
    ModuleFacts,
    Rewritten,
    read_facts,
    rewrite,
    rewritten_code,
)
from sandbox.wasm.reader import HEADER, Id, sections
from sandbox.wasm.writer import name, section
from tests.conftest import FIXTURES

ARCHIVE = zipfile.ZipFile(FIXTURES / "random-modules.zip")
NAMES = sorted(ARCHIVE.namelist())
GROUPS = [NAMES[start : start + 30] for start in range(0, len(NAMES), 30)]
METHODS = ("a", "b", "c")
ARGUMENTS: dict[str, list[tuple[Any, ...]]] = {
    "values a": [(0, 0, 0.0, 0.0), (-1, 1 << 40, 1.5, -0.25), (7, -3, float("inf"), 1e300)],
    "values b": [(0, 0), (-1, 1), (1 << 62, 12345)],
    "values c": [(0.0, 0.0), (-1.5, 3e38), (float("nan"), 1e-40)],
}
State = tuple[bytes, list[bytes]]
Outcome = TrapKind | list[bytes]


@cache
def bare_engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_memory64 = True
    config.wasm_tail_call = True
    bindings.set_stack(config, stack.WASM)
    config.cranelift_nan_canonicalization = True
    return wasmtime.Engine(config)


def bits(value: Any) -> bytes:
    return struct.pack("<d", value) if isinstance(value, float) else value.to_bytes(8, "little", signed=True)


def outcome(run: Callable[[], Any]) -> Outcome:
    """The bits of the results, or the kind of the trap."""
    try:
        results = run()
    except wasmtime.Trap as trap:
        return TrapKind(getattr(trap.trap_code, "value", None))
    values = results if isinstance(results, list | tuple) else [] if results is None else [results]
    return [bits(value) for value in values]


def call(store: wasmtime.Store, exports: Any, export: str, *arguments: Any) -> Outcome:
    function = exports[export]
    assert isinstance(function, wasmtime.Func)
    return outcome(lambda: function(store, *arguments))


class Bare:
    """The submitted module in an engine without anything of ours; `made` is how its instantiation ended."""

    def __init__(self, wasm: bytes) -> None:
        self.facts = read_facts(wasm)
        self.store = wasmtime.Store(bare_engine())
        module = wasmtime.Module(bare_engine(), with_exported_globals(wasm, self.facts))
        self.exports: Any = None
        self.made = outcome(lambda: self._instantiate(module))

    def _instantiate(self, module: wasmtime.Module) -> None:
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)

    def call(self, export: str, *arguments: Any) -> Outcome:
        return call(self.store, self.exports, export, *arguments)

    def state(self) -> State:
        """All of the memory, and the mutable globals in order of index."""
        memory = self.exports["memory"] if self.facts.memory else None
        values = [self._bits(index) for index, found in enumerate(self.facts.globals) if found.mutable]
        return bytes(memory.read(self.store)) if memory is not None else b"", values

    def _bits(self, index: int) -> bytes:
        """The value as it is in memory: `wasmtime.Global` knows no vectors, and turns floats into others."""
        value = raw.wasmtime_val_t()
        found = self.exports[f"global {index}"]
        raw.wasmtime_global_get(self.store._context(), ctypes.byref(found._global), ctypes.byref(value))
        return ctypes.string_at(ctypes.addressof(value.of), SIZES[self.facts.globals[index].type])


class Rewrite:
    """The rewritten module in the sandbox's own engine."""

    def __init__(self, wasm: bytes) -> None:
        self.wasm, self.rewritten = wasm, rewrite(read_facts(wasm))
        self.interruptions: list[BaseException] = []
        self.store = wasmtime.Store(runtime().engine)
        heap = self.rewritten.heap
        limits = None if heap is None else wasmtime.Limits(heap.minimum, heap.maximum)
        with runtime().memories([], self.interruptions.append) as self.kept:
            self.control = wasmtime.Memory(self.store, wasmtime.MemoryType(wasmtime.Limits(1, 1)))
            self.heap: Any = None
            if heap is not None and limits is not None:
                self.heap = wasmtime.Memory(self.store, wasmtime.MemoryType(limits, is_64=heap.is64))
        self.control.write(self.store, struct.pack("<q", 1 << 60), Cell.LEFT)
        self.control.write(self.store, b"\xff" * 16, Cell.REFUSED)  # and GROWABLE
        imports = [self.control] if self.heap is None else [self.heap, self.control]
        module = wasmtime.Module(runtime().engine, rewritten_code(read_facts(wasm))[0])
        self.exports: Any = wasmtime.Instance(self.store, module, imports).exports(self.store)
        self.made = self._set_up()

    def _set_up(self) -> Outcome:
        for data in self.rewritten.data:
            size = self.heap.data_len(self.store)
            if data.offset + data.end - data.start > size:
                return TrapKind.HEAP_OUT_OF_BOUNDS
            if data.end > data.start:
                self.heap.write(self.store, self.wasm[data.start : data.end], data.offset)
        return [] if self.rewritten.start is None else self.call(START)

    def call(self, export: str, *arguments: Any) -> Outcome:
        return call(self.store, self.exports, export, *arguments)

    def state(self) -> State:
        self.call(SAVE_GLOBALS)
        saved = bytes(self.control.read(self.store, GLOBALS, GLOBALS + len(self.rewritten.globals) * 16))
        self.call(LOAD_GLOBALS)
        return bytes(self.heap.read(self.store)) if self.heap is not None else b"", split(self.rewritten, saved)


def split(rewritten: Rewritten, saved: bytes) -> list[bytes]:
    """The bytes of each mutable global."""
    return [saved[slot.offset : slot.offset + SIZES[slot.type]] for slot in rewritten.globals]


def with_exported_globals(wasm: bytes, facts: ModuleFacts) -> bytes:
    """The module with `global N` exported for each mutable global."""
    added = [
        name(f"global {index}") + b"\3" + encode_unsigned(index)
        for index, found in enumerate(facts.globals)
        if found.mutable
    ]
    parts = [HEADER]
    for found in sections(wasm):
        if found.id is Id.EXPORT:
            count, first = decode_unsigned(wasm, found.start, found.end)
            parts.append(section(Id.EXPORT, encode_unsigned(count + len(added)), wasm[first : found.end], *added))
        else:
            parts.append(wasm[found.at : found.end])
    return b"".join(parts)


def installed(wasm: bytes) -> tuple[Canister, Outcome]:
    """A canister with this code, and how its installation ended."""
    canister = Sandbox().create_canister()
    return canister, settled(lambda: canister.install(wasm, b""))


def settled(action: Callable[[], Any]) -> Outcome:
    """How a message ended, in the engine's terms; a call without a reply has returned."""
    try:
        action()
    except CallRejected as error:
        if error.error_code is ErrorCode.CANISTER_DID_NOT_REPLY:
            return []
        return next(kind for kind in TrapKind if text_of(kind) in error.message)
    return []


def text_of(kind: TrapKind) -> str:
    return failure.of_engine_trap(EngineTrap(kind, "", ()), None, 0).text


def alike(one: Outcome, other: Outcome) -> bool:
    """Whether they are the same; kinds of traps for which the platform has one text count as one."""
    both = isinstance(one, TrapKind) and isinstance(other, TrapKind)
    return text_of(one) == text_of(other) if both else one == other  # type: ignore[arg-type]


def lives(bare: Bare, ended: Outcome, methods: tuple[str, ...]) -> Iterator[tuple[str, Outcome]]:
    """The methods that a module is asked, with what bare wasmtime says; it ends at the first trap."""
    for method in () if isinstance(ended, TrapKind) else methods:
        said = bare.call(f"canister_update {method}")
        yield method, said
        if isinstance(said, TrapKind):
            return


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0])
def test_a_canister_does_what_bare_wasmtime_does(group: list[str]) -> None:
    """Each method three times, and all of them in turn. A trap takes the canister back to what it was before."""
    for module in group:
        wasm = ARCHIVE.read(module)
        for order in (*((method,) * 3 for method in METHODS), METHODS * 2):
            bare, (canister, ended) = Bare(wasm), installed(wasm)
            assert alike(bare.made, ended), module
            before = None if isinstance(ended, TrapKind) else bare.state()
            for method, said in lives(bare, ended, order):
                assert alike(said, settled(partial(canister.update, method, b""))), (module, order, method)
                before = before if isinstance(said, TrapKind) else bare.state()
                state = canister.raw_state()
                assert (state.heap, split(rewrite(bare.facts), state.globals)) == before, (module, order, method)


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0])
def test_functions_of_rewritten_modules_return_what_bare_wasmtime_returns(group: list[str]) -> None:
    for module in group:
        wasm = ARCHIVE.read(module)
        for export, lists in ARGUMENTS.items():
            bare, ours = Bare(wasm), Rewrite(wasm)
            assert bare.made == ours.made, module
            for arguments in [] if isinstance(bare.made, TrapKind) else lists:
                assert ours.call(export, *arguments) == bare.call(export, *arguments), (module, export, arguments)
                assert ours.state() == bare.state(), (module, export, arguments)


def test_the_random_modules_do_enough_to_be_compared() -> None:
    """Many return, many change memory or globals, and they trap in different ways."""
    seen: Counter[object] = Counter()
    for module in NAMES[::10]:
        bare = Bare(ARCHIVE.read(module))
        if isinstance(bare.made, TrapKind):
            seen[bare.made] += 1
            continue
        before = bare.state()
        ended = bare.call("canister_update a")
        seen["changed"] += bare.state() != before
        seen[ended if isinstance(ended, TrapKind) else "returned"] += 1
    assert len(NAMES) == 300
    assert min(seen["returned"], seen["changed"]) >= len(NAMES[::10]) // 4, seen
    assert len(seen.keys() & set(TrapKind)) >= 2, seen

"""From the bytes that a user submitted to code that can run: checked, rewritten, compiled, once per module."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass

from sandbox import engine, wasm
from sandbox.ic0 import stable, table, thunks
from sandbox.limits import COMPILATION, WASM_PAGE
from sandbox.state import WasmModule

_KEPT = 64
_IMPORTS = {row.name: (row.params, row.results) for row in table.SYSTEM_API}
_prepared: OrderedDict[bytes, CompiledModule] = OrderedDict()
_order = threading.Lock()


@dataclass(frozen=True, slots=True)
class CompiledModule:
    """A module that passed every rule of the platform; shared by all canisters that run it."""

    code: WasmModule
    facts: wasm.ModuleFacts
    rewritten: wasm.Rewritten
    compiled: engine.Compiled
    support: engine.Compiled
    """Stable memory in WebAssembly; defines the control memory, heap and stable memory."""
    thunks: engine.Compiled
    """All other system calls, over the memories of `support`."""

    @property
    def hash(self) -> bytes:
        """SHA-256 of the submitted bytes."""
        return self.code.hash

    @property
    def pointer(self) -> str:
        """`i` or `l`: the letter of the module's pointers."""
        return self.facts.pointer

    @property
    def compile_cost(self) -> int:
        """Instructions that installing the module counts for compiling it."""
        return COMPILATION * self.compiled.size

    @property
    def heap_minimum(self) -> int:
        """Bytes that the heap has at least."""
        return self.facts.memory.minimum * WASM_PAGE if self.facts.memory else 0


def compile_module(code: WasmModule) -> CompiledModule:
    """Check, rewrite and compile, once per module; `InvalidModule` with the replica's reason if a rule is broken.

    Canisters that run the same module share its bytes if their states hold `code` of the result.
    """
    known = _prepared.get(code.hash) or _prepare(code)
    with _order:
        known = _prepared.setdefault(code.hash, known)
        _prepared.move_to_end(code.hash)
        if len(_prepared) > _KEPT:
            _prepared.popitem(last=False)
    return known


def _forked() -> None:
    """Code of the parent's engine is not for the child's."""
    global _order
    _order = threading.Lock()
    _prepared.clear()


os.register_at_fork(after_in_child=_forked)


def facts_of(code: WasmModule) -> wasm.ModuleFacts:
    """The facts of a module that was installed; compiles nothing."""
    known = _prepared.get(code.hash)
    return wasm.read_facts(wasm.decode_module(code.submitted)) if known is None else known.facts


def _prepare(code: WasmModule) -> CompiledModule:
    binary = wasm.decode_module(code.submitted)
    runtime = engine.runtime()
    facts = wasm.read_facts(binary)
    wasm.validate(facts, _IMPORTS, table.ONLY_32_BIT)
    runtime.validate(binary)
    memory = facts.memory
    companion = stable.companion_wat(
        pointer64=facts.pointer == "l",
        heap_min=memory.minimum if memory else None,
        heap_max=wasm.most_pages(facts) if memory else None,
    )
    return CompiledModule(
        code=code,
        facts=facts,
        rewritten=wasm.rewrite(facts),
        compiled=runtime.compile_made(f"rewrite {wasm.REWRITE}", binary, lambda: wasm.rewritten_code(facts)),
        support=runtime.compile_text(companion),
        thunks=runtime.compile_text(thunks.thunks_wat(facts.pointer, has_heap=memory is not None)),
    )

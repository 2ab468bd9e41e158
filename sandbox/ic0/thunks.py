"""The functions that modules import as `ic0`: WebAssembly that pays for the call, checks the limit, and answers it or
calls the host.

`thunks_wat` writes the module for one pointer type. It exports each function of the table under its name, except those
for stable memory, which are in `ic0.stable`. Paying comes before the arguments are looked at; a call that then traps
has paid. Calls that need no host are answered by `ic0.answers`.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.ic0.answers import answer, heap_helpers, load
from sandbox.ic0.function import SystemApiFunction
from sandbox.ic0.table import SYSTEM_API
from sandbox.ic0.weights import LOG_CAPACITY, LOGGED_BYTE, STORED_BYTE, Charge, charge_of
from sandbox.wasm import Cell

OWN_MODULES = "sandbox"
"""The own name of this module and of the companion of `ic0.stable`: it distinguishes their functions in a backtrace."""
HOST = "host"
"""The module from which the functions of the host are imported."""

_LETTERS = {"i": "i32", "l": "i64"}
_SIZE = 1 << 48
"""A size beyond this counts as this: beyond every limit, and no sum wraps."""

PAY = f"""
(func $pay (param $amount i64)
  (i64.store $control (i32.const {Cell.LEFT})
    (i64.sub (i64.load $control (i32.const {Cell.LEFT})) (local.get $amount)))
  (if (i64.lt_s (i64.load $control (i32.const {Cell.LEFT})) (i64.const 0)) (then
    (i64.store $control (i32.const {Cell.EXHAUSTED}) (i64.const 1))
    unreachable)))
(func $least (param $a i64) (param $b i64) (result i64)
  (select (local.get $a) (local.get $b) (i64.lt_u (local.get $a) (local.get $b))))
"""
"""`$pay` takes instructions from the counter in memory `$control`, and ends the execution if it is then negative."""


def thunks_wat(pointer: str, has_heap: bool) -> str:
    """The module as text; `pointer`: the letter of the canister's pointer type. Imports from module `sandbox`: memories
    `control` and, with `has_heap`, `heap`."""
    rows = [row for row in SYSTEM_API if row.function is not None and (pointer == "i" or not row.only_32_bit)]
    memories = ['(import "sandbox" "control" (memory $control 1 1))']
    if has_heap:
        memories.append(f'(import "sandbox" "heap" (memory $heap {_LETTERS[pointer]} 0))')
    imports = (f'(import "{HOST}" "{row.name}" (func $host_{row.name} {_type(row, pointer)}))' for row in rows)
    helpers = heap_helpers(pointer) if has_heap else ""
    functions = (part for row in rows for part in _thunk(row, pointer, has_heap))
    return "\n".join((f"(module ${OWN_MODULES}", *imports, *memories, PAY, helpers, *functions, ")"))


def _type(row: SystemApiFunction, pointer: str) -> str:
    def words(letters: str) -> str:
        return " ".join(_LETTERS[letter] for letter in letters.replace("I", pointer))

    return f"(param {words(row.params)}) (result {words(row.results)})"


def _thunk(row: SystemApiFunction, pointer: str, has_heap: bool) -> Iterator[str]:
    arguments = " ".join(f"(local.get {k})" for k in range(len(row.params)))
    yield f'(func ${row.name} (export "{row.name}") {_type(row, pointer)}'
    yield f"(call $pay {_amount(charge_of(row.name), row.params.replace('I', pointer))})"
    yield answer(row, pointer, has_heap)
    yield f"(call $host_{row.name} {arguments}))"


def _amount(charge: Charge, params: str) -> str:
    amount = f"(i64.const {charge.fixed})"
    for number in charge.sizes:
        size = f"(local.get {number})" if params[number] == "l" else f"(i64.extend_i32_u (local.get {number}))"
        size = f"(call $least {size} (i64.const {_SIZE}))"
        if charge.per_byte:
            amount = f"(i64.add {amount} (i64.mul {size} (i64.const {charge.per_byte})))"
        if charge.logs:
            stored = f"(i64.mul (call $least {size} {load(Cell.LOG_ROOM)}) (i64.const {STORED_BYTE}))"
            logged = f"(i64.mul (call $least {size} (i64.const {LOG_CAPACITY})) (i64.const {LOGGED_BYTE}))"
            amount = f"(i64.add {amount} (i64.add {logged} {stored}))"
    return amount

"""The counting of instructions, and its differences from the replica's.

Here: the engine's fuel. Every Wasm instruction that is executed counts 1, but `nop`, `drop`, `block`, `loop`, `else`,
`end`, `return` and `unreachable` nothing; bulk memory instructions one more for each byte. `memory.grow` counts as the
function that stands for it (`wasm.growth`): about ten instructions, and some thousand more if the growth fails. A
system call counts `ic0.weights.system_call` besides. Stable memory functions count as the few Wasm instructions that
implement them here. Saving and loading globals, and setting up memory, count nothing.

Replica (`dfinity/ic` `rs/embedders/src/wasm_utils/instrumentation.rs`, `instruction_to_cost`): weights by benchmark.
Integer arithmetic, comparisons, constants and locals 1; division 10; globals 2; loads and stores 1, with wasm64 2;
floats 1 to 18; conversions up to 20; `memory.size` 20, `memory.grow` 300; bulk memory instructions 100 and one more for
each byte; system calls the same as here, and one more for each byte that they copy.

So counts are proportional for the same kind of work, and exact only between two runs here with the same `counting()`.
Exact weights would need a counter in the rewritten modules; the rest of the program reads counts only through
`Instance.set_fuel` and `Instance.fuel_used`.
"""

from __future__ import annotations

from sandbox.engine import bindings

WEIGHTS = 1
"""Changes whenever the same module counts differently on the same engine: by the rewrite of modules, the stable memory
functions, or `ic0.weights`."""


def counting() -> str:
    """Return the name of the way of counting: two runs under the same name count the same, on any machine."""
    return f"wasmtime {bindings.installed_version()}, weights {WEIGHTS}"

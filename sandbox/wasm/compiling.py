"""The cost of compiling a module: the size of the code that the replica would compile.

The replica counts the instructions of all bodies after its own rewrite, and two for each global. Besides its changes to
the bodies (`sandbox.wasm.metering`), that rewrite appends helpers, and a function for each import that concerns stable
memory. Source: `dfinity/ic` `rs/embedders/src/wasm_utils/instrumentation.rs` and
`system_api_replacements.rs`, from which the numbers were read; they are not measured on a node.
"""

from __future__ import annotations

from typing import Final

from sandbox.wasm.facts import ModuleFacts
from sandbox.wasm.types import Kind

_HELPERS: Final = 20 + 46  # taking from the counter; counting the pages of a range
_GLOBAL: Final = 2
_ADDED_GLOBALS: Final = 3
_APPENDED: Final = {
    "stable_size": 10,
    "stable64_size": 2,
    "stable_grow": 24,
    "stable64_grow": 21,
    "stable_read": 106,
    "stable64_read": 119,
    "stable_write": 91,
    "stable64_write": 107,
}


def beside_bodies(facts: ModuleFacts) -> int:
    """Return the number of instructions that the replica compiles besides those of the module's bodies."""
    imported = {entry.name for entry in facts.imports if entry.kind is Kind.FUNCTION}
    appended = sum(size for name, size in _APPENDED.items() if name in imported)
    return _HELPERS + appended + _GLOBAL * (len(facts.globals) + _ADDED_GLOBALS)

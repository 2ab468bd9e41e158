"""The shape of one import: a row of the table from which validator, linker, documentation and tests are derived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.ic0.modes import Mode


@dataclass(frozen=True, slots=True)
class SystemApiFunction:
    """One function of module `ic0`.

    `params` and `results` are letters: `I` the pointer type of the module, `i` i32, `l` i64. `function` takes the
    execution and the arguments as unsigned integers and returns an unsigned integer or None; it is None for the stable
    memory functions, which are WebAssembly themselves.
    """

    name: str
    params: str
    results: str
    modes: Mode
    function: Callable[..., int | None] | None
    only_32_bit: bool = False
    public: bool = True
    """False: known to the replica, not part of the interface specification."""

"""The ends of an execution other than returning, in the engine's own terms."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class TrapKind(Enum):
    """Why Wasm stopped; the values are wasmtime's trap codes (`wasmtime/trap.h`), but for the one that is negative."""

    STACK_OVERFLOW = 0
    HEAP_OUT_OF_BOUNDS = 1
    TABLE_OUT_OF_BOUNDS = 3
    INDIRECT_CALL_TO_NULL = 4
    BAD_SIGNATURE = 5
    INTEGER_OVERFLOW = 6
    INTEGER_DIVISION_BY_ZERO = 7
    BAD_CONVERSION_TO_INTEGER = 8
    UNREACHABLE = 9
    OUT_OF_INSTRUCTIONS = -1
    """A check of the counter (`engine.metering`) ended the guest."""

    @classmethod
    def of(cls, code: int | None) -> TrapKind | None:
        """Return the kind of a trap code; None if no guest can cause it with the allowed features."""
        return cls(code) if code in _CODES else None


_CODES = frozenset(kind.value for kind in TrapKind if kind.value >= 0)


@dataclass(frozen=True, slots=True)
class Frame:
    """One function on the Wasm stack: its index in its module, its name where the module names it, and the module's own
    name, which only the sandbox's own modules have."""

    index: int
    name: str | None
    module: str | None = None


class EngineTrap(Exception):
    """Wasm trapped by itself; `frames` innermost first."""

    def __init__(self, kind: TrapKind, text: str, frames: tuple[Frame, ...]) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.frames = frames


class HostFailure(Exception):
    """A host function raised `__cause__`; `frames` are those of the guest, innermost first."""

    def __init__(self, cause: BaseException, frames: tuple[Frame, ...]) -> None:
        super().__init__(str(cause))
        self.__cause__ = cause
        self.cause = cause
        self.frames = frames

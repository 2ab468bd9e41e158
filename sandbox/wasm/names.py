"""The name section (WebAssembly 2.0, appendix "Custom Sections"): function names for backtraces."""

from __future__ import annotations

from sandbox.errors import InvalidModule
from sandbox.wasm.reader import Reader

_FUNCTION_NAMES = 1


def function_names(wasm: bytes, start: int, end: int) -> dict[int, str]:
    """Function index → name. A malformed section is no error of the module: what was read before the fault counts."""
    names: dict[int, str] = {}
    reader = Reader(wasm, start, end)
    try:
        while reader.at < reader.end:
            kind, size = reader.byte(), reader.u32()
            first = reader.at
            reader.skip(size)
            if kind == _FUNCTION_NAMES:
                _read(Reader(wasm, first, first + size), names)
                break
    except InvalidModule:
        pass
    return names


def _read(reader: Reader, names: dict[int, str]) -> None:
    for _ in range(reader.u32()):
        index = reader.u32()
        names[index] = reader.take(reader.u32()).decode(errors="replace")

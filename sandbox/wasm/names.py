"""The name section (WebAssembly 2.0, appendix "Custom Sections"; globals: proposal "extended name section")."""

from __future__ import annotations

from sandbox.errors import InvalidModule
from sandbox.wasm.reader import Reader

_FUNCTIONS, _GLOBALS = 1, 7


def function_names(wasm: bytes, start: int, end: int) -> dict[int, str]:
    """Read function index → name. A malformed section is no error: the names before the fault count."""
    return _names(wasm, start, end, _FUNCTIONS)


def global_names(wasm: bytes, start: int, end: int) -> dict[int, str]:
    """Read global index → name, likewise."""
    return _names(wasm, start, end, _GLOBALS)


def _names(wasm: bytes, start: int, end: int, wanted: int) -> dict[int, str]:
    names: dict[int, str] = {}
    reader = Reader(wasm, start, end)
    try:
        while reader.at < reader.end:
            kind, size = reader.byte(), reader.u32()
            first = reader.at
            reader.skip(size)
            if kind == wanted:
                _read(Reader(wasm, first, first + size), names)
                break
    except InvalidModule:
        pass
    return names


def _read(reader: Reader, names: dict[int, str]) -> None:
    for _ in range(reader.u32()):
        index = reader.u32()
        names[index] = reader.take(reader.u32()).decode(errors="replace")

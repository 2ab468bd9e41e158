"""The globals of a snapshot: their names, types and values."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sandbox import wasm


@dataclass(frozen=True, slots=True)
class GlobalValue:
    """A global. `index`: in the module, None without a module; `bits`: of the value, unsigned."""

    index: int | None
    name: str | None
    type: str
    mutable: bool
    bits: int

    @property
    def value(self) -> int | float:
        """The value: integers signed, vectors unsigned."""
        if self.type in ("f32", "f64"):
            letters, size = ("<f", 4) if self.type == "f32" else ("<d", 8)
            [value] = struct.unpack(letters, self.bits.to_bytes(size, "little"))
            return float(value)
        width = {"i32": 32, "i64": 64}.get(self.type)
        return self.bits - (1 << width) if width and self.bits >> (width - 1) else self.bits


def globals_of(facts: wasm.ModuleFacts, saved: bytes) -> list[GlobalValue]:
    """Return the globals of a snapshot taken here; `saved`: 16 bytes for each mutable one, in `wasm.rewrite` order."""
    values = []
    for slot in wasm.rewrite(facts).snapshot_globals:
        bits = slot.value or 0
        if slot.offset is not None:
            bits = int.from_bytes(saved[slot.offset : slot.offset + wasm.SIZES[slot.type]], "little")
        name = facts.global_names.get(slot.index)
        values.append(GlobalValue(slot.index, name, wasm.TYPE_NAMES[slot.type], slot.mutable, bits))
    return values


def uploaded_globals(facts: wasm.ModuleFacts | None, values: tuple[tuple[str, int], ...]) -> list[GlobalValue]:
    """Return the globals of an upload: type letters and bits in the platform's order, named if the module agrees."""
    slots = wasm.rewrite(facts).snapshot_globals if facts is not None else ()
    if facts is None or tuple(letter for letter, _ in values) != tuple(slot.type for slot in slots):
        return [GlobalValue(None, None, wasm.TYPE_NAMES[letter], True, bits) for letter, bits in values]
    return [
        GlobalValue(slot.index, facts.global_names.get(slot.index), wasm.TYPE_NAMES[letter], slot.mutable, bits)
        for slot, (letter, bits) in zip(slots, values, strict=True)
    ]

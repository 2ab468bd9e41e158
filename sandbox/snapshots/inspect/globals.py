"""The globals of a snapshot: their names, types and values."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sandbox import wasm


@dataclass(frozen=True, slots=True)
class GlobalValue:
    """`index`: in the module; None where there is no module to ask. `bits` are the value's, unsigned."""

    index: int | None
    name: str | None
    type: str
    mutable: bool
    bits: int

    @property
    def value(self) -> int | float:
        """Integers signed; vectors unsigned."""
        if self.type in ("f32", "f64"):
            letters, size = ("<f", 4) if self.type == "f32" else ("<d", 8)
            [value] = struct.unpack(letters, self.bits.to_bytes(size, "little"))
            return float(value)
        width = {"i32": 32, "i64": 64}.get(self.type)
        return self.bits - (1 << width) if width and self.bits >> (width - 1) else self.bits


def globals_of(facts: wasm.ModuleFacts, saved: bytes) -> list[GlobalValue]:
    """Those of a snapshot that was taken here: 16 bytes for each mutable global, as the rewrite orders them."""
    found = []
    for slot in wasm.rewrite(facts).snapshot_globals:
        bits = slot.value or 0
        if slot.offset is not None:
            bits = int.from_bytes(saved[slot.offset : slot.offset + wasm.SIZES[slot.type]], "little")
        name = facts.global_names.get(slot.index)
        found.append(GlobalValue(slot.index, name, wasm.TYPE_NAMES[slot.type], slot.mutable, bits))
    return found


def uploaded_globals(facts: wasm.ModuleFacts | None, values: tuple[tuple[str, int], ...]) -> list[GlobalValue]:
    """Those of an upload: letters of types and bits, in the order of the platform, named where the module agrees."""
    slots = wasm.rewrite(facts).snapshot_globals if facts is not None else ()
    if facts is None or tuple(letter for letter, _ in values) != tuple(slot.type for slot in slots):
        return [GlobalValue(None, None, wasm.TYPE_NAMES[letter], True, bits) for letter, bits in values]
    return [
        GlobalValue(slot.index, facts.global_names.get(slot.index), wasm.TYPE_NAMES[letter], slot.mutable, bits)
        for slot, (letter, bits) in zip(slots, values, strict=True)
    ]

"""Decode a stable memory, by the decoder that its magic bytes select."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from sandbox import candid
from sandbox.errors import CandidError
from sandbox.limits import WASM_PAGE
from sandbox.snapshots.inspect import decode_candid
from sandbox.snapshots.inspect.model import Decoded, Part
from sandbox.snapshots.inspect.motoko.decode import ENHANCED, LAYOUT, NOT_SAVED, decode_motoko
from sandbox.snapshots.inspect.motoko.stable_types import NOTHING, StableTypes, parse_stable_types
from sandbox.snapshots.inspect.motoko.tree import DecodeLimits
from sandbox.snapshots.inspect.source import Bytes, is_zero, part
from sandbox.snapshots.inspect.stable_structures import decode as decode_rust
from sandbox.snapshots.inspect.stable_structures.memory_manager import Manager, find_managers

_MOST_NAMED = 8
"""The most structures that a note names."""
_STABLE_TYPES = "motoko:stable-types"


@dataclass(frozen=True)
class Hints:
    """Knowledge about a stable memory. `metadata`: sections of the module; `enhanced`: whether it has enhanced
    orthogonal persistence; `keep`: how much of each value is decoded."""

    metadata: Mapping[str, bytes] = field(default_factory=dict)
    enhanced: bool = False
    keep: DecodeLimits = field(default_factory=DecodeLimits)

    @property
    def stable_types(self) -> StableTypes:
        text = self.metadata.get(_STABLE_TYPES)
        return NOTHING if text is None else parse_stable_types(text.decode("utf-8", "replace"))

    @property
    def field_names(self) -> dict[int, str]:
        """The field names in the module's Candid interface, by field id."""
        text = self.metadata.get("candid:service")
        try:
            names = candid.parse_did(text.decode("utf-8", "replace")).field_names() if text else frozenset()
        except CandidError:
            return {}
        return {candid.field_id(name): name for name in names}

    @property
    def motoko(self) -> bool:
        return self.enhanced or any(name.startswith("motoko:") for name in self.metadata)


def decode(stable: Bytes, hints: Hints | None = None) -> Decoded:
    """Decode the structures in a stable memory. If no decoder fits, the only part is the bytes, and a note says so;
    InspectError if one fits and the bytes contradict themselves from the start."""
    hints = hints or Hints()
    if is_zero(stable):
        return _nothing(stable, hints)
    if decode_rust.is_manager(stable):
        return decode_rust.decode_manager(stable)
    if not hints.motoko and (managers := find_managers(stable)):
        return _spread(stable, managers, hints)
    if decode_rust.is_structure(stable):
        return _with_orphans(decode_rust.decode_alone(stable), stable)
    if stable.read(0, 4) == decode_candid.MAGIC:
        return _with_orphans(decode_candid.decode_candid(stable, hints.field_names, hints.keep), stable)
    decoded = decode_motoko(stable, hints.stable_types, hints.keep)
    if decoded is not None:
        missing = hints.motoko and not decoded.notes
        notes = (*decoded.notes, ENHANCED if hints.enhanced else NOT_SAVED) if missing else decoded.notes
        return Decoded(decoded.layout, decoded.parts, decoded.facts, notes)
    begins = stable.read(0, min(16, stable.size)).hex(" ")
    note = f"No decoder fits: stable memory begins with {begins}."
    unknown = Decoded("unknown", (Part("stable memory", "bytes", stable),), notes=(note, *_motoko_note(hints)))
    return _with_orphans(unknown, stable)


def _with_orphans(decoded: Decoded, stable: Bytes) -> Decoded:
    """Add a note about pages behind the first that begin as structures do: nothing that was decoded refers to them."""
    orphans = list(islice(decode_rust.begun_structures(stable), _MOST_NAMED + 1))
    if not orphans:
        return decoded
    named = ", ".join(f"at {page * WASM_PAGE:#x} ({kind})" for page, kind in orphans[:_MOST_NAMED])
    more = " and further on" if len(orphans) > _MOST_NAMED else ""
    note = (
        f"Pages begin as structures of {decode_rust.LAYOUT} do, and nothing at the start refers to them: {named}{more}."
    )
    return replace(decoded, notes=(*decoded.notes, note))


def _spread(stable: Bytes, managers: Sequence[tuple[int, Manager]], hints: Hints) -> Decoded:
    """Decode the bytes before the first of these managers, and the managers."""
    first = managers[0][0]
    before = decode(part(stable, 0, first * WASM_PAGE), hints)
    pages = ", ".join(str(page) for page, _ in managers)
    facts = {"memory manager": f"at page{'' if len(managers) == 1 else 's'} {pages}"}
    head = tuple(replace(each, name=f"pages 0-{first - 1}") if each.kind == "bytes" else each for each in before.parts)
    return Decoded(decode_rust.LAYOUT, (*head, *decode_rust.decode_managers(stable, managers)), facts)


def _nothing(stable: Bytes, hints: Hints) -> Decoded:
    note = "Stable memory is all zeros." if stable.size else "There is no stable memory."
    return Decoded(LAYOUT if hints.motoko else "empty", notes=(note, *_motoko_note(hints)))


def _motoko_note(hints: Hints) -> tuple[str, ...]:
    if not hints.motoko:
        return ()
    return (ENHANCED if hints.enhanced else NOT_SAVED,)

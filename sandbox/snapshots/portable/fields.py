"""Fields as plain values and back, for the first block of a file and `sandbox.json`. Values read are not trusted."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sandbox.limits import CERTIFIED_DATA, GLOBALS
from sandbox.management.load_parts import Globals
from sandbox.principal import Principal
from sandbox.snapshots.portable.content import Fields, corrupt
from sandbox.state.canister import LOW_MEMORY_HOOK
from sandbox.state.snapshot import TAKEN, UPLOADED

U64: Final = (1 << 64) - 1
WIDTHS: Final = {"i": 32, "l": 64, "f": 32, "d": 64, "v": 128}
"""Bits of a global by the letter of its type."""


def encode(fields: Fields) -> dict[str, Any]:
    """Return the fields as CBOR-ready values."""
    return {
        **fields.extra,
        "id": fields.id,
        "canister_id": None if fields.canister_id is None else bytes(fields.canister_id),
        "label": fields.label,
        "taken_at": fields.taken_at,
        "canister_version": fields.canister_version,
        "source": fields.source,
        "globals": [[letter, bits.to_bytes(WIDTHS[letter] // 8, "little")] for letter, bits in fields.globals],
        "certified_data": fields.certified_data,
        "global_timer": fields.global_timer,
        "low_memory_hook": fields.low_memory_hook,
        "checksum": fields.checksum,
        "via_hooks": fields.via_hooks,
    }


def decode(record: Any, history: Any, where: str) -> Fields:
    """Return the fields of a record; `SnapshotFileCorrupt` names the first invalid one."""
    take = Taker(record, where)
    canister_id = take.optional("canister_id", bytes, lambda raw: len(raw) <= 29)
    return Fields(
        id=take.optional("id", bytes, lambda raw: len(raw) <= 64),
        canister_id=None if canister_id is None else Principal(canister_id),
        label=take.optional("label", str),
        taken_at=take.one("taken_at", int, _u64),
        canister_version=take.one("canister_version", int, _u64),
        source=take.one("source", str, lambda text: text in (TAKEN, UPLOADED)),
        globals=_globals(take.one("globals", list, lambda items: len(items) <= GLOBALS), where),
        certified_data=take.one("certified_data", bytes, lambda raw: len(raw) <= CERTIFIED_DATA),
        global_timer=take.optional("global_timer", int, _u64),
        low_memory_hook=take.optional("low_memory_hook", str, lambda text: text in LOW_MEMORY_HOOK),
        checksum=take.optional("checksum", bytes, lambda raw: len(raw) == 32),
        via_hooks=bool(take.optional("via_hooks", bool)),
        history=decode_history(history, where),
        extra=MappingProxyType(take.rest()),
    )


def decode_history(history: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    """Return the history, a list of maps; else `SnapshotFileCorrupt`."""
    if not isinstance(history, list) or not all(isinstance(item, dict) for item in history):
        raise corrupt(where, "the history is not a list of records")
    return tuple(history)


def _u64(number: int) -> bool:
    return 0 <= number <= U64


def _globals(items: list[Any], where: str) -> Globals:
    values = []
    for index, item in enumerate(items):
        match item:
            case [str() as letter, bytes() as raw] if letter in WIDTHS and len(raw) * 8 == WIDTHS[letter]:
                values.append((letter, int.from_bytes(raw, "little")))
            case _:
                raise corrupt(where, f"global {index} is not a type and its bytes: {item!r:.80}")
    return tuple(values)


class Taker:
    """A record from which values are taken with a check of their types."""

    def __init__(self, record: Any, where: str) -> None:
        if not isinstance(record, dict) or not all(isinstance(name, str) for name in record):
            raise corrupt(where, "the fields are not a record")
        self._left = dict(record)
        self._where = where

    def one(self, name: str, kind: type, holds: Any = None) -> Any:
        """Take the value of a mandatory field."""
        if name not in self._left:
            raise corrupt(self._where, f"the field {name!r} is missing")
        value = self._left.pop(name)
        fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
        if not fits or (holds is not None and not holds(value)):
            raise corrupt(self._where, f"the field {name!r} cannot be {value!r:.80}")
        return value

    def optional(self, name: str, kind: type, holds: Any = None) -> Any:
        """Take the value of a field, None if it is absent or null."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        return self.one(name, kind, holds)

    def rest(self) -> dict[str, Any]:
        """Return the fields that were not taken."""
        return self._left

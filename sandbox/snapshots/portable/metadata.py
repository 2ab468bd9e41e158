"""`metadata.json` of dfx and icp-cli: the reply of `read_canister_snapshot_metadata` as their library writes it
(dfinity/icp-cli `crates/icp-cli/src/operations/snapshot_transfer.rs`).

Two spaces of indentation, no line break at the end, blobs as lists of numbers, null for what is reserved or absent, a
v128 as a list of 32-bit digits, the lowest first. JSON has no NaN and no infinity: those tools write null for the
number, which cannot be read back; `sandbox.json` has the bits. Other numbers are spelled so that those tools, which
round decimals carelessly, read them exactly, where that is possible (`decimals`).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

from sandbox.limits import CERTIFIED_DATA, CHUNKS, GLOBALS, MODULE_SIZE, STABLE_MEMORY, WASM_PAGE
from sandbox.management.load_parts import Globals
from sandbox.snapshots.portable.content import Content, Fields, corrupt
from sandbox.snapshots.portable.decimals import spelled
from sandbox.snapshots.portable.fields import WIDTHS, Taker
from sandbox.state.canister import LOW_MEMORY_HOOK
from sandbox.state.snapshot import TAKEN, UPLOADED
from sandbox.wasm import TYPE_NAMES

_LETTERS = {tag: letter for letter, tag in TYPE_NAMES.items()}
_FLOATS = {"f": ("<f", "<I"), "d": ("<d", "<Q")}


@dataclass(frozen=True, slots=True)
class Metadata:
    """The content of the file: fields, sizes, hashes of chunks. `unknown`: indexes of globals that are null in it."""

    fields: Fields
    module_size: int
    heap_size: int
    stable_size: int
    chunks: tuple[bytes, ...]
    unknown: tuple[int, ...] = ()


def encode(content: Content) -> bytes:
    """Return the file."""
    fields = content.fields
    timer = fields.global_timer
    hook = fields.low_memory_hook
    record = {
        "source": {fields.source: None},
        "taken_at_timestamp": fields.taken_at,
        "wasm_module_size": content.module.size,
        "globals": [{TYPE_NAMES[letter]: _number(letter, bits)} for letter, bits in fields.globals],
        "wasm_memory_size": content.heap.size,
        "stable_memory_size": content.stable.size,
        "wasm_chunk_store": [{"hash": list(digest)} for digest in sorted(content.chunks)],
        "canister_version": fields.canister_version,
        "certified_data": list(fields.certified_data),
        "global_timer": None if timer is None else {"active": timer} if timer else "inactive",
        "on_low_wasm_memory_hook_status": hook,
    }
    return _pretty(record, "").encode()


def unreadable_globals(fields: Fields) -> tuple[int, ...]:
    """Return the indexes of globals that dfx and icp-cli read as another number, or not at all."""
    return tuple(
        index
        for index, (letter, bits) in enumerate(fields.globals)
        if letter in _FLOATS and not spelled(_float(letter, bits), letter).is_exact
    )


class _Text(str):
    """JSON text, written verbatim."""


def _pretty(value: Any, indent: str) -> str:
    inner = indent + "  "
    if isinstance(value, dict | list) and value:
        items = (
            [f"{json.dumps(name)}: {_pretty(item, inner)}" for name, item in value.items()]
            if isinstance(value, dict)
            else [_pretty(item, inner) for item in value]
        )
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        return f"{opening}\n{inner}" + f",\n{inner}".join(items) + f"\n{indent}{closing}"
    return value if isinstance(value, _Text) else json.dumps(value)


def _number(letter: str, bits: int) -> Any:
    if letter in _FLOATS:
        return _Text(spelled(_float(letter, bits), letter).text)
    if letter == "v":
        digits = []
        while bits:
            digits.append(bits & 0xFFFF_FFFF)
            bits >>= 32
        return digits
    width = WIDTHS[letter]
    return bits - (1 << width) if bits >> (width - 1) else bits


def _float(letter: str, bits: int) -> float:
    form, raw = _FLOATS[letter]
    [value] = struct.unpack(form, struct.pack(raw, bits))
    return float(value)


def decode(raw: bytes, where: str) -> Metadata:
    """Parse the file; `SnapshotFileCorrupt` says what is wrong. Unknown fields are ignored, as by those tools."""
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise corrupt(where, f"not JSON: {error}") from None
    take = Taker(record, where)
    source = take.optional("source", dict, lambda item: len(item) == 1 and item.keys() <= {TAKEN, UPLOADED})
    values, unknown = _globals(take.one("globals", list, lambda items: len(items) <= GLOBALS), where)
    fields = Fields(
        taken_at=take.one("taken_at_timestamp", int, _u64),
        canister_version=take.one("canister_version", int, _u64),
        source=TAKEN if source is None else next(iter(source)),
        globals=values,
        certified_data=_blob(take.one("certified_data", list), CERTIFIED_DATA, "certified_data", where),
        global_timer=_timer(take, where),
        low_memory_hook=take.optional("on_low_wasm_memory_hook_status", str, lambda text: text in LOW_MEMORY_HOOK),
    )
    return Metadata(
        fields,
        take.one("wasm_module_size", int, lambda size: 0 <= size <= MODULE_SIZE),
        take.one("wasm_memory_size", int, lambda size: 0 <= size <= STABLE_MEMORY and size % WASM_PAGE == 0),
        take.one("stable_memory_size", int, lambda size: 0 <= size <= STABLE_MEMORY and size % WASM_PAGE == 0),
        _chunks(take.one("wasm_chunk_store", list, lambda items: len(items) <= CHUNKS), where),
        unknown,
    )


def _timer(take: Taker, where: str) -> int | None:
    timer = take.optional("global_timer", object)
    match timer:
        case None:
            return None
        case "inactive":
            return 0
        case {"active": int() as at, **rest} if not rest and not isinstance(at, bool) and _u64(at):
            return at
    raise corrupt(where, f"the field 'global_timer' cannot be {timer!r:.80}")


def _chunks(items: list[Any], where: str) -> tuple[bytes, ...]:
    digests = []
    for index, item in enumerate(items):
        digest = _blob(item.get("hash") if isinstance(item, dict) else None, 32, f"chunk {index}", where)
        if len(digest) != 32:
            raise corrupt(where, f"the hash of chunk {index} has {len(digest)} bytes")
        digests.append(digest)
    return tuple(digests)


def _blob(items: Any, most: int, name: str, where: str) -> bytes:
    try:
        raw = bytes(items) if isinstance(items, list) else None
    except (TypeError, ValueError):
        raw = None
    if raw is None or len(raw) > most:
        raise corrupt(where, f"{name} is not a list of at most {most} bytes: {items!r:.80}")
    return raw


def _globals(items: list[Any], where: str) -> tuple[Globals, tuple[int, ...]]:
    values, unknown = [], []
    for index, item in enumerate(items):
        if item is None:
            raise corrupt(where, f"global {index} is null: the tool that wrote it did not know its type")
        [(tag, value)] = item.items() if isinstance(item, dict) and len(item) == 1 else [("", None)]
        letter = _LETTERS.get(tag, "")
        bits = _bits(letter, value)
        if bits is None and letter in _FLOATS and value is None:
            unknown.append(index)
            bits = 0
        if bits is None:
            raise corrupt(where, f"global {index} cannot be {item!r:.80}")
        values.append((letter, bits))
    return tuple(values), tuple(unknown)


def _bits(letter: str, value: Any) -> int | None:
    match letter, value:
        case _, bool():
            return None
        case (("i" | "l"), int()):
            half = 1 << (WIDTHS[letter] - 1)
            return value & (2 * half - 1) if -half <= value < half else None
        case (("f" | "d"), (int() | float())):
            layout, raw = _FLOATS[letter]
            try:
                [bits] = struct.unpack(raw, struct.pack(layout, value))
            except OverflowError:
                return None
            return int(bits)
        case "v", list() if all(isinstance(d, int) and 0 <= d < 1 << 32 for d in value):
            number = sum(digit << (32 * place) for place, digit in enumerate(value))
            return number if number < 1 << 128 else None
        case "v", int() if 0 <= value < 1 << 128:
            return value
    return None


def _u64(number: int) -> bool:
    return 0 <= number < 1 << 64

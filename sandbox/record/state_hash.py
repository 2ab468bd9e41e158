"""The hash of a whole subnet: everything that a canister could observe, now or later.

Every field of every dataclass of `state` counts, so that a new field is covered without a change here. Left out are
results that users have not fetched, and the places of bytes. Memories count by the roots of their trees: a hash costs
the pages written since the last one; a canister that is the same value as then costs nothing. Class and field names are
hashed: renaming one changes `hashing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

import blake3
import cbor2

from sandbox import state as state_records
from sandbox.limits import WASM_PAGE
from sandbox.memory import Image, Memory, Pool
from sandbox.pagestore.memory_trees import tree
from sandbox.principal import Principal
from sandbox.state import CanisterState, Subnet, WasmModule, evolve
from sandbox.state.savepoint import RevertibleQueue
from sandbox.store.checksum import memory_checksum, snapshot_checksum

VERSION = 2
"""Incremented when the hashed content changes in a way that `hashing` does not detect, or when new canisters get other
initial values (2: they have a limit for the heap)."""

_LEFT_OUT = frozenset({"pool", "results", "submissions", "certified", "canisters", "savepoints"})
"""Fields of `Subnet` that no canister sees, or that say nothing new; canisters count one by one."""
_CHANGING = frozenset({"heap", "stable"})
"""Fields of a canister whose value is a handle to bytes that change."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The last hash of a canister. The images keep the trees of its memories alive, for the next hash."""

    state: CanisterState
    digest: bytes
    images: tuple[Image, Image]
    snapshots: dict[int, bytes]
    """Checksums by `id()` of the snapshots, which `state` keeps alive."""
    encoded: dict[str, bytes]
    """What was hashed, by field: the same value as in `state` is not encoded again."""


class StateHash:
    """The incremental hash of one subnet: each costs the changes since the last. Holding this object pins the old
    contents of pages (copy-on-write)."""

    def __init__(self) -> None:
        self._known: dict[Principal, _Known] = {}

    def copied(self) -> StateHash:
        """Return an independent copy."""
        twin = StateHash()
        twin._known = dict(self._known)
        return twin

    def follow(self, subnet: Subnet) -> dict[Principal, bytes | None]:
        """Return the canisters whose digest has changed since the last call, with it; None for deleted ones."""
        known, present = self._known, subnet.canisters
        changed: dict[Principal, bytes | None] = {}
        for canister_id, state in present.items():
            before = known.get(canister_id)
            if before is None or before.state is not state:
                now = known[canister_id] = _hashed(state, before)
                if before is None or before.digest != now.digest:
                    changed[canister_id] = now.digest
        if len(known) > len(present):
            for canister_id in [c for c in known if c not in present]:
                del known[canister_id]
                changed[canister_id] = None
        return changed

    def whole(self, subnet: Subnet) -> bytes:
        """Return 32 bytes that cover the whole subnet."""
        self.follow(subnet)
        digests = [[bytes(c), self._known[c].digest] for c in sorted(self._known)]
        return _hash("state", [rest_hash(subnet), digests])


def rest_hash(subnet: Subnet, *, counts: bool = True) -> bytes:
    """Return the digest of everything except canisters: time, seed, open calls, messages, configuration. Without
    `counts`, the instructions that open calls have used so far and the limits are left out."""
    record = {name: getattr(subnet, name) for name in _names(Subnet) if name not in _LEFT_OUT}
    if not counts:
        del record["instruction_limits"]
        record["contexts"] = [evolve(context, instructions=0) for context in subnet.contexts.values()]
    return _hash("subnet", _plain(record))


@cache
def hashing() -> str:
    """Return the identity of the hashing: only hashes with the same one are comparable. It is computed from the fields
    of all dataclasses and from the tree of a fixed sample memory."""
    kinds = [kind for kind in vars(state_records).values() if isinstance(kind, type) and is_dataclass(kind)]
    shape = sorted([kind.__name__, *_names(kind)] for kind in kinds)
    sample = Pool().memory(5 * WASM_PAGE)
    for page in (0, 3):
        sample.write(page * WASM_PAGE + 5000, b"sample")
    digest = _hash("hashing", [shape, memory_checksum(sample)])
    sample.close()
    return f"{VERSION}-{digest.hex()[:16]}"


def _hashed(state: CanisterState, before: _Known | None) -> _Known:
    images = (state.heap.image(), state.stable.image())
    known = {} if before is None else before.snapshots
    snapshots = {id(s): known.get(id(s)) or snapshot_checksum(s) for s in state.snapshots}
    encoded: dict[str, bytes] = {}
    for name in _sorted_names(CanisterState):
        value = getattr(state, name)
        if name == "snapshots":
            value = list(snapshots.values())
        elif name == "chunks":
            value = sorted(value)  # a chunk's name is its SHA-256
        elif before is not None and name not in _CHANGING and value is getattr(before.state, name):
            encoded[name] = before.encoded[name]
            continue
        encoded[name] = cbor2.dumps([name, _plain(value)])
    content = _list_head(len(encoded)) + b"".join(encoded.values())
    return _Known(state, _digest("canister", content), images, snapshots, encoded)


@cache
def _list_head(length: int) -> bytes:
    """Return the bytes before the items of a list in CBOR."""
    return cbor2.dumps([None] * length)[:-length]  # None is one byte


def _plain(value: Any) -> Any:
    """Return a value as CBOR-ready values, equal for equal values."""
    kind: Any = type(value)
    return value if kind in _AS_IS else _plainer(kind)(value)


@cache
def _plainer(kind: Any) -> Callable[[Any], Any]:
    """Return the function that makes values of one type plain."""
    if kind in _LEAVES:
        return _LEAVES[kind]
    if kind in (tuple, list, RevertibleQueue):
        return lambda value: [_plain(item) for item in value]
    if issubclass(kind, Enum):
        return lambda value: value.value
    name = kind.__name__
    if is_dataclass(kind):
        names = tuple(field.name for field in fields(kind))
        return lambda value: [name, *[_plain(getattr(value, field)) for field in names]]
    if issubclass(kind, Mapping):
        return lambda value: [[_plain(key), _plain(value[key])] for key in sorted(value)]
    assert kind is frozenset, kind
    return lambda value: [_plain(item) for item in sorted(value)]


_AS_IS = frozenset({int, str, bytes, bool, type(None)})
_LEAVES: Mapping[type[Any], Callable[[Any], bytes]] = {
    Memory: memory_checksum,
    Image: lambda image: tree(image).root,
    Principal: bytes,
    WasmModule: lambda code: code.hash,
}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _sorted_names(kind: Any) -> tuple[str, ...]:
    return tuple(sorted(_names(kind)))


def _hash(purpose: str, value: Any) -> bytes:
    return _digest(purpose, cbor2.dumps(value))


def _digest(purpose: str, content: bytes) -> bytes:
    key = f"canister-sandbox 2026 state hash {purpose}"
    return blake3.blake3(content, derive_key_context=key, max_threads=1).digest()

"""What the public face answers with: plain frozen records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, NoReturn

from sandbox.errors import StateCorrupt, StateError
from sandbox.limits import GIB
from sandbox.management.sizes import snapshot_size
from sandbox.memory import Memory
from sandbox.principal import Principal
from sandbox.snapshots.content_id import content_id
from sandbox.state import CanisterState, Derived, OpenCall, Settings, SnapshotState
from sandbox.store.checksum import snapshot_checksum

MOST_RAW = 4 * GIB
"""As much as a 32-bit heap can have; a memory that has more is not answered as one `bytes`."""


@dataclass(frozen=True, repr=False)
class Snapshot:
    """A snapshot as its owner sees it. `taken_on`: nanoseconds since 1970; `total_size`: bytes of module, globals,
    heap, stable memory and certified data; `via_hooks`: it has only stable memory, as the canister's hook left it;
    `derived`: how it was edited, oldest step first, empty for one that was not;
    `open_calls`: those that were not finished then; `automatic`: taken by a policy; `damage`: why it cannot be read any
    more, and then only the ids are true.

    Pickling keeps all of that, the checksum and the content id, which are computed for it, and loses the link to the
    bytes: they stay in the sandbox, where the id finds them."""

    id: bytes
    canister_id: Principal
    taken_on: int
    label: str | None
    total_size: int
    via_hooks: bool
    derived: tuple[Derived, ...]
    open_calls: tuple[OpenCall, ...]
    automatic: bool
    damage: str | None
    _checksum: Callable[[], bytes] = field(repr=False, compare=False)
    _content_id: Callable[[], str] = field(repr=False, compare=False)

    @cached_property
    def checksum(self) -> str:
        """64 hexadecimal digits that cover every byte and every field; computed when first asked for. `StateCorrupt` if
        the snapshot is damaged."""
        return self._checksum().hex()

    @cached_property
    def content_id(self) -> str:
        """64 hexadecimal digits that cover module, globals, heap, stable memory and certified data alone: snapshots of
        equal content have the same, wherever they come from. Computed when first asked for; `StateCorrupt` if the
        snapshot is damaged."""
        return self._content_id()

    @property
    def taken_at(self) -> datetime:
        """`taken_on` as a date, to the microsecond."""
        return datetime.fromtimestamp(self.taken_on // 1_000_000_000, UTC)

    def __repr__(self) -> str:
        label = "" if self.label is None else f", label={self.label!r}"
        return f"Snapshot({self.id.hex()} of {self.canister_id}{label}, {self.total_size:,} bytes)"

    def __getstate__(self) -> dict[str, Any]:
        kept: dict[str, object]
        try:
            kept = {"_checksum": partial(bytes.fromhex, self.checksum), "_content_id": partial(str, self.content_id)}
        except StateCorrupt as error:
            kept = dict.fromkeys(("_checksum", "_content_id"), partial(_refuse, error))
        return self.__dict__ | kept

    def __copy__(self) -> Snapshot:
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> Snapshot:
        return self

    @classmethod
    def of(cls, state: SnapshotState) -> Snapshot:
        return cls(
            id=state.id,
            canister_id=state.canister_id,
            taken_on=state.taken_at,
            label=state.label,
            total_size=snapshot_size(state),
            via_hooks=state.via_hooks,
            derived=state.derived,
            open_calls=state.open_calls,
            automatic=state.automatic,
            damage=state.damage,
            _checksum=partial(_checksum, state),
            _content_id=partial(content_id, state),
        )


def _checksum(state: SnapshotState) -> bytes:
    state.check_intact()
    return snapshot_checksum(state)


def _refuse(error: StateCorrupt) -> NoReturn:
    raise error


@dataclass(frozen=True, slots=True)
class RawState:
    """The exact bytes of a canister, for comparison. `globals`: 16 bytes for each mutable global, in index order."""

    module: bytes | None
    globals: bytes
    heap: bytes
    stable: bytes


def raw_state(state: CanisterState) -> RawState:
    """The bytes of a canister; `StateError` if a memory is larger than `MOST_RAW`."""
    return RawState(
        module=state.code.submitted if state.code else None,
        globals=state.globals,
        heap=_raw(state, "heap", state.heap),
        stable=_raw(state, "stable memory", state.stable),
    )


def _raw(state: CanisterState, name: str, memory: Memory) -> bytes:
    if memory.size > MOST_RAW:
        raise StateError(
            f"the {name} of canister {state.id} has {memory.size:,} bytes, and raw_state() answers with at most "
            f"{MOST_RAW:,} bytes of a memory; snapshots.diff compares and snapshots.download writes any size"
        )
    memory.verify()
    return memory.read(0, memory.size)


@dataclass(frozen=True, slots=True)
class CanisterStatus:
    """The answer of `canister_status` to a controller. Sizes in bytes."""

    canister_id: Principal
    status: str
    version: int
    module_hash: bytes | None
    settings: Settings
    heap_size: int
    stable_size: int
    snapshots_size: int
    cycles: int
    memory_size: int

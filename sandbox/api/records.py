"""What the public face answers with: plain frozen records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from sandbox.management.sizes import snapshot_size
from sandbox.management.snapshots import intact
from sandbox.principal import Principal
from sandbox.state import Derived, OpenCall, Settings, SnapshotState
from sandbox.store.checksum import snapshot_checksum


@dataclass(frozen=True)
class Snapshot:
    """A snapshot as its owner sees it. `taken_on`: nanoseconds since 1970; `total_size`: bytes of module, globals,
    heap, stable memory and certified data; `via_hooks`: it has only stable memory, as the canister's hook left it;
    `derived`: how it was edited, oldest step first, empty for one that was not;
    `open_calls`: those that were not finished then; `automatic`: taken by a policy; `damage`: why it cannot be read any
    more, and then only the ids are true."""

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

    @cached_property
    def checksum(self) -> str:
        """64 hexadecimal digits that cover every byte and every field; computed when first asked for. `StateCorrupt` if
        the snapshot is damaged."""
        return self._checksum().hex()

    @property
    def taken_at(self) -> datetime:
        """`taken_on` as a date, to the microsecond."""
        return datetime.fromtimestamp(self.taken_on // 1_000_000_000, UTC)

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
            _checksum=lambda: snapshot_checksum(intact(state)),
        )


@dataclass(frozen=True, slots=True)
class RawState:
    """The exact bytes of a canister, for comparison. `globals`: 16 bytes for each mutable global, in index order."""

    module: bytes | None
    globals: bytes
    heap: bytes
    stable: bytes


@dataclass(frozen=True, slots=True)
class CanisterStatus:
    """What `canister_status` tells a controller. Sizes in bytes."""

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

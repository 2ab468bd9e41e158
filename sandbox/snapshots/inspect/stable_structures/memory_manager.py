"""Memory managers of `ic-stable-structures`: several memories in one (`src/memory_manager.rs`, layout version 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from sandbox.limits import WASM_PAGE
from sandbox.snapshots.inspect.source import Bytes, InspectError, Pieces, number, part, take, within

MAGIC = b"MGR"
_MEMORIES = 255
_RESERVED = 8
_SIZES = 40
_BUCKETS = _SIZES + 8 * _MEMORIES
_MAX_BUCKETS = 32_768
_FREE = 255
_MOST_SEARCHED = 1 << 16


@dataclass(frozen=True)
class Manager:
    """The header of a memory manager. `sizes`: memory id → pages; `owners`: the memory id of each bucket; `damage`: the
    contradiction between the number of buckets and their owners, None if there is none."""

    source: Bytes
    bucket_pages: int
    sizes: dict[int, int]
    owners: bytes
    damage: str | None = None

    @property
    def ids(self) -> list[int]:
        """The ids of memories that have pages."""
        return sorted(self.sizes)

    @property
    def pages(self) -> int:
        """The pages of the manager and its buckets."""
        return 1 + len(self.owners) * self.bucket_pages

    @property
    def consistent(self) -> bool:
        """Whether all buckets lie inside, and each memory owns exactly the buckets that its size needs."""
        owned = Counter(self.owners)
        needed = {n: -(-pages // self.bucket_pages) for n, pages in self.sizes.items()}
        reserved = self.source.read(_RESERVED, _SIZES - _RESERVED)
        inside = self.pages * WASM_PAGE <= self.source.size
        return self.damage is None and inside and dict(owned) == needed and not any(reserved)

    def memory(self, memory_id: int) -> Pieces:
        """Return the bytes of one memory; InspectError if the tables contradict each other."""
        size, bucket = self.sizes[memory_id] * WASM_PAGE, self.bucket_pages * WASM_PAGE
        owned = [index for index, owner in enumerate(self.owners) if owner == memory_id]
        needed = -(-size // bucket)
        if needed != len(owned):
            raise InspectError(
                f"memory {memory_id} has {self.sizes[memory_id]:,} pages, which take {needed:,} buckets of "
                f"{self.bucket_pages} pages, and owns {len(owned):,} (sizes at {_SIZES:#x}, buckets at {_BUCKETS:#x})"
            )
        return Pieces(self.source, list(_ranges(owned, bucket, size)))


def _ranges(owned: list[int], bucket: int, size: int) -> Iterator[tuple[int, int]]:
    for rank, index in enumerate(owned):
        yield WASM_PAGE + index * bucket, min(bucket, size - rank * bucket)


def read_manager(source: Bytes) -> Manager:
    """Read the header at the start of `source`, which begins with `MAGIC`; InspectError if no memory can be read."""
    version = number(source, 3, 1, "the version of the memory manager")
    if version != 1:
        raise InspectError(f"the memory manager at 0x0 has layout version {version}; version 1 is known")
    within(source, 0, _BUCKETS + _MAX_BUCKETS, "the header of the memory manager")
    allocated, bucket_pages = number(source, 4, 2, "buckets"), number(source, 6, 2, "bucket size")
    if bucket_pages == 0:
        raise InspectError("the memory manager has buckets of 0 pages (at 0x6)")
    raw = take(source, _SIZES, 8 * _MEMORIES, "sizes of memories")
    pages = {n: int.from_bytes(raw[8 * n : 8 * n + 8], "little") for n in range(_MEMORIES)}
    sizes = {n: size for n, size in pages.items() if size}
    table = take(source, _BUCKETS, _MAX_BUCKETS, "owners of buckets")
    owners = table.rstrip(bytes([_FREE]))
    used = len(owners) - owners.count(_FREE)
    damage = None
    if used != allocated or used != len(owners):
        damage = f"the memory manager has {allocated:,} buckets (at 0x4) and {used:,} owners (at {_BUCKETS:#x})"
        if not sizes:
            raise InspectError(damage)
    return Manager(source, bucket_pages, sizes, owners, damage)


def find_managers(source: Bytes) -> list[tuple[int, Manager]]:
    """Find the managers that begin after the first page, with their pages: `RestrictedMemory` divides a memory so.

    Only consistent headers count, and only the first `_MOST_SEARCHED` pages with data are searched. The pages of a
    manager are not searched for others.
    """
    managers: list[tuple[int, Manager]] = []
    following = 1
    for page in searched_pages(source):
        if page < following or source.read(page * WASM_PAGE, 4) != MAGIC + b"\1":
            continue
        with suppress(InspectError):
            manager = read_manager(part(source, page * WASM_PAGE, source.size - page * WASM_PAGE))
            if manager.consistent:
                managers.append((page, manager))
                following = page + manager.pages
    return managers


def searched_pages(source: Bytes) -> Iterator[int]:
    """Yield the first `_MOST_SEARCHED` pages with data, ascending."""
    return islice(_pages_with_data(source), _MOST_SEARCHED)


def _pages_with_data(source: Bytes) -> Iterator[int]:
    """Yield whole pages with data, ascending."""
    following = 0
    for offset, length in source.extents():
        first = max(following, offset // WASM_PAGE)
        following = max(following, -(-(offset + length) // WASM_PAGE))
        yield from range(first, min(following, source.size // WASM_PAGE))

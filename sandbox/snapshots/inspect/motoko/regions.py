"""Motoko's regions: separate growing memories in one stable memory.

Sources: dfinity/motoko `design/StableRegions.md`, `rts/motoko-rts/src/region.rs` (module meta_data), version 2.
A region is a list of blocks of 8 MiB; a table says of each block which region it belongs to, its rank there, and how
many pages of it are used.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.limits import WASM_PAGE
from sandbox.snapshots.inspect.source import Bytes, InspectError, Pieces, number, take, within

MAGIC = b"MOREGION"
_VERSION, _BLOCK_PAGES, _BASE, _BLOCKS, _REGIONS, _TABLE = 8, 12, 14, 22, 26, 34
_ENTRY = 11
_PAGES = 128
_BLOCK = _PAGES * WASM_PAGE
_MAX_BLOCKS = 32_768


@dataclass(frozen=True)
class Regions:
    """The tables of regions. `blocks` lacks regions without pages. `allocated`: the number of regions, including those
    that Motoko reserves for itself (0 to 15)."""

    memory: Bytes
    base: int
    allocated: int
    blocks: dict[int, list[tuple[int, int]]]
    """Region → (block, used pages), in their order."""

    def pages(self, region: int) -> int:
        return sum(used for _, used in self.blocks.get(region, ()))

    def data(self, region: int) -> Pieces:
        """Return the bytes of a region."""
        places = [(self.base + block * _BLOCK, used * WASM_PAGE) for block, used in self.blocks.get(region, ())]
        return Pieces(self.memory, places)


def has_regions(memory: Bytes) -> bool:
    return memory.size >= WASM_PAGE and memory.read(0, len(MAGIC)) == MAGIC


def read_regions(memory: Bytes) -> Regions:
    """Read the tables at the start of `memory`, which begins with `MAGIC`."""
    version, per_block = number(memory, _VERSION, 4, "version"), number(memory, _BLOCK_PAGES, 2, "pages of a block")
    if version != 2 or per_block != _PAGES:
        raise InspectError(
            f"the regions have version {version} (at 0x8), {per_block} pages in a block; 2 and 128 are known"
        )
    base, blocks = number(memory, _BASE, 8, "the first block"), number(memory, _BLOCKS, 4, "the number of blocks")
    if blocks > _MAX_BLOCKS or base % WASM_PAGE or not 0 < base <= _BLOCK:
        raise InspectError(f"the regions have {blocks:,} blocks (at {_BLOCKS:#x}), the first at {base:#x}")
    if blocks:
        within(memory, base, blocks * _BLOCK, f"the memory of {blocks:,} blocks")
    allocated = number(memory, _REGIONS, 8, "the number of regions")
    regions: dict[int, dict[int, tuple[int, int]]] = {}
    table = take(memory, _TABLE, blocks * _ENTRY, "the table of blocks")
    for block in range(blocks):
        entry = table[block * _ENTRY : (block + 1) * _ENTRY]
        region, rank, used = int.from_bytes(entry[:8], "little") - 1, int.from_bytes(entry[8:10], "little"), entry[10]
        if region < 0:
            continue
        where = f"block {block} (at {_TABLE + block * _ENTRY:#x})"
        if region >= allocated or used > _PAGES:
            raise InspectError(f"{where} is of region {region} of {allocated:,} and uses {used} of {_PAGES} pages")
        if regions.setdefault(region, {}).setdefault(rank, (block, used)) != (block, used):
            raise InspectError(f"{where} is the second with rank {rank} in region {region}")
    return Regions(
        memory, base, allocated, {region: _ordered(region, ranks) for region, ranks in sorted(regions.items())}
    )


def _ordered(region: int, ranks: dict[int, tuple[int, int]]) -> list[tuple[int, int]]:
    blocks = [ranks[rank] for rank in sorted(ranks)]
    if sorted(ranks) != list(range(len(ranks))) or any(used != _PAGES for _, used in blocks[:-1]):
        raise InspectError(f"the blocks of region {region} have gaps (ranks {sorted(ranks)[:8]})")
    return blocks

"""The checks of the pages of one memory: half of a BLAKE3 each, by page number, in a table (`checks.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from blake3 import blake3

from sandbox.memory import Memory, host
from sandbox.pagestore.hash_tree import PAGE, PAGES_PER_BLOCK, ZERO_PAGE, blocks, split
from sandbox.pagestore.memory_trees import known_tree, whole_pages
from sandbox.store.seal import Seal

CHECK: Final = 16
NONE: Final = bytes(CHECK)
_ZERO_PAGE: Final = blake3(ZERO_PAGE).digest(CHECK)
_ROW: Final = 256
"""Checks that are read from a table at once."""


class CheckRecord(list[Any]):
    """The checks of a memory as the manifest has them: of `Checked`, the size, the seal, the name of the table, its
    seal, the pages of `recent` and their checks, joined."""


@dataclass(frozen=True)
class Checked:
    """The checks of a memory as of a save. `recent`: by page; all of them without a `table`, else the newer ones."""

    size: int
    seal: Seal = field(default_factory=list)
    table: Memory | None = None
    table_seal: Seal = field(default_factory=list)
    recent: Mapping[int, bytes] = field(default_factory=dict)

    def of(self, pages: Sequence[int]) -> list[bytes]:
        """Return the checks of ascending pages."""
        recent, table, checks = self.recent, self.table, []
        start = end = 0
        row = b""
        for page in pages:
            check = recent.get(page)
            if check is None:
                if page >= end:
                    start, end = page - page % _ROW, page - page % _ROW + _ROW
                    row = b"" if table is None else _padded(table, start * CHECK)
                at = (page - start) * CHECK
                check = row[at : at + CHECK] or NONE
            checks.append(check)
        return checks

    def differing(self, memory: Memory) -> Iterator[int]:
        """Yield the pages of 4 KiB whose bytes contradict their checks; reads every byte."""
        runs = memory.extents() + [(page * PAGE, PAGE) for page in self.recent]
        if self.table is not None:
            runs += [(start // CHECK * PAGE, length // CHECK * PAGE) for start, length in self.table.extents()]
        for run in whole_pages(runs, memory.size):
            for offset, length in host.pieces(*run):
                pages = range(offset // PAGE, (offset + length) // PAGE)
                yield from unequal(pages, checks_of(memory.read(offset, length)), self.of(pages))

    @cached_property
    def record(self) -> CheckRecord:
        table = "" if self.table is None else self.table.name
        recent = self.recent
        return CheckRecord([self.size, self.seal, table, self.table_seal, [*recent], b"".join(recent.values())])


def checks_of(data: bytes | memoryview) -> list[bytes]:
    """Return the checks of whole consecutive pages."""
    view = memoryview(data)
    checks = [blake3(view[at : at + PAGE]).digest(CHECK) for at in range(0, len(view), PAGE)]
    return [NONE if check == _ZERO_PAGE else check for check in checks] if _ZERO_PAGE in checks else checks


def _by_page(parts: Iterable[tuple[int, memoryview]]) -> tuple[list[int], list[bytes]]:
    """Return the numbers and checks of the pages of 4 KiB in (offset, bytes) parts."""
    pages: list[int] = []
    checks: list[bytes] = []
    for offset, content in parts:
        pages += range(offset // PAGE, (offset + len(content)) // PAGE)
        checks += checks_of(content)
    return pages, checks


def contradicting(known: Checked, parts: Sequence[tuple[int, memoryview]]) -> list[int]:
    """Return the pages in (offset, bytes) parts, as they were at the last save, that contradict their checks."""
    pages, checks = _by_page(sorted(parts))
    return list(unequal(pages, checks, known.of(pages)))


def unequal(pages: Iterable[int], found: list[bytes], expected: list[bytes]) -> Iterator[int]:
    if found != expected:
        yield from (page for page, one, other in zip(pages, found, expected, strict=True) if one != other)


def all_checks(memory: Memory, trusted: bool) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number of a first page and the checks from there on. Where the tree of a `trusted` memory, one written
    by this process alone, is known, nothing is read."""
    tree = known_tree(memory.image()) if trusted else None
    if tree is not None:
        for number, node in blocks(tree.top):
            yield number * PAGES_PER_BLOCK, [key[:CHECK] for key in split(node.keys)]
        return
    for run in whole_pages(memory.extents(), memory.size):
        for offset, length in host.pieces(*run):
            yield offset // PAGE, checks_of(memory.read(offset, length))


def table_size(size: int) -> int:
    """Return the size in bytes of the table for a memory of `size` bytes."""
    length = -(-size // PAGE) * CHECK
    return length + -length % host.PAGE


def _padded(table: Memory, start: int) -> bytes:
    """Return a row of a table, cut off at the table's end."""
    return table.read(start, min(_ROW * CHECK, table.size - start)) if start < table.size else b""


def cut_table(table: Memory, end: int) -> None:
    """Clear the checks from byte `end` of the table on."""
    start = end - end % host.PAGE
    if end < table.size:
        head = table.read(start, end - start)
        table.resize(start)
        if head:
            table.patch([(start, head + bytes(host.PAGE - len(head)))], start + host.PAGE)


def write_table(table: Memory, recent: Mapping[int, bytes], size: int) -> None:
    """Write checks, by page, into a table and make its size `size` bytes."""
    rows: dict[int, bytearray] = {}
    for page, check in sorted(recent.items()):
        number, at = divmod(page * CHECK, host.PAGE)
        start = number * host.PAGE
        if start not in rows:
            rows[start] = bytearray(table.read(start, host.PAGE) if start < table.size else host.PAGE)
        rows[start][at : at + CHECK] = check
    table.patch([(start, bytes(row)) for start, row in rows.items()], size)

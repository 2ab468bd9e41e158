"""Checks of live memories: detect pages of a canister's memories that were changed outside since the last save.

The check of a page of 4 KiB is the first half of its key (`pagestore.hash_tree`), 16 bytes; that of zeros is zero. The
checks of a memory lie by page number in another memory of the pool, its table, which the journal takes back together
with it. The newest ones, `recent`, are in the manifest until there are many, so that a small save writes no other file.
The manifest of a directory has them as `checks`, a field that early files of its version 2 lack: their memories get
checks with the next save.

A seal is the system's metadata of a file: size, inode number, modification times. A save sets the modification time
itself, to the nanosecond; any write by others changes it, and `st_ctime` cannot be set. A file that has its seal was
therefore not written to, and is not read; of any other, every page is checked when the directory is opened. Bytes that
the medium loses are noticed when a save makes the overwriting of a page final (the journal has its old bytes), when a
page is hashed for a snapshot, and by whatever relies on all bytes (a load, a difference, a hash of the whole state):
the first of these reads and checks the memory once (`Memory.verify`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sandbox.errors import StateCorrupt, StateError, of_system
from sandbox.memory import Journal, Memory, Pool, Run, host
from sandbox.pagestore.hash_tree import PAGE, PAGES_PER_BLOCK, Pages
from sandbox.pagestore.memory_trees import whole_pages
from sandbox.store.page_checks import (
    CHECK,
    NONE,
    Checked,
    CheckRecord,
    all_checks,
    contradicting,
    cut_table,
    table_size,
    unequal,
    write_table,
)
from sandbox.store.seal import Seal, seal_of, sealed

_FEW: Final = 128
"""The most checks of one memory that the manifest holds."""
_AT_ONCE: Final = 16 << 20
"""Bytes of changed pages that are read at once."""
_NAMED: Final = 5
"""The most damaged pages that an error names."""

CheckRecords = dict[str, CheckRecord]
"""The checks of all memories as a manifest has them, by name."""


def damage(part: str, pages: Sequence[int]) -> str:
    """Return the text of an error about damaged pages (numbers of 4 KiB pages)."""
    numbers = list(dict.fromkeys(page // PAGES_PER_BLOCK for page in pages))
    named = ", ".join(f"{number:#x}" for number in numbers[:_NAMED])
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    which = "page" if len(numbers) == 1 else "pages"
    return _damage(part, f"{which} {named}{more} (of 64 KiB) changed outside the sandbox since the last save")


def _damage(part: str, why: str) -> str:
    return f"{part} is damaged: {why}; `canister-sandbox canister recover` brings a canister back from a snapshot"


class Checks:
    """The checks of all live memories of a directory, as of its last save; `record`: the manifest's `checks`."""

    def __init__(self, pool: Pool, record: Mapping[str, list[Any]]) -> None:
        assert pool.directory is not None
        self._pool = pool
        self._directory = pool.directory
        self._record = record
        self._known: dict[str, Checked] = {}
        self._following: dict[str, Checked] = {}
        self._proven = 0
        """How much of the journal has been compared (its position)."""

    def open(self, name: str, part: str) -> Memory:
        """Open the memory with this name; check its bytes if its file was written to since the last save.

        A damaged memory is given up: every use of it raises an error that calls it `part`.
        """
        record, file = self._record.get(name), self._directory / name
        seal = seal_of(file)
        try:
            memory = self._pool.open(name)
        except (OSError, StateError) as error:
            of_system(error)
            size = record[0] if record else seal[0] - seal[0] % host.PAGE if seal else 0
            reason = str(error) if seal else f"its file {file} is missing"
            return self._pool.damaged(name, size, _damage(part, reason))
        if record is None:
            return memory
        known, whole = self._read(record)
        if seal == known.seal:
            if whole and known.table_seal == self._table_seal(record):
                self._known[name] = known
                memory.unread = _Unread(self, part)
            return memory
        why = _contradiction(memory, known, part) if whole else _damage(part, "its file was written to, its checks too")
        if why is None:
            self._known[name] = replace(known, seal=seal, table_seal=self._table_seal(record))
        else:
            memory.give_up(why)
            memory.size = known.size
        return memory

    def _read(self, record: list[Any]) -> tuple[Checked, bool]:
        """Return the checks that the manifest records for a memory, and whether their table is there."""
        size, seal, name, table_seal, pages, checks = record
        recent = {page: checks[at * CHECK : (at + 1) * CHECK] for at, page in enumerate(pages)}
        known = Checked(size, seal, None, table_seal, recent)
        if not name:
            return known, True
        try:
            table = self._pool.open(name, unmarked=True)
        except (OSError, StateError) as error:
            of_system(error)
            return known, False
        return replace(known, table=table), table.size == table_size(size)

    def _table_seal(self, record: list[Any]) -> Seal:
        return seal_of(self._directory / record[2]) if record[2] else []

    @property
    def tables(self) -> set[str]:
        """The names of the tables that are needed now, or were when the directory was opened."""
        now = {known.table.name for known in self._known.values() if known.table is not None}
        return now | table_names(self._record)

    def has(self, memory: Memory) -> bool:
        """Return whether a memory has checks; those of old directories get them with the next save."""
        return memory.name in self._known

    def remains(self, memory: Memory) -> Memory:
        """Return a new memory with the readable bytes of a damaged one, zeros elsewhere."""
        fresh, file = self._pool.memory(memory.size), self._directory / memory.name
        if file.exists():
            with open(file, "rb") as source:
                for run in host.data_runs(source.fileno(), 0, min(memory.size, os.path.getsize(file))):
                    for offset, length in host.pieces(*run):
                        fresh.write(offset, host.read_padded(source.fileno(), length, offset))
        return fresh

    def damaged_pages(self, memory: Memory) -> list[int]:
        """Return the pages of 4 KiB damaged since the last save, ascending; reads every byte, of pages overwritten
        since then the old ones."""
        known, name = self._known.get(memory.name), memory.name
        if known is None:
            return []
        present = self._kept(name, known.differing(memory))
        if self._pool.journal is None:
            return present
        overwritten, _ = self._pool.journal.overwritten()
        return sorted([*present, *contradicting(known, overwritten.get(name, ()))])

    def _kept(self, name: str, pages: Iterable[int]) -> list[int]:
        """Return those of the pages that were not overwritten since the last save."""
        journal = self._pool.journal
        saved = None if journal is None else journal.saved(name)
        if saved is None:
            return list(pages)
        return [page for page in pages if page * PAGE < saved.low_water and page * PAGE // host.PAGE not in saved.pages]

    def check(self, memory: Memory, pages: Sequence[int], keys: Sequence[bytes], part: str) -> None:
        """Check ascending pages just read, with their BLAKE3 (StateCorrupt); those overwritten since are left out."""
        known = self._known.get(memory.name)
        if known is not None:
            checks = {page: key[:CHECK] for page, key in zip(pages, keys, strict=True)}
            kept = self._kept(memory.name, pages)
            damaged = list(unequal(kept, [checks[page] for page in kept], known.of(kept)))
            if damaged:
                raise StateCorrupt(damage(part, damaged))

    # Saving

    def prove(self, part: Callable[[str], str]) -> None:
        """Check the old bytes of pages overwritten since the last save. `StateCorrupt` names the memory (`part` of its
        name) and the pages that contradict their checks. Memories that nothing can use any more are left out."""
        overwritten, end = self._journal.overwritten(self._proven)
        for name, parts in overwritten.items():
            known, memory = self._known.get(name), self._pool.referenced(name)
            if known is not None and memory is not None and not memory.closed:
                damaged = contradicting(known, parts)
                if damaged:
                    self._journal.check()
                    raise StateCorrupt(damage(part(name), damaged))
        self._proven = end

    @property
    def _journal(self) -> Journal:
        journal = self._pool.journal
        assert journal is not None
        return journal

    def renew(self, memories: Iterable[Memory], saved: Mapping[str, int]) -> CheckRecords:
        """Sync memories to the disk and return their present checks, for the manifest. They take effect with
        `saved`. `saved`: the generations that memories had in the last save, by name."""
        following: dict[str, Checked] = {}
        record: CheckRecords = {}
        self._following = following
        for memory in memories:
            name = memory.name
            known = self._known.get(name)
            if memory.closed:
                if known is not None:
                    record[name] = known.record
                elif name in self._record:
                    record[name] = CheckRecord(self._record[name])
                continue
            if known is None or saved.get(name) != memory.generation:
                known = self._whole(memory) if known is None else self._changed(memory, known)
                known = replace(known, seal=sealed(self._directory / name))
            following[name] = known
            record[name] = known.record
        return record

    def saved(self, record: Mapping[str, list[Any]]) -> None:
        """Take over the checks of a completed save, whose record this is; a new journal has begun."""
        self._known, self._record, self._proven = self._following, record, 0

    def _whole(self, memory: Memory) -> Checked:
        """Compute all checks of a memory."""
        trusted = self._journal.has_created(memory.name)
        pieces = [(first, b"".join(checks)) for first, checks in all_checks(memory, trusted)]
        if sum(len(row) for _, row in pieces) <= _FEW * CHECK:
            recent = {
                first + at // CHECK: row[at : at + CHECK] for first, row in pieces for at in range(0, len(row), CHECK)
            }
            return Checked(memory.size, recent={page: check for page, check in recent.items() if check != NONE})
        table = self._pool.memory(table_size(memory.size), unmarked=True)
        table.fill((first * CHECK, row) for first, row in pieces)
        return Checked(memory.size, table=table, table_seal=sealed(self._directory / table.name))

    def _changed(self, memory: Memory, known: Checked) -> Checked:
        """Compute the checks after the pages in the journal were overwritten."""
        saved = self._journal.saved(memory.name)
        if saved is None:
            return known
        low, recent = saved.low_water, dict(known.recent)
        if low < known.size:
            recent = {page: check for page, check in recent.items() if page * PAGE < low}
        runs = host.page_runs(sorted(page for page in saved.pages if page * host.PAGE < low))
        grown = host.data_runs(memory.store.fd, low, memory.size)
        wanted = whole_pages([*runs, *((low + start, length) for start, length in grown)], memory.size)
        for part in _portions(wanted):
            content = Pages.of(part, memory.image().together(part))
            recent.update(zip(content.numbers, [key[:CHECK] for key in content.keys], strict=True))
        known = replace(known, size=memory.size)
        if len(recent) <= _FEW and (known.table is None or (low >= saved.size and memory.size == saved.size)):
            return replace(known, recent=recent)
        table = known.table or self._pool.memory(unmarked=True)
        cut_table(table, low // PAGE * CHECK)
        write_table(table, recent, table_size(memory.size))
        return replace(known, table=table, table_seal=sealed(self._directory / table.name), recent={})


@dataclass(frozen=True, slots=True)
class _Unread:
    """`Memory.unread` of a memory that errors call `part`."""

    checks: Checks
    part: str

    def damage(self, memory: Memory) -> str | None:
        pages = self.checks.damaged_pages(memory)
        return damage(self.part, pages) if pages else None

    def check(self, memory: Memory, pages: Sequence[int], keys: Sequence[bytes]) -> None:
        self.checks.check(memory, pages, keys, self.part)


def table_names(record: Mapping[str, list[Any]]) -> set[str]:
    """Return the names of the tables in the manifest's record of checks."""
    return {checks[2] for checks in record.values() if checks[2]}


def _contradiction(memory: Memory, known: Checked, part: str) -> str | None:
    if memory.size != known.size:
        return _damage(part, f"{memory.store.where} has {memory.size} bytes instead of {known.size}")
    pages = list(known.differing(memory))
    return damage(part, pages) if pages else None


def _portions(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Group runs of bytes so that each group may be read at once."""
    portion: list[Run] = []
    length = 0
    for run in runs:
        for piece in host.pieces(*run):
            portion.append(piece)
            length += piece[1]
            if length >= _AT_ONCE:
                yield portion
                portion, length = [], 0
    if portion:
        yield portion

"""Verification of a snapshot: every byte is read and hashed again, and every difference is named.

A stored snapshot is read from the disk, by a `Repository` with nothing cached; one in memory is hashed from scratch and
compared with the tree that was updated with each change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sandbox.errors import StateCorrupt, StateError
from sandbox.memory import Image, Readable
from sandbox.pagestore.hash_tree import BLOCK, EMPTY, PAGES_PER_BLOCK, Node, changed_pages, page_keys
from sandbox.pagestore.memory_trees import tree, whole_pages
from sandbox.pagestore.stored_memory import Stored
from sandbox.state import SnapshotState
from sandbox.store import manifest
from sandbox.store.checksum import snapshot_checksum
from sandbox.store.manifest import Manifest
from sandbox.store.repository import Entry, Repository, codes, named_memories


@dataclass(frozen=True, slots=True)
class Difference:
    """A damaged part and why.

    `part`: `module`, `label`, `global 7`, `heap page 0x2c1` (pages of 64 KiB), ...; `why`: the contradiction.
    """

    part: str
    why: str


@dataclass(slots=True)
class Reading:
    """The progress of reading. `progress` is called with bytes done and bytes in all, zeros included; `read`: bytes
    actually read."""

    total: int = 0
    progress: Callable[[int, int], None] | None = None
    done: int = 0
    read: int = 0

    def reach(self, position: int, read: int = 0) -> None:
        """Note that everything before `position` is done, for which `read` more bytes were read."""
        self.done = position
        self.read += read
        if self.progress is not None:
            self.progress(position, self.total)


def extent(snapshot: SnapshotState) -> int:
    """Return the bytes of all memories: the `total` of reading a snapshot once."""
    return sum(content.size for _, content in named_memories(snapshot))


def in_memory(snapshot: SnapshotState, reading: Reading) -> Iterator[Difference]:
    """Yield the differences of the parts of a snapshot that are in memory."""
    own = None if snapshot.code is None else snapshot.code.hash
    for code in codes(snapshot):
        reading.reach(reading.done, len(code.submitted))
        if hashlib.sha256(code.submitted).digest() != code.hash:
            yield Difference(_module(code.hash, own), "its content contradicts its SHA-256")
    for name, content in named_memories(snapshot):
        start = reading.done
        shown = content.shown if isinstance(content, Stored) else content
        if shown is not None:
            yield from _recomputed(name, shown, reading)
        reading.reach(start + content.size)


def _recomputed(name: str, content: Readable, reading: Reading) -> Iterator[Difference]:
    try:
        if isinstance(content, Image):
            content.memory.verify()
        known, start = tree(content), reading.done
    except StateCorrupt as error:
        yield Difference(name, str(error))
        return

    def pieces() -> Iterator[tuple[int, bytes]]:
        for offset, data in content.pieces(whole_pages(content.extents(), content.size)):
            yield offset, data
            reading.reach(start + offset + len(data), len(data))

    recomputed = EMPTY.updated(content.size, *page_keys(pieces()))
    for page in dict.fromkeys(number // PAGES_PER_BLOCK for number in changed_pages(recomputed, known)):
        yield Difference(_page(name, page), "its bytes are not those that the checksum covers")


def on_disk(
    repository: Repository, entry: Entry, snapshot: SnapshotState | None, reading: Reading
) -> Iterator[Difference]:
    """Yield the differences of a stored snapshot, also from `snapshot` if given."""
    try:
        stored = repository.manifest(entry)
    except StateError as error:
        parts = manifest.contradictions(repository.manifest_file(entry), repository.module)
        yield from (Difference(part, str(error)) for part in parts or ["manifest"])
        return
    if snapshot is not None:
        for part in manifest.differing(snapshot, stored, repository.module):
            yield Difference(part, "the manifest says something else than the snapshot in use")
    modules = list(_modules(repository, stored, reading))
    yield from modules
    for name, size, key in stored.memories:
        start, top = reading.done, repository.content(size, key).tree.top
        if top is not None:
            yield from _Walk(repository, name, size, start, reading).below(top)
        reading.reach(start + size)
    if not modules and snapshot_checksum(repository.get(entry)) != stored.checksum:
        yield Difference("checksum", "it is not that of the parts")


def _modules(repository: Repository, stored: Manifest, reading: Reading) -> Iterator[Difference]:
    for digest in stored.modules:
        try:
            reading.reach(reading.done, len(repository.module(digest)))
        except StateCorrupt as error:
            yield Difference(_module(digest, stored.record["code"]), str(error))


@dataclass(frozen=True, slots=True)
class _Walk:
    """A walk through a stored memory, from its first byte to its last; `start`: its position in the reading."""

    repository: Repository
    name: str
    size: int
    start: int
    reading: Reading

    def below(self, node: Node, number: int = 0) -> Iterator[Difference]:
        """Yield the differences below a node whose first block is `number`; unreadable nodes do not hide the rest."""
        pages = node.span // PAGES_PER_BLOCK
        try:
            children = node.children if node.level > 1 else ()
            if node.level == 1:
                content = self.repository.objects.block(node)
                self.reading.reach(self.start + (number + 1) * BLOCK, len(content))
        except StateCorrupt as error:
            inside = -(-self.size // BLOCK) - number
            yield Difference(_page(self.name, number, min(pages, inside)), str(error))
            return
        for index, child in enumerate(children):
            if child is not None:
                yield from self.below(child, number + index * (pages // len(children)))


def _module(digest: bytes, own: bytes | None) -> str:
    return "module" if digest == own else f"chunk {digest.hex()}"


def _page(name: str, first: int, count: int = 1) -> str:
    return f"{name} page {first:#x}" if count == 1 else f"{name} pages {first:#x} to {first + count - 1:#x}"

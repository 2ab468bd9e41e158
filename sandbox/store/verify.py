"""Whether a snapshot is still what it was: every byte is read and hashed again, and what differs has a name.

What is kept on disk is read from the disk, by a `Repository` that knows nothing yet; what is in memory is hashed from
nothing and compared with the tree that was kept up to date from change to change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sandbox.errors import StateCorrupt, StateError
from sandbox.memory import Readable
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
    """`part`: `module`, `label`, `global 7`, `heap page 0x2c1` (pages of 64 KiB), ...; `why`: how it shows."""

    part: str
    why: str


@dataclass(slots=True)
class Reading:
    """How far it is: `progress` is told bytes done and bytes in all, zeros included. `read`: bytes that were read."""

    total: int = 0
    progress: Callable[[int, int], None] | None = None
    done: int = 0
    read: int = 0

    def reach(self, position: int, read: int = 0) -> None:
        """Everything before `position` is done, and so many bytes more were read."""
        self.done = position
        self.read += read
        if self.progress is not None:
            self.progress(position, self.total)


def extent(snapshot: SnapshotState) -> int:
    """Bytes of all memories, the `total` of reading it once."""
    return sum(content.size for _, content in named_memories(snapshot))


def in_memory(snapshot: SnapshotState, reading: Reading) -> Iterator[Difference]:
    """What differs of the parts of a snapshot that are in memory."""
    own = None if snapshot.code is None else snapshot.code.hash
    for code in codes(snapshot):
        reading.reach(reading.done, len(code.submitted))
        if hashlib.sha256(code.submitted).digest() != code.hash:
            yield Difference(_module(code.hash, own), "its SHA-256 is not what it was")
    for name, content in named_memories(snapshot):
        start = reading.done
        shown = content.shown if isinstance(content, Stored) else content
        if shown is not None:
            yield from _recomputed(name, shown, reading)
        reading.reach(start + content.size)


def _recomputed(name: str, content: Readable, reading: Reading) -> Iterator[Difference]:
    known, start = tree(content), reading.done

    def pieces() -> Iterator[tuple[int, bytes]]:
        for offset, data in content.pieces(whole_pages(content.extents(), content.size)):
            yield offset, data
            reading.reach(start + offset + len(data), len(data))

    found = EMPTY.updated(content.size, *page_keys(pieces()))
    for page in dict.fromkeys(number // PAGES_PER_BLOCK for number in changed_pages(found, known)):
        yield Difference(_page(name, page), "its bytes are not those that the checksum covers")


def on_disk(
    repository: Repository, entry: Entry, snapshot: SnapshotState | None, reading: Reading
) -> Iterator[Difference]:
    """What differs of a snapshot as it is kept, also from `snapshot` if that is given."""
    try:
        kept = repository.manifest(entry)
    except StateError as error:
        parts = manifest.contradictions(repository.manifest_file(entry), repository.module)
        yield from (Difference(part, str(error)) for part in parts or ["manifest"])
        return
    if snapshot is not None:
        for part in manifest.differing(snapshot, kept, repository.module):
            yield Difference(part, "the manifest says something else than the snapshot in use")
    modules = list(_modules(repository, kept, reading))
    yield from modules
    for name, size, key in kept.memories:
        start, top = reading.done, repository.content(size, key).tree.top
        if top is not None:
            yield from _Walk(repository, name, size, start, reading).below(top)
        reading.reach(start + size)
    if not modules and snapshot_checksum(repository.get(entry)) != kept.checksum:
        yield Difference("checksum", "it is not that of the parts")


def _modules(repository: Repository, kept: Manifest, reading: Reading) -> Iterator[Difference]:
    for digest in kept.modules:
        try:
            reading.reach(reading.done, len(repository.module(digest)))
        except StateCorrupt as error:
            yield Difference(_module(digest, kept.record["code"]), str(error))


@dataclass(frozen=True, slots=True)
class _Walk:
    """A memory that is kept, read from one end to the other; `start`: where it begins in the reading."""

    repository: Repository
    name: str
    size: int
    start: int
    reading: Reading

    def below(self, node: Node, number: int = 0) -> Iterator[Difference]:
        """What differs below a node whose first block is `number`. What cannot be read does not hide the rest."""
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

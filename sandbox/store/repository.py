"""Snapshots on disk: pages and modules are shared, files are write-once, a finished snapshot is not lost.

    packs/…             pages of memories, by content (`pagestore`)
    modules/SHA256      modules as submitted, and chunks of modules
    snapshots/ID-…      one manifest per snapshot: header, BLAKE3, CBOR; named by the snapshot's id and that BLAKE3

A snapshot is finished when its manifest has its name: packs and modules are on the disk before. Anything that no
manifest needs is garbage, which `prune` deletes. Unknown files whose content contradicts their names are left alone.
"""

from __future__ import annotations

import gc
import hashlib
import re
import weakref
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.errors import StateCorrupt, StateError, of_system
from sandbox.limits import SNAPSHOT_ID
from sandbox.memory import Image, Readable
from sandbox.memory.host import sync
from sandbox.pagestore.durable_files import DIGEST, TEMPORARY, write_durably
from sandbox.pagestore.hash_tree import EMPTY, Tree, stub
from sandbox.pagestore.ingest import Ingest
from sandbox.pagestore.memory_trees import forget
from sandbox.pagestore.objects import Objects
from sandbox.pagestore.prune import Pruned, prune
from sandbox.pagestore.stored_memory import Stored
from sandbox.principal import Principal
from sandbox.state import SnapshotState, WasmModule
from sandbox.store import manifest
from sandbox.store.checksum import snapshot_checksum
from sandbox.store.manifest import Manifest

_ENTRY = re.compile(r"((?:[0-9a-f]{2})+)-[0-9a-f]{64}")

Before = Callable[[Readable], Tree | None]
"""A function from the content of a memory to a stored tree that is probably similar, or None."""


def _unknown(_content: Readable) -> Tree | None:
    return None


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disable cyclic GC during ingest: many acyclic objects are allocated, and collections would dominate the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(frozen=True, slots=True)
class Entry:
    """A snapshot in a repository: `name` of its manifest."""

    id: bytes
    name: str


class Repository:
    """The snapshots in a directory, which is created if absent. Used by one process, or by any number with `read_only`.

    `packs`: the names of the packs that must be there, None if unknown.
    """

    def __init__(self, path: Path, packs: Iterable[str] | None = None, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        try:
            for name in () if read_only else ("modules", "snapshots"):
                (path / name).mkdir(parents=True, exist_ok=True)
            self.objects = Objects(path / "packs", packs, read_only=read_only)
        except OSError as error:
            of_system(error)
            raise StateError(f"{path} cannot be used as a repository: {error}") from error
        self._modules: dict[bytes, bytes] = {}
        self._held: weakref.WeakSet[Stored] = weakref.WeakSet()

    def unread(self) -> Repository:
        """Return a read-only repository of the same directory, with nothing cached."""
        return Repository(self.path, self.objects.names, read_only=True)

    # Writing

    def put(self, snapshots: Sequence[SnapshotState], before: Before = _unknown) -> list[Entry]:
        """Store snapshots; they are finished when it returns. Stored content is not written again, and of a memory with
        a tree `before` only the differences are visited. If stored content turns out to be damaged, the memories are
        written whole."""
        try:
            if not self._add(snapshots, before):
                self.objects.distrust()
                for content in (content for snapshot in snapshots for content in memories(snapshot)):
                    if isinstance(content, Image):
                        forget(content.memory)
                self._add(snapshots, _unknown)
            for snapshot in snapshots:
                for code in codes(snapshot):
                    self.keep_module(code)
            return [self._write(snapshot) for snapshot in snapshots]
        except OSError as error:
            of_system(error)
            raise StateError(f"{self.path} cannot keep the snapshots: {error}") from error

    def _add(self, snapshots: Sequence[SnapshotState], before: Before) -> bool:
        """Add the memories to the packs; return False if stored content turned out to be damaged: what was added may
        need it."""
        trusted, ingest = self.objects.complete, Ingest(self.objects)
        try:
            with _uncollected():
                for snapshot in snapshots:
                    for content in memories(snapshot):
                        self._keep(ingest, content, before)
                ingest.finish()
        except StateCorrupt:
            if self.objects.complete is trusted:
                raise
        finally:
            ingest.abandon()
        return self.objects.complete is trusted

    def _keep(self, ingest: Ingest, content: Readable, before: Before) -> None:
        if not (isinstance(content, Stored) and content.objects is self.objects):
            ingest.memory(content, before(content))

    def _write(self, snapshot: SnapshotState) -> Entry:
        record = manifest.encode(snapshot, snapshot_checksum(snapshot))
        content, digest = manifest.dump(record)
        entry = Entry(snapshot.id, f"{snapshot.id.hex()}-{digest.hex()}")
        file = self.path / "snapshots" / entry.name
        self._put(file, content)
        return entry

    @staticmethod
    def _put(file: Path, content: bytes) -> None:
        """Write a file unless it has this content already."""
        if not file.exists() or file.read_bytes() != content:
            write_durably(file, content)

    def keep_module(self, code: WasmModule) -> None:
        """Store a module, or a chunk of one, under its SHA-256."""
        if code.hash not in self._modules:
            self._put(self._module_file(code.hash), code.submitted)
        self._modules[code.hash] = code.submitted

    @contextmanager
    def arriving(self) -> Iterator[Ingest]:
        """Store memories before any snapshot has them (`IngestStream`); they are on the disk when the block ends."""
        ingest = Ingest(self.objects)
        try:
            yield ingest
            ingest.finish()
        except OSError as error:
            of_system(error)
            raise StateError(f"{self.path} cannot keep what arrives: {error}") from error
        finally:
            ingest.abandon()

    # Reading

    def entries(self) -> list[Entry]:
        """Return all finished snapshots, by name. Files with other names or other content are ignored."""
        named = [(match, file) for file in self._files("snapshots") if (match := _ENTRY.fullmatch(file.name))]
        return [Entry(bytes.fromhex(match[1]), file.name) for match, file in named if manifest.is_manifest(file)]

    def _files(self, folder: str) -> list[Path]:
        directory = self.path / folder
        return sorted(directory.iterdir()) if directory.exists() else []

    def manifest(self, entry: Entry) -> Manifest:
        """Read and check the manifest of a snapshot."""
        return manifest.load(self.manifest_file(entry), self.module)

    def manifest_file(self, entry: Entry) -> Path:
        """Return the path of a snapshot's manifest."""
        return self.path / "snapshots" / entry.name

    def get(self, entry: Entry) -> SnapshotState:
        """Load a snapshot; its memories are read from the packs, and checked, on use."""
        return manifest.decode(self.manifest(entry), self.content, self.module)

    def damaged(self, entry: Entry, why: str) -> SnapshotState:
        """Return a placeholder for a snapshot that cannot be read: empty, with the damage `why`."""
        nothing = self.stored(EMPTY)
        canister_id = Principal(entry.id[SNAPSHOT_ID:])
        return SnapshotState(
            entry.id, canister_id, None, 0, 0, None, b"", nothing, nothing, b"", global_timer=None, damage=why
        )

    def content(self, size: int, key: bytes) -> Stored:
        """Return a stored memory by its size in bytes and the key of its top node."""
        return self.stored(Tree(stub(key, self.objects.keys), size))

    def stored(self, known: Tree) -> Stored:
        """Return a stored memory by its tree. While the object lives, pruning keeps its pages."""
        stored = Stored(known, self.objects)
        self._held.add(stored)
        return stored

    def module(self, digest: bytes) -> bytes:
        """Return a module or a chunk by its SHA-256; `StateCorrupt` if it is missing or damaged."""
        known = self._modules.get(digest)
        if known is None:
            file = self._module_file(digest)
            try:
                known = file.read_bytes()
            except OSError as error:
                of_system(error)
                raise StateCorrupt(f"the module {file} cannot be read: {error}") from error
            if hashlib.sha256(known).digest() != digest:
                raise StateCorrupt(f"the module {file} contradicts its name, which is its SHA-256")
            self._modules[digest] = known
        return known

    def _module_file(self, digest: bytes) -> Path:
        return self.path / "modules" / digest.hex()

    # Deleting

    def keep_only(self, entries: Iterable[Entry], known: Container[str] = ()) -> int:
        """Delete the manifests of all other snapshots and return their number; `prune` gives the space back. Leftovers
        of interrupted writes are deleted too; other files stay, unless `known` names them."""
        names = {entry.name for entry in entries}
        gone = [file for file in self._files("snapshots") if file.name not in names and _is_snapshot(file, known)]
        for file in gone:
            file.unlink()
        if gone:
            sync(self.path / "snapshots")
        return len(gone)

    def prune(
        self, needed: Iterable[bytes] = (), modules: Container[str] = (), entries: Iterable[Entry] = ()
    ) -> Pruned:
        """Delete what no snapshot and no live `Stored` needs; trees with the keys `needed`, and `modules` by the
        hexadecimal text of their SHA-256, stay too. `StateCorrupt`, and nothing is deleted, if something that a
        snapshot needs cannot be read, including one of `entries` that is missing."""
        manifests = [self.manifest(entry) for entry in dict.fromkeys([*entries, *self.entries()])]
        keys = [key for each in manifests for key in each.memory_keys]
        done = prune(self.objects, [*keys, *(stored.tree.key for stored in list(self._held)), *needed])
        used = {digest.hex() for each in manifests for digest in each.modules}
        unused = (file for file in self._files("modules") if not (file.name in used or file.name in modules))
        gone = [file for file in unused if _is_module(file)]
        freed = sum(file.stat().st_size for file in gone)
        for file in gone:
            file.unlink()
            self._modules.pop(bytes.fromhex(file.name), None)
        return replace(done, modules=len(gone), module_bytes=freed)


def _is_snapshot(file: Path, known: Container[str]) -> bool:
    """Return whether a file is the manifest of a snapshot, or the leftover of writing one."""
    if not _ENTRY.fullmatch(file.name):
        return _ENTRY.fullmatch(file.name.removeprefix(TEMPORARY)) is not None
    return file.name in known or manifest.is_manifest(file)


def _is_module(file: Path) -> bool:
    """Return whether the file's name is the SHA-256 of its content."""
    return DIGEST.fullmatch(file.name) is not None and hashlib.sha256(file.read_bytes()).hexdigest() == file.name


def memories(snapshot: SnapshotState) -> list[Readable]:
    """Return the memories of a snapshot: the contents that are stored by pages."""
    return [content for _, content in named_memories(snapshot)]


def named_memories(snapshot: SnapshotState) -> list[tuple[str, Readable]]:
    """Return the memories of a snapshot with their names, including the module of an upload."""
    upload = snapshot.upload
    contents = [("heap", snapshot.heap), ("stable", snapshot.stable)]
    return contents if upload is None else [("module", upload.module), *contents]


def codes(snapshot: SnapshotState) -> list[WasmModule]:
    """Return the module and the chunks of modules of a snapshot: the contents that are stored by SHA-256."""
    code = [] if snapshot.code is None else [snapshot.code]
    return code + [WasmModule(chunk, digest) for digest, chunk in snapshot.chunks.items()]

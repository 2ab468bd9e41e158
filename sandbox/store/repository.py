"""Snapshots on disk: what they hold is shared, what was written stays, what is finished is not lost.

    packs/…             pages of memories, by content (`objects.py`)
    modules/SHA256      modules as submitted, and chunks of modules
    snapshots/ID-…      one manifest per snapshot: header, BLAKE3, CBOR; named by the snapshot's id and that BLAKE3

A snapshot is finished when its manifest has its name: packs and modules are on the disk before. Anything that no
manifest needs is garbage, which `prune` gives back. Files that are not as their names say, and are not known, stay.
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
from sandbox.memory import Readable
from sandbox.memory.host import sync
from sandbox.pagestore.durable_files import DIGEST, TEMPORARY, write_durably
from sandbox.pagestore.hash_tree import EMPTY, Tree, stub
from sandbox.pagestore.ingest import Ingest
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
"""For the content of a memory a tree that is kept already and probably similar."""


def _unknown(_content: Readable) -> Tree | None:
    return None


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector: it would look again and again at all that is made meanwhile, which has no cycles."""
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
    """The snapshots in a directory; made if absent. One process at a time may use it, or any number with `read_only`.

    `packs`: the names of the packs that should be there, where that is known.
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
        """The same directory, of which nothing has been read yet, to be read only."""
        return Repository(self.path, self.objects.names, read_only=True)

    # Writing

    def put(self, snapshots: Sequence[SnapshotState], before: Before = _unknown) -> list[Entry]:
        """Keep snapshots; when it returns they are finished. What is here already is not written again, and of a memory
        with a tree `before` only what has changed is looked at."""
        addition = Ingest(self.objects)
        try:
            with _uncollected():
                for snapshot in snapshots:
                    for content in memories(snapshot):
                        self._keep(addition, content, before)
                addition.finish()
            for snapshot in snapshots:
                for code in codes(snapshot):
                    self.keep_module(code)
            return [self._write(snapshot) for snapshot in snapshots]
        except OSError as error:
            of_system(error)
            raise StateError(f"{self.path} cannot keep the snapshots: {error}") from error
        finally:
            addition.abandon()

    def _keep(self, addition: Ingest, content: Readable, before: Before) -> None:
        if not (isinstance(content, Stored) and content.objects is self.objects):
            addition.memory(content, before(content))

    def _write(self, snapshot: SnapshotState) -> Entry:
        record = manifest.encode(snapshot, snapshot_checksum(snapshot))
        content, digest = manifest.dump(record)
        entry = Entry(snapshot.id, f"{snapshot.id.hex()}-{digest.hex()}")
        file = self.path / "snapshots" / entry.name
        self._put(file, content)
        return entry

    @staticmethod
    def _put(file: Path, content: bytes) -> None:
        """Write a file, unless it is there as it should be."""
        if not file.exists() or file.read_bytes() != content:
            write_durably(file, content)

    def keep_module(self, code: WasmModule) -> None:
        """Keep a module, or a chunk of one, by its SHA-256."""
        if code.hash not in self._modules:
            self._put(self._module_file(code.hash), code.submitted)
        self._modules[code.hash] = code.submitted

    @contextmanager
    def arriving(self) -> Iterator[Ingest]:
        """Where memories can be kept before any snapshot has them (`Arrival`); finished at the end."""
        addition = Ingest(self.objects)
        try:
            yield addition
            addition.finish()
        except OSError as error:
            of_system(error)
            raise StateError(f"{self.path} cannot keep what arrives: {error}") from error
        finally:
            addition.abandon()

    # Reading

    def entries(self) -> list[Entry]:
        """All finished snapshots, by name. What has another kind of name, or is another kind of file, is none."""
        named = [(found, file) for file in self._files("snapshots") if (found := _ENTRY.fullmatch(file.name))]
        return [Entry(bytes.fromhex(found[1]), file.name) for found, file in named if manifest.is_manifest(file)]

    def _files(self, folder: str) -> list[Path]:
        directory = self.path / folder
        return sorted(directory.iterdir()) if directory.exists() else []

    def manifest(self, entry: Entry) -> Manifest:
        """The manifest of a snapshot, checked."""
        return manifest.load(self.manifest_file(entry), self.module)

    def manifest_file(self, entry: Entry) -> Path:
        """Where the manifest of a snapshot is."""
        return self.path / "snapshots" / entry.name

    def get(self, entry: Entry) -> SnapshotState:
        """The snapshot; its memories are read from the packs when they are asked for, and checked then."""
        return manifest.decode(self.manifest(entry), self.content, self.module)

    def damaged(self, entry: Entry, why: str) -> SnapshotState:
        """What stands for a snapshot that cannot be read."""
        nothing = self.stored(EMPTY)
        canister_id = Principal(entry.id[SNAPSHOT_ID:])
        return SnapshotState(
            entry.id, canister_id, None, 0, 0, None, b"", nothing, nothing, b"", global_timer=None, damage=why
        )

    def content(self, size: int, key: bytes) -> Stored:
        """A memory that is kept here, by its size and the key of its top node."""
        return self.stored(Tree(stub(key, self.objects.keys), size))

    def stored(self, known: Tree) -> Stored:
        """A memory that is kept here; while anybody holds it, pruning leaves it alone."""
        stored = Stored(known, self.objects)
        self._held.add(stored)
        return stored

    def module(self, digest: bytes) -> bytes:
        """A module or a chunk by its SHA-256."""
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
        """Forget all other snapshots; returns how many. Their space comes back with `prune`. What an interrupted write
        left goes too; other files stay, unless `known` names them."""
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
        """Give back the space of what no snapshot needs and nobody holds; trees with the keys `needed`, and `modules`
        by the hexadecimal text of their SHA-256, stay too. `StateCorrupt`, and nothing is gone, if what a snapshot
        needs cannot be read, also one of `entries` that is missing."""
        manifests = [self.manifest(entry) for entry in dict.fromkeys([*entries, *self.entries()])]
        keys = [key for found in manifests for key in found.memory_keys]
        done = prune(self.objects, [*keys, *(stored.tree.key for stored in list(self._held)), *needed])
        used = {digest.hex() for found in manifests for digest in found.modules}
        unused = (file for file in self._files("modules") if not (file.name in used or file.name in modules))
        gone = [file for file in unused if _is_module(file)]
        freed = sum(file.stat().st_size for file in gone)
        for file in gone:
            file.unlink()
            self._modules.pop(bytes.fromhex(file.name), None)
        return replace(done, modules=len(gone), module_bytes=freed)


def _is_snapshot(file: Path, known: Container[str]) -> bool:
    """Whether this is the manifest of a snapshot, or what is left of writing one."""
    if not _ENTRY.fullmatch(file.name):
        return _ENTRY.fullmatch(file.name.removeprefix(TEMPORARY)) is not None
    return file.name in known or manifest.is_manifest(file)


def _is_module(file: Path) -> bool:
    """Whether the file holds what its name says."""
    return DIGEST.fullmatch(file.name) is not None and hashlib.sha256(file.read_bytes()).hexdigest() == file.name


def memories(snapshot: SnapshotState) -> list[Readable]:
    """The contents of a snapshot that are kept by pages."""
    return [content for _, content in named_memories(snapshot)]


def named_memories(snapshot: SnapshotState) -> list[tuple[str, Readable]]:
    """The same with their names; the module is among them where it was uploaded."""
    upload = snapshot.upload
    found = [("heap", snapshot.heap), ("stable", snapshot.stable)]
    return found if upload is None else [("module", upload.module), *found]


def codes(snapshot: SnapshotState) -> list[WasmModule]:
    """Modules and chunks of modules: what is kept by its SHA-256."""
    found = [] if snapshot.code is None else [snapshot.code]
    return found + [WasmModule(chunk, digest) for digest, chunk in snapshot.chunks.items()]

"""The content of a snapshot, in the same form for one in the sandbox, in a file or in a directory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any, Self

from sandbox.errors import SnapshotFileCorrupt
from sandbox.limits import MIB
from sandbox.management.load_parts import Globals, snapshot_globals
from sandbox.memory import Readable, Run, host
from sandbox.pagestore.hash_tree import EMPTY, PAGE, Tree, page_keys
from sandbox.pagestore.memory_trees import tree, whole_pages
from sandbox.principal import Principal
from sandbox.snapshots.portable.history import History, history_of
from sandbox.state import SnapshotState
from sandbox.state.snapshot import TAKEN

Progress = Callable[[int, int], None]
"""A callback with the bytes done and the bytes in all, without zeros; an exception in it ends the transfer."""


class ContentPart(ABC):
    """Bytes read in place, with the interface of a memory's image (`Readable`)."""

    size: int
    """In bytes."""

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes [offset, offset + length); ValueError if they are not all inside."""

    @abstractmethod
    def extents(self) -> list[Run]:
        """Return ascending runs of bytes that may hold data; everything else is zero."""

    def pieces(self, runs: Iterable[Run]) -> Iterator[tuple[int, bytes]]:
        """Yield the bytes of ascending runs, as (offset, bytes) of at most 1 MiB each."""
        for run in runs:
            for offset, length in host.pieces(*run, MIB):
                yield offset, self.read(offset, length)


@tree.register
def _(content: ContentPart) -> Tree:
    """Return the tree of a part of a file; reads all of it."""
    runs = whole_pages(content.extents(), -(-content.size // PAGE) * PAGE)
    numbers, keys = page_keys(
        (offset, _padded(content, offset, length)) for run in runs for offset, length in host.pieces(*run)
    )
    return EMPTY.updated(content.size, numbers, keys)


def _padded(content: ContentPart, offset: int, length: int) -> bytes:
    return content.read(offset, min(length, content.size - offset)).ljust(length, b"\0")


class Blob(ContentPart):
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        check_range(self, offset, length)
        return self.data[offset : offset + length]

    def extents(self) -> list[Run]:
        return [(0, len(self.data))] if self.data else []


class Clipped(ContentPart):
    """The first `size` bytes of an image."""

    def __init__(self, image: Readable, size: int) -> None:
        self._image = image
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        check_range(self, offset, length)
        return self._image.read(offset, length)

    def extents(self) -> list[Run]:
        clipped = ((start, min(length, self.size - start)) for start, length in self._image.extents())
        return [run for run in clipped if run[1] > 0]


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a snapshot: everything except bytes. `id`, `canister_id`, `label`, `checksum`: None if unknown.

    `source`: `taken_from_canister` or `metadata_upload`. `globals`: type letters and bits, in the order of
    `read_canister_snapshot_metadata`. `global_timer`: nanoseconds, 0 for inactive, None if unknown. `checksum`: the
    sandbox's own, of the snapshot that was written. `via_hooks`: only stable memory, as the canister's hook left it;
    heap and globals are empty. `history`: the edits it was derived by, oldest first. `extra`: fields of a later
    version that this one does not know.
    """

    taken_at: int
    canister_version: int
    globals: Globals
    certified_data: bytes
    source: str = TAKEN
    global_timer: int | None = None
    low_memory_hook: str | None = None
    id: bytes | None = None
    canister_id: Principal | None = None
    label: str | None = None
    checksum: bytes | None = None
    via_hooks: bool = False
    history: History = ()
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Content:
    """A snapshot to be read. Bytes are loaded on use; use it in a `with`, which closes files.

    `where`: its place, for errors. `chunks`: the Wasm chunk store by SHA-256. `sums`: the expected checksums
    (`extras.Sums`) of the parts whose bytes are not checked on every read.
    """

    where: str
    fields: Fields
    module: Readable
    heap: Readable
    stable: Readable
    chunks: Mapping[bytes, Readable] = field(default_factory=dict)
    sums: Mapping[str, str] = field(default_factory=dict)

    def parts(self) -> dict[str, Readable]:
        """Return all parts by name, in the order of writing: `module`, `chunk:HEX`..., `heap`, `stable`."""
        chunks = {f"chunk:{digest.hex()}": self.chunks[digest] for digest in sorted(self.chunks)}
        return {"module": self.module, **chunks, "heap": self.heap, "stable": self.stable}

    def place(self, part: str) -> str:
        """Return the place of a part, for errors."""
        return f"{self.where}: {part}"

    def close(self) -> None:
        """Close the files; reading fails from now on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def of_state(snapshot: SnapshotState, checksum: bytes | None = None) -> Content:
    """Return the content of a snapshot of the sandbox, whose memories must stay open meanwhile."""
    upload = snapshot.upload
    code = snapshot.code
    assert upload is not None or code is not None
    fields = Fields(
        id=snapshot.id,
        canister_id=snapshot.canister_id,
        label=snapshot.label,
        taken_at=snapshot.taken_at,
        canister_version=snapshot.canister_version,
        source=snapshot.source,
        globals=snapshot_globals(snapshot),
        certified_data=snapshot.certified_data,
        global_timer=snapshot.global_timer,
        low_memory_hook=snapshot.low_memory_hook,
        checksum=checksum,
        via_hooks=snapshot.via_hooks,
        history=history_of(snapshot.derived),
    )
    module: ContentPart = Blob(code.submitted) if code is not None else Blob(b"")
    if upload is not None:
        module = Clipped(upload.module, upload.module_size)
    chunks = {digest: Blob(chunk) for digest, chunk in snapshot.chunks.items()}
    where = f"snapshot {snapshot.id.hex()}"
    return Content(where, fields, module, snapshot.heap, snapshot.stable, chunks)


def whole(source: Readable) -> bytes:
    """Read all bytes of a part, which must be small."""
    return source.read(0, source.size)


def check_range(source: Readable, offset: int, length: int) -> None:
    """Raise ValueError unless the range lies inside."""
    if offset < 0 or length < 0 or offset + length > source.size:
        raise ValueError(f"{length} bytes at {offset} are not inside {source.size} bytes")


def corrupt(where: object, what: str) -> SnapshotFileCorrupt:
    """Return the error for a file that contradicts itself."""
    return SnapshotFileCorrupt(f"{where}: {what}")

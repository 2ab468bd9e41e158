"""Pages of memories by what they contain: kept once, however many snapshots and canisters hold them.

What is kept: nodes of hash trees (`tree.py`) and the bytes below them. A block of 64 KiB is kept whole, or, where at
most half of its pages differ from a block that is kept whole, as those pages alone: scattered changes cost their own
bytes. A node that is here has everything below it here as well.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from blake3 import blake3

from sandbox.errors import StateCorrupt, StateError
from sandbox.memory.host import sync
from sandbox.pagestore.durable_files import DIGEST, write_durably
from sandbox.pagestore.hash_tree import (
    BLOCK,
    FANOUT,
    KEY,
    PAGE,
    PAGES_PER_BLOCK,
    ZERO,
    ZERO_PAGE,
    Node,
    node_key,
    page_key,
)
from sandbox.pagestore.pack import KINDS, Pack, Place, is_pack
from sandbox.pagestore.pack_writer import FAST, PackWriter

_CACHED: Final = 64
"""Frames that stay decompressed."""
WHOLE_BLOCK: Final = b"\1"
BRANCH: Final = b"\2"
_MASK: Final = 8
_SHIFT: Final = 32
_NUMBER: Final = (1 << _SHIFT) - 1


class Index:
    """Where objects are. For each kind of them by key: number of the pack, and in the 32 bits below number among those
    of its kind there (numbers are cheaper than tuples, and there are many). `bases`: on which blocks `delta`s stand."""

    def __init__(self) -> None:
        self.places: dict[str, dict[bytes, int]] = {kind: {} for kind in KINDS}
        self.bases: dict[bytes, bytes] = {}

    def add(self, pack: Pack, number: int) -> None:
        """What is in a pack."""
        first = number << _SHIFT
        for kind, found in self.places.items():
            keys = pack.columns[kind].keys
            found.update(zip(keys, range(first, first + len(keys)), strict=True))
        deltas = pack.columns["delta"]
        self.bases.update(zip(deltas.keys, deltas.bases, strict=True))

    def __contains__(self, key: bytes) -> bool:
        """Whether a node is there."""
        return key in self.places["node"] or key in self.places["delta"]


class Objects:
    """The packs of a directory. One process at a time, or any number with `read_only`.

    A pack that should be there, by `names` or because it is there, and whose index cannot be read (`torn`) is as if it
    were not there. Then nobody knows what the others need of it, and what is added stands only on what has been added
    since; pruning, where nothing needed is in it, mends that. Files that are no packs stay.
    """

    def __init__(self, directory: Path, names: Iterable[str] | None = None, *, read_only: bool = False) -> None:
        self.directory = directory
        self._read_only = read_only
        self._gone = directory / ".gone"
        if not read_only:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / ".new").unlink(missing_ok=True)
        going = self._finish_deleting()
        self._names = {path.name for path in _present(directory)} if names is None else set(names)
        self._names -= going
        self.torn: dict[Path, StateCorrupt] = {}
        self._packs: list[Pack] | None = None
        self._index = self._complete = Index()
        self._frames: OrderedDict[tuple[Path, int], bytes] = OrderedDict()

    @property
    def packs(self) -> list[Pack]:
        """All packs; their indexes are read when something is looked up for the first time."""
        if self._packs is None:
            self._packs = []
            expected = {self.directory / name for name in self._names}
            for path in sorted({*_present(self.directory), *expected}):
                if path in expected or is_pack(path):
                    try:
                        self.admit(Pack.at(path))
                    except StateCorrupt as error:
                        self.torn[path] = error
            if self.torn:
                self._complete = Index()
        return self._packs

    @property
    def names(self) -> list[str]:
        """The names of the packs that should be there."""
        return sorted(self._names)

    def admit(self, pack: Pack) -> None:
        """One more pack is there."""
        number = len(self.packs)
        self.packs.append(pack)
        self._names.add(pack.path.name)
        self.torn.pop(pack.path, None)  # what is written again has the name that it had
        self._index.add(pack, number)
        if self._complete is not self._index:
            self._complete.add(pack, number)

    @property
    def complete(self) -> Index:
        """What is here with everything that it needs, as it is at any time."""
        assert self.packs is not None  # read
        return self._complete

    def find(self, kind: str, key: bytes) -> Place | None:
        """Where an object (`node`, `block`, `page`) is, if it is here."""
        packs, places = self.packs, self._index.places
        number = places[kind].get(key)
        if number is None and kind == "node":
            kind, number = "delta", places["delta"].get(key)
        return None if number is None else packs[number >> _SHIFT].place(kind, number & _NUMBER)

    def base(self, key: bytes) -> bytes | None:
        """The block on which the node of a block stands, None if that is kept whole."""
        return None if not self.packs or key in self._index.places["node"] else self._index.bases.get(key)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        paths = [*(pack.path for pack in self.packs), *self.torn]
        return sum(path.stat().st_size for path in paths if path.exists())

    def replace(self, gone: list[Pack], instead: Pack | None) -> None:
        """Delete packs, all of them or none; what else is here, with the new pack `instead`, must not need them."""
        names = {pack.path.name for pack in gone}
        names |= {path.name for path in self.torn if path.exists() and is_pack(path)}
        if instead is not None:
            names.discard(instead.path.name)  # written by a pruning that was interrupted
        if names:
            write_durably(self._gone, "\n".join(sorted(names)).encode())
        kept = [pack for pack in self.packs if pack not in gone]
        self._packs = []
        self._index = self._complete = Index()
        self._frames.clear()
        self.torn.clear()
        self._names.clear()
        for pack in kept if instead is None else [*kept, instead]:
            self.admit(pack)
        self._finish_deleting()

    def _finish_deleting(self) -> set[str]:
        """What is left of the packs that are to be deleted goes: their nodes stand on each other. Their names."""
        if not self._gone.exists():
            return set()
        names = {name for name in self._gone.read_text("latin-1").split() if DIGEST.fullmatch(name)}
        if not self._read_only:
            for name in names:
                (self.directory / name).unlink(missing_ok=True)
            sync(self.directory)
            self._gone.unlink()
        return names

    # Reading

    def __contains__(self, key: bytes) -> bool:
        """Whether the node with this key, and all that is below it, is here."""
        return key == ZERO or key in self.complete

    def keys(self, key: bytes) -> bytes:
        """The keys below a node; `StateCorrupt` if it is not here or is not what it was."""
        content, base = self._read("node", key), self.base(key)
        if base is not None:
            whole = _merged(content, bytearray(self.keys(base)))
        else:
            size = PAGES_PER_BLOCK if content[:1] == WHOLE_BLOCK else FANOUT
            whole = _merged(content[1:], bytearray(size * KEY))
        if whole is None or node_key(whole) != key:
            raise self._corrupt("node", key)
        return bytes(whole)

    def block(self, node: Node) -> bytes:
        """The 64 KiB below a node of level 1, every page checked by its key."""
        base, keys = self.base(node.key), node.keys
        if base is None:
            return self._whole(node.key, keys)
        below = self.keys(base)
        content = self._whole(base, below) if self._shares(keys, below) else b""
        parts = []
        for at in range(0, KEY * PAGES_PER_BLOCK, KEY):
            key = keys[at : at + KEY]
            if key == ZERO:
                parts.append(ZERO_PAGE)
            elif key == below[at : at + KEY]:
                parts.append(content[at // KEY * PAGE : (at // KEY + 1) * PAGE])
            else:
                parts.append(self._page(key))
        return b"".join(parts)

    @staticmethod
    def _shares(keys: bytes, below: bytes) -> bool:
        return any(keys[at : at + KEY] == below[at : at + KEY] != ZERO for at in range(0, KEY * PAGES_PER_BLOCK, KEY))

    def _whole(self, key: bytes, keys: bytes) -> bytes:
        content = self._read("block", key)
        if ZERO not in keys and len(content) == BLOCK:
            view = memoryview(content)
            found = b"".join([blake3(view[at : at + PAGE]).digest() for at in range(0, BLOCK, PAGE)])
            if found != keys:
                raise self._corrupt("block", key)
            return content
        at, parts = 0, []
        for start in range(0, KEY * PAGES_PER_BLOCK, KEY):
            wanted = keys[start : start + KEY]
            if wanted == ZERO:
                parts.append(ZERO_PAGE)
                continue
            page = content[at : at + PAGE]
            if page_key(page) != wanted:
                raise self._corrupt("block", key)
            parts.append(page)
            at += PAGE
        if at != len(content):
            raise self._corrupt("block", key)
        return b"".join(parts)

    def _page(self, key: bytes) -> bytes:
        page = self._read("page", key)
        if len(page) != PAGE or page_key(page) != key:
            raise self._corrupt("page", key)
        return page

    def _read(self, kind: str, key: bytes) -> bytes:
        place = self.find(kind, key)
        if place is None:
            raise self.missing(kind, key)
        pack, number, offset, length = place
        content = self._frame(pack, number)[offset : offset + length]
        if len(content) != length:
            raise self._corrupt(kind, key)
        return content

    def _frame(self, pack: Pack, number: int) -> bytes:
        where = pack.path, number
        frame = self._frames.get(where)
        if frame is not None:
            self._frames.move_to_end(where)
            return frame
        frame = self._frames[where] = pack.frame(number)
        while len(self._frames) > _CACHED:
            self._frames.popitem(last=False)
        return frame

    def missing(self, kind: str, key: bytes) -> StateCorrupt:
        """For an object that is not here."""
        torn = "".join(f"; {error}" for error in self.torn.values())
        return StateCorrupt(f"the {kind} {key.hex()} is in none of the packs of {self.directory}{torn}")

    def _corrupt(self, kind: str, key: bytes) -> StateCorrupt:
        place = self.find(kind, key)
        assert place is not None
        return StateCorrupt(f"the {kind} {key.hex()} in the pack {place[0].path} is not what it was")

    # Writing

    def writer(self, level: int = FAST) -> PackWriter:
        """For one more pack; what it wrote is here when that is admitted."""
        if self._read_only:
            raise StateError(f"{self.directory} was opened read-only, and nothing can be kept there")
        self._finish_deleting()  # a new pack may have the name of one that has gone
        return PackWriter(self.directory, level)

    def copy(self, writer: PackWriter, kind: str, key: bytes) -> None:
        """Add an object to a pack as it is here."""
        base = self.base(key) if kind == "node" else None
        writer.add(kind if base is None else "delta", [key], [self._read(kind, key)], [base] if base else ())


def _present(directory: Path) -> list[Path]:
    """The files that have the name of a pack."""
    return [path for path in directory.iterdir() if DIGEST.fullmatch(path.name)] if directory.exists() else []


def packed(keys: bytes) -> bytes:
    """A mask of the keys that are not zero (8 bytes), and these keys."""
    if ZERO not in keys:
        return all_of(keys)
    return chosen(keys, [slot for slot in range(len(keys) // KEY) if keys[slot * KEY : slot * KEY + KEY] != ZERO])


def all_of(keys: bytes) -> bytes:
    """A mask of all keys, and all of them."""
    return ((1 << len(keys) // KEY) - 1).to_bytes(_MASK, "little") + keys


def chosen(keys: bytes, slots: Iterable[int]) -> bytes:
    """A mask of these slots, and the keys in them."""
    mask, parts = 0, []
    for slot in slots:
        mask |= 1 << slot
        parts.append(keys[slot * KEY : slot * KEY + KEY])
    return mask.to_bytes(_MASK, "little") + b"".join(parts)


def _merged(content: bytes, keys: bytearray) -> bytearray | None:
    """The keys, after those that `chosen` told were put in their places; None if that is torn."""
    mask, at = int.from_bytes(content[:_MASK], "little"), _MASK
    if len(content) == _MASK + len(keys) and mask == (1 << len(keys) // KEY) - 1:
        return bytearray(content[_MASK:])
    for slot in range(len(keys) // KEY):
        if mask >> slot & 1:
            keys[slot * KEY : slot * KEY + KEY] = content[at : at + KEY]
            at += KEY
    return keys if at == len(content) and len(keys) % KEY == 0 else None

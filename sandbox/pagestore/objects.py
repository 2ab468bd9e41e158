"""Pages of memories by their content: each is stored once, however many memories share it.

Stored are the nodes of hash trees (`hash_tree`) and the bytes below them. A block of 64 KiB is stored whole, or, where
at most half of its pages differ from a block that is stored whole, as those pages alone: scattered changes cost their
own bytes. A stored node has everything below it stored as well.
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
    """The index of all packs: for each kind of object, by key, the number of the pack, and in the low 32 bits the
    number of the object among its kind there (integers are cheaper than tuples). `bases`: the base block of each
    `delta`."""

    def __init__(self) -> None:
        self.places: dict[str, dict[bytes, int]] = {kind: {} for kind in KINDS}
        self.bases: dict[bytes, bytes] = {}

    def add(self, pack: Pack, number: int) -> None:
        """Add the objects of a pack, in place of older copies of them, which may be damaged."""
        first = number << _SHIFT
        for kind, places in self.places.items():
            keys = pack.columns[kind].keys
            places.update(zip(keys, range(first, first + len(keys)), strict=True))
        deltas, nodes = pack.columns["delta"], self.places["node"]
        for key in nodes.keys() & deltas.keys:
            del nodes[key]
        for key in self.places["delta"].keys() & pack.columns["node"].keys:
            del self.places["delta"][key]
        self.bases.update(zip(deltas.keys, deltas.bases, strict=True))

    def __contains__(self, key: bytes) -> bool:
        """Return whether a node is stored."""
        return key in self.places["node"] or key in self.places["delta"]


class Objects:
    """The packs of a directory. Used by one process, or by any number with `read_only`.

    A pack that is there, or should be by `names`, but whose index cannot be read (`torn`), counts as missing. What the
    other packs need of it is then unknown, so additions rely only on what has been added since; pruning repairs this if
    nothing needed was in it. From the moment that damage is met, it is the same: what is added from then on needs
    nothing older, and is read instead of older copies. Files that are not packs are left alone.

    `names`: from the oldest to the newest.
    """

    def __init__(self, directory: Path, names: Iterable[str] | None = None, *, read_only: bool = False) -> None:
        self.directory = directory
        self._read_only = read_only
        self._gone = directory / ".gone"
        if not read_only:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / ".new").unlink(missing_ok=True)
        going = self._finish_deleting()
        known = sorted(path.name for path in _present(directory)) if names is None else names
        self._names = dict.fromkeys(name for name in known if name not in going)
        self.torn: dict[Path, StateCorrupt] = {}
        self._packs: list[Pack] | None = None
        self._index = self._complete = Index()
        self._frames: OrderedDict[tuple[Path, int], bytes] = OrderedDict()

    @property
    def packs(self) -> list[Pack]:
        """All packs; their indexes are read when something is looked up for the first time."""
        if self._packs is None:
            self._packs = []
            expected = [self.directory / name for name in self._names]
            others = sorted(path for path in _present(self.directory) if path.name not in self._names)
            for path in [*expected, *others]:
                if path.name in self._names or is_pack(path):
                    try:
                        self.admit(Pack.at(path))
                    except StateCorrupt as error:
                        self.torn[path] = error
            if self.torn:
                self._complete = Index()
        return self._packs

    @property
    def names(self) -> list[str]:
        """The names of the packs that should be there, from the oldest to the newest."""
        return list(self._names)

    def admit(self, pack: Pack) -> None:
        """Add a finished pack."""
        number = len(self.packs)
        self.packs.append(pack)
        self._names.setdefault(pack.path.name)
        self.torn.pop(pack.path, None)  # a pack written again has the same name
        self._index.add(pack, number)
        if self._complete is not self._index:
            self._complete.add(pack, number)

    @property
    def complete(self) -> Index:
        """The index of objects that are stored with everything they need; it is updated in place."""
        assert self.packs is not None  # read
        return self._complete

    def distrust(self) -> None:
        """Rely on nothing that is stored so far."""
        self._complete = Index()

    def find(self, kind: str, key: bytes) -> Place | None:
        """Return the place of an object (`node`, `block`, `page`), or None if it is not stored."""
        packs, places = self.packs, self._index.places
        number = places[kind].get(key)
        if number is None and kind == "node":
            kind, number = "delta", places["delta"].get(key)
        return None if number is None else packs[number >> _SHIFT].place(kind, number & _NUMBER)

    def base(self, key: bytes) -> bytes | None:
        """Return the key of the base block of a block stored as changes, None if it is stored whole."""
        return None if not self.packs or key in self._index.places["node"] else self._index.bases.get(key)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        paths = [*(pack.path for pack in self.packs), *self.torn]
        return sum(path.stat().st_size for path in paths if path.exists())

    def replace(self, gone: list[Pack], instead: Pack | None) -> None:
        """Delete packs, all or none; the remaining ones and the new pack `instead` must not need them."""
        names = {pack.path.name for pack in gone}
        names |= {path.name for path in self.torn if path.exists() and is_pack(path)}
        if instead is not None:
            names.discard(instead.path.name)  # written by a pruning that was interrupted
        if names:
            write_durably(self._gone, "\n".join(sorted(names)).encode())
        remaining = [pack for pack in self.packs if pack not in gone]
        self._packs = []
        self._index = self._complete = Index()
        self._frames.clear()
        self.torn.clear()
        self._names.clear()
        for pack in remaining if instead is None else [*remaining, instead]:
            self.admit(pack)
        self._finish_deleting()

    def _finish_deleting(self) -> set[str]:
        """Delete the remaining packs of an interrupted deletion, whose nodes need each other; return their names."""
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
        """Return whether the node with this key, and everything below it, is stored."""
        return key == ZERO or key in self.complete

    def keys(self, key: bytes) -> bytes:
        """Return the keys below a node; `StateCorrupt` if it is missing or damaged."""
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
        """Return the 64 KiB below a node of level 1, every page checked by its key."""
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
            computed = b"".join([blake3(view[at : at + PAGE]).digest() for at in range(0, BLOCK, PAGE)])
            if computed != keys:
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
        try:
            frame = self._frames[where] = pack.frame(number)
        except StateCorrupt:
            self.distrust()
            raise
        while len(self._frames) > _CACHED:
            self._frames.popitem(last=False)
        return frame

    def missing(self, kind: str, key: bytes) -> StateCorrupt:
        """Return the error for an object that is not stored."""
        torn = "".join(f"; {error}" for error in self.torn.values())
        return StateCorrupt(f"the {kind} {key.hex()} is in none of the packs of {self.directory}{torn}")

    def _corrupt(self, kind: str, key: bytes) -> StateCorrupt:
        place = self.find(kind, key)
        assert place is not None
        self.distrust()
        return StateCorrupt(f"the {kind} {key.hex()} in the pack {place[0].path} contradicts its key")

    # Writing

    def writer(self, level: int = FAST) -> PackWriter:
        """Return a writer of a new pack; `admit` makes its objects available."""
        if self._read_only:
            raise StateError(f"{self.directory} was opened read-only, and nothing can be kept there")
        self._finish_deleting()  # a new pack may have the name of one that has gone
        return PackWriter(self.directory, level)

    def copy(self, writer: PackWriter, kind: str, key: bytes) -> None:
        """Copy a stored object into a new pack."""
        base = self.base(key) if kind == "node" else None
        writer.add(kind if base is None else "delta", [key], [self._read(kind, key)], [base] if base else ())


def _present(directory: Path) -> list[Path]:
    """Return the files that have the name of a pack."""
    return [path for path in directory.iterdir() if DIGEST.fullmatch(path.name)] if directory.exists() else []


def packed(keys: bytes) -> bytes:
    """Return a mask of the keys that are not zero (8 bytes), and these keys."""
    if ZERO not in keys:
        return all_of(keys)
    return chosen(keys, [slot for slot in range(len(keys) // KEY) if keys[slot * KEY : slot * KEY + KEY] != ZERO])


def all_of(keys: bytes) -> bytes:
    """Return a mask of all keys, and the keys."""
    return ((1 << len(keys) // KEY) - 1).to_bytes(_MASK, "little") + keys


def chosen(keys: bytes, slots: Iterable[int]) -> bytes:
    """Return a mask of these slots, and the keys in them."""
    mask, parts = 0, []
    for slot in slots:
        mask |= 1 << slot
        parts.append(keys[slot * KEY : slot * KEY + KEY])
    return mask.to_bytes(_MASK, "little") + b"".join(parts)


def _merged(content: bytes, keys: bytearray) -> bytearray | None:
    """Return the keys after applying a result of `chosen` to them; None if `content` is torn."""
    mask, at = int.from_bytes(content[:_MASK], "little"), _MASK
    if len(content) == _MASK + len(keys) and mask == (1 << len(keys) // KEY) - 1:
        return bytearray(content[_MASK:])
    for slot in range(len(keys) // KEY):
        if mask >> slot & 1:
            keys[slot * KEY : slot * KEY + KEY] = content[at : at + KEY]
            at += KEY
    return keys if at == len(content) and len(keys) % KEY == 0 else None

"""Pages of memories by what they contain: kept once, however many snapshots and canisters hold them.

What is kept: nodes of hash trees (`tree.py`) and the bytes below them. A block of 64 KiB is kept whole, or, where at
most half of its pages differ from a block that is kept whole, as those pages alone: scattered changes cost their own
bytes. A node that is here has everything below it here as well.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from blake3 import blake3

from sandbox.errors import StateCorrupt
from sandbox.memory import Readable
from sandbox.memory.host import sync
from sandbox.store.files import write_durably
from sandbox.store.pack import Pack, PackWriter, Place
from sandbox.store.tree import (
    BLOCK,
    FAN,
    KEY,
    PAGE,
    SPREAD,
    ZERO,
    ZERO_PAGE,
    Node,
    Tree,
    differing,
    node_key,
    page_key,
    width,
)
from sandbox.store.trees import Pages

_CACHED: Final = 64
"""Frames that stay decompressed."""
_BLOCK: Final = b"\1"
_BRANCH: Final = b"\2"
_MASK: Final = 8
_MOST_PAGES: Final = FAN // 2
"""So many pages of a block are kept one by one; more and the block is kept whole."""


class Objects:
    """The packs of a directory. One process at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ".new").unlink(missing_ok=True)
        self._gone = directory / ".gone"
        self._finish_deleting()
        self._packs: list[Pack] | None = None
        self._places: dict[str, dict[bytes, Place]] = {"page": {}, "block": {}, "node": {}}
        self._bases: dict[bytes, bytes] = {}
        self._frames: OrderedDict[tuple[Path, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def packs(self) -> list[Pack]:
        """All packs; their indexes are read when something is looked up for the first time."""
        if self._packs is None:
            found = [Pack(path) for path in sorted(self.directory.iterdir()) if not path.name.startswith(".")]
            self._packs = []
            for pack in found:
                self.admit(pack)
        return self._packs

    def admit(self, pack: Pack) -> None:
        """One more pack is there."""
        self.packs.append(pack)
        for kind, places in self._places.items():
            places.update(pack.objects(kind))
        self._places["node"].update(pack.objects("delta"))
        self._bases.update(pack.bases())

    @property
    def index(self) -> tuple[Mapping[bytes, Place], Mapping[bytes, Place], Mapping[bytes, bytes]]:
        """Where nodes and single pages are, and on which blocks other blocks stand: as it is at any time."""
        assert self.packs is not None  # read
        return self._places["node"], self._places["page"], self._bases

    def find(self, kind: str, key: bytes) -> Place | None:
        """Where an object (`node`, `block`, `page`) is, if it is here."""
        return self._places[kind].get(key) if self.packs else None

    def base(self, key: bytes) -> bytes | None:
        """The block on which the node of a block stands, None if that is kept whole."""
        return self._bases.get(key) if self.packs else None

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(pack.size for pack in self.packs)

    def replace(self, gone: list[Pack], instead: Pack | None) -> None:
        """Delete packs, all of them or none; what else is here, with the new pack `instead`, must not need them."""
        names = {pack.path.name for pack in gone}
        if instead is not None:
            names.discard(instead.path.name)  # written by a pruning that was interrupted
        if names:
            write_durably(self._gone, "\n".join(sorted(names)).encode())
        kept = [pack for pack in self.packs if pack not in gone]
        self._packs = []
        for places in self._places.values():
            places.clear()
        self._bases.clear()
        self._frames.clear()
        for pack in kept if instead is None else [*kept, instead]:
            self.admit(pack)
        self._finish_deleting()

    def _finish_deleting(self) -> None:
        """What is left of the packs that are to be deleted goes: their nodes stand on each other."""
        if self._gone.exists():
            for name in self._gone.read_text().split():
                (self.directory / name).unlink(missing_ok=True)
            sync(self.directory)
            self._gone.unlink()

    # Reading

    def __contains__(self, key: bytes) -> bool:
        """Whether the node with this key, and all that is below it, is here."""
        return key == ZERO or self.find("node", key) is not None

    def keys(self, key: bytes) -> bytes:
        """The keys below a node; `StateCorrupt` if it is not here or is not what it was."""
        content, base = self._read("node", key), self.base(key)
        if base is not None:
            whole = _merged(content, bytearray(self.keys(base)))
        else:
            size = FAN if content[:1] == _BLOCK else SPREAD
            whole = _merged(content[1:], bytearray(size * KEY))
        if whole is None or node_key(whole) != key:
            raise self._corrupt("node", key)
        return bytes(whole)

    def warm(self, nodes: Iterable[Node]) -> None:
        """Read and decompress what these blocks need, in any thread; a few blocks at a time, for they are not kept."""
        for node in nodes:
            place = self.find("block", self.base(node.key) or node.key)
            if place is not None:
                self._frame(place[0], place[1])

    def block(self, node: Node) -> bytes:
        """The 64 KiB below a node of level 1, every page checked by its key."""
        base, keys = self.base(node.key), node.keys
        if base is None:
            return self._whole(node.key, keys)
        below = self.keys(base)
        content = self._whole(base, below) if self._shares(keys, below) else b""
        parts = []
        for at in range(0, KEY * FAN, KEY):
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
        return any(keys[at : at + KEY] == below[at : at + KEY] != ZERO for at in range(0, KEY * FAN, KEY))

    def _whole(self, key: bytes, keys: bytes) -> bytes:
        content = self._read("block", key)
        if ZERO not in keys and len(content) == BLOCK:
            view = memoryview(content)
            found = b"".join([blake3(view[at : at + PAGE]).digest() for at in range(0, BLOCK, PAGE)])
            if found != keys:
                raise self._corrupt("block", key)
            return content
        at, parts = 0, []
        for start in range(0, KEY * FAN, KEY):
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
            raise StateCorrupt(f"the {kind} {key.hex()} is in none of the packs of {self.directory}")
        pack, number, offset, length = place
        content = self._frame(pack, number)[offset : offset + length]
        if len(content) != length:
            raise self._corrupt(kind, key)
        return content

    def _frame(self, pack: Pack, number: int) -> bytes:
        where = pack.path, number
        with self._lock:
            frame = self._frames.get(where)
            if frame is not None:
                self._frames.move_to_end(where)
                return frame
        frame = pack.frame(number)
        with self._lock:
            self._frames[where] = frame
            while len(self._frames) > _CACHED:
                self._frames.popitem(last=False)
        return frame

    def _corrupt(self, kind: str, key: bytes) -> StateCorrupt:
        where = self._places[kind][key][0].path
        return StateCorrupt(f"the {kind} {key.hex()} in the pack {where} is not what it was")

    # Writing

    def writing(self) -> Addition:
        """Add what is not here yet, all or nothing."""
        self._finish_deleting()  # a new pack may have the name of one that has gone
        return Addition(self)

    # For pruning

    def copy(self, writer: PackWriter, kind: str, key: bytes) -> None:
        """Add an object to a pack as it is here."""
        base = self.base(key) if kind == "node" else None
        writer.add(kind if base is None else "delta", key, self._read(kind, key), base or b"")


@dataclass(slots=True)
class Addition:
    """One pack in the making."""

    objects: Objects
    _writer: PackWriter | None = None
    _added: set[bytes] = field(default_factory=set)
    _pages: set[bytes] = field(default_factory=set)
    _based: dict[bytes, bytes] = field(default_factory=dict)
    _read: Pages = field(default_factory=dict)
    _unread: list[tuple[str, Node, int, int]] = field(default_factory=list)
    """`block` or `page`, the node of the block, and where its bytes are."""
    _nodes: Mapping[bytes, Place] = field(init=False)
    _held: Mapping[bytes, Place] = field(init=False)
    _bases: Mapping[bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._nodes, self._held, self._bases = self.objects.index

    def memory(self, content: Readable, tree: Tree, before: Tree | None, pages: Pages) -> None:
        """Keep the bytes of which `tree` is the tree; `before` is one that is here and probably similar. `pages` are
        those that have been read already."""
        known = before.top if before is not None and before.key in self.objects else None
        self._read, self._unread = pages, []
        if tree.top is not None and tree.key not in self._added and tree.key not in self._nodes:
            self._added.add(tree.key)
            self._walk(tree.top, known, 0)
        runs = [(offset, min(length, content.size - offset)) for _, _, offset, length in self._unread]
        for (kind, node, offset, _), (_, data) in zip(self._unread, content.pieces(runs), strict=True):
            if kind == "page":
                at = offset // PAGE % FAN * KEY
                self._out.add("page", node.keys[at : at + KEY], data)
            else:
                self._out.add("block", node.key, _without_zeros(data, node.keys))

    def finish(self) -> None:
        """Everything is on the disk itself and can be read."""
        pack = self._writer.finish() if self._writer is not None else None
        if pack is not None:
            self.objects.admit(pack)

    def abandon(self) -> None:
        """Forget what was not finished."""
        if self._writer is not None:
            self._writer.abandon()

    @property
    def _out(self) -> PackWriter:
        if self._writer is None:
            self._writer = PackWriter(self.objects.directory)
        return self._writer

    def _walk(self, node: Node, old: Node | None, number: int) -> None:
        """Write the nodes that are not here, and of the blocks what was read already. `old` is here."""
        below = self._walk if node.level > 2 else self._block
        added, held, each = self._added, self._nodes, width(node.level - 1)
        others = old.children if old is not None else (None,) * SPREAD
        for child, other in zip(node.children, others, strict=True):
            if child is not other and child is not None and child.key not in added and child.key not in held:
                added.add(child.key)
                below(child, other, number)
            number += each
        self._out.add("node", node.key, _BRANCH + _packed(node.keys))

    def _block(self, node: Node, old: Node | None, number: int) -> None:
        base, keys = self._base(old), node.keys
        if base is not None:
            slots = differing(keys, base.keys)
            if len(slots) <= _MOST_PAGES:
                node.stands_on = base
                self._based[node.key] = base.key
                self._out.add("delta", node.key, _chosen(keys, slots), base.key)
                for slot in slots:
                    self._page(keys[slot * KEY : slot * KEY + KEY], node, number * FAN + slot)
                return
        self._out.add("node", node.key, _BLOCK + _packed(keys))
        self._unread.append(("block", node, number * BLOCK, BLOCK))

    def _page(self, key: bytes, node: Node, number: int) -> None:
        if key == ZERO or key in self._held or key in self._pages:
            return
        self._pages.add(key)
        data = self._read.get(number)
        if data is not None:
            self._out.add("page", key, data)
        else:
            self._unread.append(("page", node, number * PAGE, PAGE))

    def _base(self, old: Node | None) -> Node | None:
        """The block that is kept whole on which one that was `old` can stand."""
        if old is None:
            return None
        key = self._based.get(old.key) or self._bases.get(old.key)
        if key is None:
            return old
        if old.stands_on is None or old.stands_on.key != key:
            old.stands_on = Node(1, known=(key, self.objects.keys))
        return old.stands_on


def _without_zeros(data: bytes, keys: bytes) -> bytes:
    """The pages of a block that are not zero."""
    if ZERO not in keys:
        return data
    return b"".join(data[at * PAGE : (at + 1) * PAGE] for at in range(FAN) if keys[at * KEY : at * KEY + KEY] != ZERO)


def _packed(keys: bytes) -> bytes:
    """A mask of the keys that are not zero (8 bytes), and these keys."""
    count = len(keys) // KEY
    if ZERO not in keys:
        return ((1 << count) - 1).to_bytes(_MASK, "little") + keys
    return _chosen(keys, [slot for slot in range(count) if keys[slot * KEY : slot * KEY + KEY] != ZERO])


def _chosen(keys: bytes, slots: Iterable[int]) -> bytes:
    """A mask of these slots, and the keys in them."""
    mask, parts = 0, []
    for slot in slots:
        mask |= 1 << slot
        parts.append(keys[slot * KEY : slot * KEY + KEY])
    return mask.to_bytes(_MASK, "little") + b"".join(parts)


def _merged(content: bytes, keys: bytearray) -> bytearray | None:
    """The keys, after those that `_chosen` told were put in their places; None if that is torn."""
    mask, at = int.from_bytes(content[:_MASK], "little"), _MASK
    if len(content) == _MASK + len(keys) and mask == (1 << len(keys) // KEY) - 1:
        return bytearray(content[_MASK:])
    for slot in range(len(keys) // KEY):
        if mask >> slot & 1:
            keys[slot * KEY : slot * KEY + KEY] = content[at : at + KEY]
            at += KEY
    return keys if at == len(content) and len(keys) % KEY == 0 else None

"""Prune packs: mark the needed objects, delete the packs without any, rewrite those that are mostly garbage.

Needed objects are on the disk in their new pack before the old one is deleted; an interruption loses nothing. A node
that stays, garbage or not, needs everything below it: a pack with a node that would lose some is rewritten as well.
Packs of garbage alone are deleted first, which makes space on a full disk for those that are rewritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sandbox.errors import StateCorrupt
from sandbox.pagestore.hash_tree import FANOUT, KEY, ZERO, split
from sandbox.pagestore.objects import Objects
from sandbox.pagestore.pack import Pack, Place
from sandbox.pagestore.pack_writer import THOROUGH

_Object = tuple[str, bytes]
"""Kind and key."""
_HELD = (("node", "node"), ("node", "delta"), ("block", "block"), ("page", "page"))
"""Kinds of objects, and the columns of packs that list them."""
_KEEP: float = 0.5
"""The needed share of a pack below which it is rewritten."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The result of pruning: packs deleted, bytes of all packs before and after; modules deleted and their bytes."""

    packs: int
    before: int
    after: int
    modules: int = 0
    module_bytes: int = 0

    @property
    def freed(self) -> int:
        """Bytes given back."""
        return self.before - self.after + self.module_bytes


def prune(objects: Objects, needed: Iterable[bytes]) -> Pruned:
    """Delete objects that are not below the top nodes `needed` (keys), and packs that cannot be read. `StateCorrupt`,
    and nothing is deleted, if a needed object is missing."""
    marks: set[_Object] = set()
    for key in needed:
        if key != ZERO:
            _mark(objects, ("node", key), marks)
    before, gone = objects.size, _going(objects, marks)
    free = _free(objects, gone, marks)
    if free:
        objects.replace(free, None)
        gone = [pack for pack in gone if pack not in free]
    writer = objects.writer(THOROUGH)
    try:
        for pack in gone:
            for (kind, key), _ in _live(objects, pack, marks):
                objects.copy(writer, kind, key)
        written = writer.finish()
    finally:
        writer.abandon()
    objects.replace(gone, written)
    return Pruned(len(free) + len(gone), before, objects.size)


def _mark(objects: Objects, wanted: _Object, marks: set[_Object]) -> None:
    if wanted not in marks:
        if objects.find(*wanted) is None:
            raise objects.missing(*wanted)
        marks.add(wanted)
        for below in _below(objects, wanted):
            _mark(objects, below, marks)


def _below(objects: Objects, wanted: _Object) -> list[_Object]:
    """Return the objects that an object needs besides itself."""
    kind, key = wanted
    if kind != "node":
        return []
    keys = objects.keys(key)
    if len(keys) == FANOUT * KEY:
        return [("node", child) for child in split(keys) if child != ZERO]
    base = objects.base(key)
    if base is None:
        return [("block", key)]
    under = zip(split(keys), split(objects.keys(base)), strict=True)
    return [("node", base), *(("page", page) for page, old in under if ZERO != page != old)]


def _going(objects: Objects, marks: set[_Object]) -> list[Pack]:
    """Return the packs that are mostly garbage, and those with garbage that needs objects of these."""
    gone: list[Pack] = []
    staying: list[Pack] = []
    for pack in objects.packs:
        total = sum(place[3] for _, place in _held(pack))
        live = sum(place[3] for _, place in _live(objects, pack, marks))
        (staying if live and live >= _KEEP * total else gone).append(pack)
    needs = {pack: _garbage_needs(objects, pack, marks) for pack in staying} if gone else {}
    while more := [
        pack for pack, wanted in needs.items() if wanted is None or not _packs_of(objects, wanted).isdisjoint(gone)
    ]:
        for pack in more:
            del needs[pack]
        gone += more
    return gone


def _free(objects: Objects, gone: list[Pack], marks: set[_Object]) -> list[Pack]:
    """Return the packs without needed objects that no node elsewhere is based on; empty if nothing is to be rewritten,
    since then all packs are deleted together."""
    free = [pack for pack in gone if not _live(objects, pack, marks)]
    if len(free) == len(gone):
        return []
    stands = {pack: _packs_of(objects, _garbage_needs(objects, pack, marks) or set()) for pack in objects.packs}
    while stay := [pack for pack in free if any(pack in stands[other] for other in stands if other not in free)]:
        free = [pack for pack in free if pack not in stay]
    return free


def _garbage_needs(objects: Objects, pack: Pack, marks: set[_Object]) -> set[_Object] | None:
    """Return the unmarked objects that the garbage nodes of a pack need; None if one of them is missing."""
    needs: set[_Object] = set()
    for wanted, _ in _held(pack):
        if wanted[0] == "node" and wanted not in marks:
            try:
                needs.update(_below(objects, wanted))
            except StateCorrupt:
                return None
    needs -= marks
    return None if any(objects.find(*wanted) is None for wanted in needs) else needs


def _packs_of(objects: Objects, wanted: set[_Object]) -> set[Pack]:
    places = (objects.find(kind, key) for kind, key in wanted)
    return {place[0] for place in places if place is not None}


def _held(pack: Pack) -> Iterator[tuple[_Object, Place]]:
    for kind, column in _HELD:
        for key, place in pack.objects(column):
            yield (kind, key), place


def _live(objects: Objects, pack: Pack, marks: set[_Object]) -> list[tuple[_Object, Place]]:
    """Return the needed objects whose place is in this pack."""
    return [(wanted, place) for wanted, place in _held(pack) if wanted in marks and objects.find(*wanted) == place]

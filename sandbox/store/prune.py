"""Giving space back: mark what is needed, drop the packs that nothing needs, rewrite those that are mostly garbage.

Whatever is needed is on the disk in its new pack before the old one goes; interrupted anywhere, nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.store.objects import Objects
from sandbox.store.pack import Pack, PackWriter, Place
from sandbox.store.tree import FAN, KEY, LEVELS, ZERO

_Marks = dict[str, set[bytes]]
_KEEP: float = 0.5
"""A pack of which a smaller part is needed is rewritten."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What pruning did: packs that went, and bytes on disk before and after."""

    packs: int
    before: int
    after: int


def prune(objects: Objects, needed: Iterable[bytes]) -> Pruned:
    """Keep what is below the top nodes `needed`, by their keys; all else may go."""
    marks: _Marks = {"node": set(), "block": set(), "page": set()}
    for key in needed:
        _mark(objects, key, LEVELS, marks)
    before, gone, writer = objects.size, [], PackWriter(objects.directory)
    try:
        for pack in objects.packs:
            live = _live(objects, pack, marks)
            total = sum(place[3] for kind in ("node", "delta", "block", "page") for _, place in pack.objects(kind))
            if sum(place[3] for _, _, place in live) >= _KEEP * total:
                continue
            for kind, key, _ in live:
                objects.copy(writer, kind, key)
            gone.append(pack)
        writer.finish()
    finally:
        writer.abandon()
    objects.drop(gone)
    return Pruned(len(gone), before, objects.size)


def _live(objects: Objects, pack: Pack, marks: _Marks) -> list[tuple[str, bytes, Place]]:
    """What of a pack is needed and found nowhere else."""
    return [
        (kind, key, place)
        for kind, held in (("node", "node"), ("node", "delta"), ("block", "block"), ("page", "page"))
        for key, place in pack.objects(held)
        if key in marks[kind] and objects.find(kind, key) == place
    ]


def _mark(objects: Objects, key: bytes, level: int, marks: _Marks) -> None:
    if key == ZERO or key in marks["node"]:
        return
    marks["node"].add(key)
    keys = objects.keys(key)
    if level > 1:
        for at in range(0, len(keys), KEY):
            _mark(objects, keys[at : at + KEY], level - 1, marks)
        return
    base = objects.base(key)
    if base is None:
        marks["block"].add(key)
        return
    below = objects.keys(base)
    marks["node"].add(base)
    marks["block"].add(base)
    marks["page"].update(
        keys[at : at + KEY] for at in range(0, FAN * KEY, KEY) if ZERO != keys[at : at + KEY] != below[at : at + KEY]
    )

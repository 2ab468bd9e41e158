"""The hash tree of a memory's image, computed from the memory's last tree: costs the pages changed since.

The last tree of each memory is cached by the memory (weakly), which makes the calls below cost only the changes.
A tree never depends on the cache, only the cost of computing it and whether a step to it is known.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import Final, NamedTuple

from sandbox.errors import StateCorrupt
from sandbox.memory import Image, Memory, Readable, Run, host
from sandbox.pagestore.hash_tree import EMPTY, NO_PAGES, PAGE, Pages, Tree, TreeStep, page_keys


class TreeUpdate(NamedTuple):
    """The tree of a memory. `step`: how it follows from the memory's tree before it, None if unknown or if there was
    none. `pages`: the changed pages, where this call has read them."""

    tree: Tree
    step: TreeStep | None = None
    pages: Pages = NO_PAGES


@dataclass(frozen=True, slots=True)
class _CachedTree:
    """The tree of an image, except for the pages `pending` and the size; `step` leads to it."""

    tree: Tree
    image: weakref.ref[Image]
    pending: tuple[Run, ...] = ()
    step: TreeStep | None = None


_AT_ONCE: Final = 64 << 20
"""Bytes that are read at once; more are read and hashed piece by piece."""

_latest: weakref.WeakKeyDictionary[Memory, _CachedTree] = weakref.WeakKeyDictionary()
"""The newest tree of each memory. The next one starts from it while its image lives."""


@singledispatch
def tree(content: object) -> Tree:
    """Return the hash tree of an image (reads only the pages changed since the memory's last tree) or of stored
    content."""
    raise TypeError(f"{type(content).__name__} has no hash tree")


@tree.register
def _(image: Image) -> Tree:
    return update(image).tree


def update(content: Readable) -> TreeUpdate:
    """Return the tree of `content`, with the step to it where that is known. Reads what `tree` reads."""
    if not isinstance(content, Image):
        return TreeUpdate(tree(content))
    known = _cached(content)
    return _renewed(content) if known is None else TreeUpdate(known.tree, known.step)


def known_tree(image: Image) -> Tree | None:
    """Return the tree of an image, or None if pages would have to be read for it."""
    known = _cached(image)
    return None if known is None else known.tree


def _cached(image: Image) -> _CachedTree | None:
    known = _latest.get(image.memory)
    if known is None or known.image() is not image or known.pending or known.tree.size != image.size:
        return None
    return known


def _renewed(image: Image) -> TreeUpdate:
    """Compute the tree from the memory's last one; from nothing if that is kept on disk and damaged there."""
    known = _latest.get(image.memory)
    try:
        return _stepped(image, known)
    except StateCorrupt:
        if known is None:
            raise
        return _stepped(image, None)


def _stepped(image: Image, known: _CachedTree | None) -> TreeUpdate:
    base = known.image() if known is not None else None
    if known is not None and base is not None:
        before, runs = known.tree, image.changed_since(base)
        runs = whole_pages([*known.pending, *runs], image.size) if known.pending else host.clipped(runs, image.size)
    else:
        image.memory.verify()
        before, runs = EMPTY, whole_pages(image.extents(), image.size)
    pages = NO_PAGES
    if sum(length for _, length in runs) <= _AT_ONCE:
        pages = Pages.of(runs, image.together(runs))
        numbers, keys = pages.numbers, pages.keys
    else:
        numbers, keys = page_keys(image.pieces(runs))
    _check(image, numbers, keys)
    last = before.step(image.size, numbers, keys)
    step = None if before.top is None else last
    _latest[image.memory] = _CachedTree(last.after, weakref.ref(image), step=step)
    return TreeUpdate(last.after, step, pages)


def _check(image: Image, numbers: list[int], keys: list[bytes]) -> None:
    """Check pages of an image, which were just read, where they are from the memory's file."""
    unread = image.memory.unread
    if unread is not None:
        later = {page for run in image.memory.changed_since(image) for page in _numbers(run)}
        kept = [(page, key) for page, key in zip(numbers, keys, strict=True) if page not in later]
        unread.check(image.memory, [page for page, _ in kept], [key for _, key in kept])


def _numbers(run: Run) -> range:
    return range(run[0] // PAGE, -(-sum(run) // PAGE))


def is_known(memory: Memory) -> bool:
    """Return whether the tree of the memory's present bytes costs only the pages changed."""
    known = _latest.get(memory)
    return known is not None and known.image() is not None


def remember(image: Image, known: Tree, pending: Iterable[Run] = ()) -> None:
    """Register `known` as the tree of `image`, apart from the pages `pending`. Effective while the caller keeps the
    image."""
    _latest[image.memory] = _CachedTree(known, weakref.ref(image), tuple(pending))


def forget(memory: Memory) -> None:
    """Forget the memory's last tree: the next one is computed from its bytes alone."""
    _latest.pop(memory, None)


def whole_pages(runs: Iterable[Run], size: int) -> list[Run]:
    """Return runs widened to pages of 4 KiB, sorted, joined where they touch, and cut to `size`."""
    joined: list[Run] = []
    reached = -1
    for offset, length in sorted(runs):
        start, end = offset - offset % PAGE, offset + length
        end = min(end + -end % PAGE, size)
        if start <= reached:
            joined[-1] = joined[-1][0], max(reached, end) - joined[-1][0]
        elif end > start:
            joined.append((start, end - start))
        else:
            continue
        reached = max(reached, end)
    return joined

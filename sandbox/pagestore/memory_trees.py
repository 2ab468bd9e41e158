"""The hash tree of every memory, kept up to date at the price of what changed."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import Final

from sandbox.errors import StateCorrupt
from sandbox.memory import Image, Memory, Readable, Run, host
from sandbox.pagestore.hash_tree import EMPTY, NO_PAGES, PAGE, Pages, Step, Tree, page_keys


@dataclass(frozen=True, slots=True)
class _Known:
    """The tree of a memory as an image showed it, but for `pending`: pages that have changed already, and the size."""

    tree: Tree
    image: weakref.ref[Image]
    pending: tuple[Run, ...] = ()


_AT_ONCE: Final = 64 << 20
"""So many bytes are read at once; what is more is read and hashed piece by piece."""

_latest: weakref.WeakKeyDictionary[Memory, _Known] = weakref.WeakKeyDictionary()
"""The newest tree of each memory: where the next one starts from while its image lives."""
_steps: weakref.WeakKeyDictionary[Memory, Step] = weakref.WeakKeyDictionary()
"""The step to it from the one before."""


@singledispatch
def tree(content: object) -> Tree:
    """The hash tree of an image (only pages changed since the memory's last tree are read), or of a kept state."""
    raise TypeError(f"{type(content).__name__} has no hash tree")


@tree.register
def _(image: Image) -> Tree:
    return known_tree(image) or _renewed(image)[0]


def step(content: Readable) -> tuple[Step | None, Pages]:
    """How the tree of a memory's image came from the one before it, told once, and pages that had to be read for it.
    None, and no pages, where that is not known."""
    if not isinstance(content, Image):
        return None, NO_PAGES
    current, pages = known_tree(content), NO_PAGES
    if current is None:
        current, pages = _renewed(content)
    last = _steps.pop(content.memory, None)
    return (last if last is not None and last.after is current else None), pages


def known_tree(image: Image) -> Tree | None:
    """The tree of an image, if nothing has to be read for it."""
    known = _latest.get(image.memory)
    if known is None or known.image() is not image or known.pending or known.tree.size != image.size:
        return None
    return known.tree


def _renewed(image: Image) -> tuple[Tree, Pages]:
    """From the memory's last tree; from nothing where that is kept on disk and is damaged there."""
    known = _latest.get(image.memory)
    try:
        return _stepped(image, known)
    except StateCorrupt:
        if known is None:
            raise
        return _stepped(image, None)


def _stepped(image: Image, known: _Known | None) -> tuple[Tree, Pages]:
    base = known.image() if known is not None else None
    if known is not None and base is not None:
        before, runs = known.tree, image.changed_since(base)
        runs = whole_pages([*known.pending, *runs], image.size) if known.pending else host.clipped(runs, image.size)
    else:
        before, runs = EMPTY, whole_pages(image.extents(), image.size)
    pages = NO_PAGES
    if sum(length for _, length in runs) <= _AT_ONCE:
        pages = Pages.of(runs, image.together(runs))
        last = before.step(image.size, pages.numbers, pages.keys)
    else:
        last = before.step(image.size, *page_keys(image.pieces(runs)))
    _latest[image.memory], _steps[image.memory] = _Known(last.after, weakref.ref(image)), last
    return last.after, pages


def is_known(memory: Memory) -> bool:
    """Whether the tree of the memory's present bytes costs only what has changed."""
    known = _latest.get(memory)
    return known is not None and known.image() is not None


def remember(image: Image, known: Tree, pending: Iterable[Run] = ()) -> None:
    """Tell that `known` is the tree of what `image` shows, apart from the pages `pending`. The caller keeps the image
    for as long as this is to be of use."""
    _latest[image.memory] = _Known(known, weakref.ref(image), tuple(pending))
    _steps.pop(image.memory, None)


def whole_pages(runs: Iterable[Run], size: int) -> list[Run]:
    """Runs widened to pages of 4 KiB, sorted, joined where they overlap, and cut to `size`."""
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

"""The heap pages that an execution changed: each counts as instructions once the execution has ended (`ic0.weights`).

Only bytes matter: a page that was written with what it held has not changed. Usually an execution begins with the
committed bytes, to which the written pages are compared. Hooks of one deployment and callbacks of a composite query
begin with the uncommitted changes of those before them.
"""

from __future__ import annotations

import ctypes
from typing import Final

from sandbox.memory import View

Run = tuple[int, int]
PAGE: Final = 4096
"""The unit in which changes count."""


def written_pages(view: View) -> dict[int, bytes]:
    """Return the pages of a view that may differ from the committed bytes, by offset."""
    return {page: ctypes.string_at(view.base + page, PAGE) for page in _pages(view.dirty(), view.size)}


def changed_pages(view: View, runs: list[Run], before: dict[int, bytes]) -> int:
    """Return the number of pages that differ from those at the beginning. `runs`: what was written since the last
    commit; `before`: `written_pages` at the beginning."""
    if before:
        pages = {*_pages(runs, view.size), *before}
        return sum(
            ctypes.string_at(view.base + page, PAGE) != (before.get(page) or view.committed(page, PAGE))
            for page in pages
        )
    changed = 0
    for (offset, length), old in zip(runs, view.memory.held(runs), strict=True):
        now = view.bytes[offset : offset + length].tobytes()
        if length <= PAGE:
            changed += now != old
        elif now != old:
            changed += sum(now[k : k + PAGE] != old[k : k + PAGE] for k in range(0, length, PAGE))
    return changed


def _pages(runs: list[Run], size: int) -> list[int]:
    return [page for offset, length in runs for page in range(offset, min(offset + length, size), PAGE)]

"""The old contents of pages overwritten since one moment: the unit of histories and of journals."""

from __future__ import annotations

from sandbox.memory.host import PAGE, Run


class UndoPages:
    """Old contents, by page number, of pages overwritten since a moment at which the memory had `size` bytes.

    `low_water` is the smallest size since then. Everything past it was saved unless it was zero, so a page past
    `low_water` that is not in `pages` was zero.
    """

    __slots__ = ("low_water", "pages", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.low_water = size
        self.pages: dict[int, bytes] = {}

    def missing(self, runs: list[Run]) -> list[Run]:
        """Return the parts of `runs` (whole pages) that must still be saved before they are overwritten."""
        low_water, pages, wanted = self.low_water, self.pages, []
        for offset, length in runs:
            end = min(offset + length, low_water)
            if offset >= end:
                continue
            if not pages:
                wanted.append((offset, end - offset))
                continue
            page, last = offset // PAGE, -(-end // PAGE)
            while page < last:
                if page in pages:
                    page += 1
                    continue
                first = page
                while page < last and page not in pages:
                    page += 1
                wanted.append((first * PAGE, (page - first) * PAGE))
        return wanted

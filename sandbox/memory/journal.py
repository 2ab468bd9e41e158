"""An undo journal (to come)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.memory.host import Run

if TYPE_CHECKING:
    from sandbox.memory.committed import Memory


class Journal:
    """Placeholder."""

    def before(self, memory: Memory, runs: list[Run], low: int) -> None:
        """Called before bytes change."""

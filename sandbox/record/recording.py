"""A record being written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sandbox.record.file import Header, Writer
from sandbox.record.watch import Outcome, Position, Step, Watcher


class Recording(Watcher):
    """A watcher that writes every step to a file, as it happens, until closed; use it in a `with`, or close it.

    A step that cannot be recorded is refused before it is taken. `steps`: the number recorded.
    """

    def __init__(self, path: Path, header: Header) -> None:
        super().__init__()
        self.path = path
        self.steps = 0
        self._writer = Writer(path, header)

    def before(self, step: Step) -> None:
        self._writer.step(step)

    def after(self, outcome: Outcome) -> None:
        self._writer.outcome(outcome)
        self.steps += 1

    def position(self) -> Position:
        return replace(super().position(), steps=self.steps, written=self._writer.position())

    def back_to(self, position: Position) -> None:
        super().back_to(position)
        self.steps = position.steps
        self._writer.back_to(position.written)

    def close(self, why: str = "closed") -> None:
        """End the record; later steps are not in it."""
        if not self.closed:
            super().close(why)
            self._writer.close(why)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

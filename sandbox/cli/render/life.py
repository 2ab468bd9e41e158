"""A sign of life for work that takes longer than a second."""

from __future__ import annotations

from threading import Lock, Timer
from types import TracebackType
from typing import TYPE_CHECKING

from sandbox.cli.render import output

if TYPE_CHECKING:
    from rich.progress import Progress

_AFTER = 1.0
"""Seconds until it is shown."""


class Life:
    """Shows a text with the time that has passed, on a terminal, once the work within takes longer than a second.

    `end` hides it for good, where something else is to be shown or asked.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._lock = Lock()
        self._ended = False
        self._shown: Progress | None = None
        self._timer = Timer(_AFTER, self._show)
        self._timer.daemon = True

    def __enter__(self) -> Life:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Hide it."""
        with self._lock:
            self._ended = True
            self._timer.cancel()
            if self._shown is not None:
                self._shown.stop()
                self._shown = None

    def _show(self) -> None:
        from rich.progress import (  # imported late: most commands are done sooner
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        with self._lock:
            if self._ended:
                return
            target = output.console(stderr=True)
            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._shown = Progress(*columns, console=target, transient=True)
            self._shown.add_task(self._text, total=None)
            self._shown.start()

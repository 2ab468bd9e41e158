"""Steps of a run, in order, timed; the first that fails ends it, and is named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sandbox.service.report import Step


@dataclass(slots=True)
class Steps:
    """The steps of a run so far. `present`: the one that is being done; it stays where it failed."""

    done: list[Step] = field(default_factory=list)
    present: str = "connect"

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Do a step; yields the facts to report."""
        self.present = name
        facts: dict[str, Any] = {}
        begun = time.monotonic()
        try:
            yield facts
        finally:
            self.done.append(Step(name, time.monotonic() - begun, facts))

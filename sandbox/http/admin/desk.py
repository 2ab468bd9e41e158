"""What operations work on: one served sandbox, its open anchors, the profiles that were made."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sandbox.api import Sandbox
from sandbox.http.replica import Replica
from sandbox.profile import Profile

_PROFILES: Final = 50
"""Profiles that are kept."""


@dataclass(frozen=True, slots=True)
class OpenAnchor:
    """An anchor: what is done while it is open is undone at its end. `time`: nanoseconds since 1970, when it began."""

    number: int
    label: str | None
    time: int
    stack: ExitStack


@dataclass
class Desk:
    """The sandbox as operations see it, in the one thread that uses it.

    `saving`: when the state is saved; `unsaved`: whether something is not; `save`: saves it; `link`: makes an address
    of the console. While an anchor is open nothing is saved: a crash then has the same effect as its end.
    """

    replica: Replica
    saving: str
    unsaved: Callable[[], bool]
    save: Callable[[], None]
    link: Callable[[], str]
    anchors: list[OpenAnchor] = field(default_factory=list)
    profiles: OrderedDict[int, Profile] = field(default_factory=OrderedDict)
    _numbers: int = 0
    _folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox."""
        return self.replica.sandbox

    def keep(self, profile: Profile) -> int:
        """Keep a profile; its number."""
        self._numbers += 1
        self.profiles[self._numbers] = profile
        while len(self.profiles) > _PROFILES:
            self.profiles.popitem(last=False)
        return self._numbers

    def begin_anchor(self, label: str | None) -> OpenAnchor:
        """Open an anchor inside those that are open. What was done before is saved first."""
        if not self.anchors:
            self.save()
        self._numbers += 1
        stack = ExitStack()
        stack.enter_context(self.sandbox.anchor())
        stack.callback(self.replica.follow, self.replica.ahead)
        anchor = OpenAnchor(self._numbers, label, self.sandbox.time, stack)
        self.anchors.append(anchor)
        return anchor

    def undo(self, number: int) -> bool:
        """End an anchor and those inside it: everything since it began is undone. False if there is no such anchor."""
        if all(anchor.number != number for anchor in self.anchors):
            return False
        while self.anchors:
            anchor = self.anchors.pop()
            anchor.stack.close()
            if anchor.number == number:
                break
        return True

    def end(self) -> None:
        """End all anchors, and delete temporary files."""
        if self.anchors:
            self.undo(self.anchors[0].number)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def temporary(self) -> Path:
        """A folder for files that are on their way; other users of the machine cannot read it."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="canister-sandbox-")
        return Path(tempfile.mkdtemp(dir=self._folder.name))

"""Ownership across forks: each object that holds files or shared memory belongs to the process that made it.

After a fork (`os.fork`, `multiprocessing`'s start method of that name, pytest-forked) the child has a copy of every
object, but descriptors and shared mappings are the parent's own. In the child each registered object is disowned: it
gives up its descriptors without changing any file, and refuses to be used. Private copies for the child would cost a
copy of every memory at every fork, also of those that only run another program afterwards.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Owned(Protocol):
    """An object that a forked child must not use."""

    def disown(self, process: int) -> None:
        """In the child of the process `process`: give up descriptors, change no file, refuse every use from now on."""


_owned: weakref.WeakSet[Owned] = weakref.WeakSet()
_process = os.getpid()


def own(thing: Owned) -> None:
    """Register an object that belongs to this process, as long as the object lives."""
    _owned.add(thing)


def _in_child() -> None:
    global _process
    parent, _process = _process, os.getpid()
    things = list(_owned)
    _owned.clear()
    for thing in things:
        thing.disown(parent)


os.register_at_fork(after_in_child=_in_child)

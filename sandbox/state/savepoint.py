"""Containers that can be reverted to an earlier moment, at the cost of the entries that changed since.

Before an entry changes for the first time since the innermost savepoint, its old value is stored there; before the
first deletion, the whole container, so that the order of entries is restored too. Values are stored before the change,
and reverting writes absolute values: it may follow an interruption anywhere, and may be interrupted and repeated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")
Item = TypeVar("Item")

ABSENT: Final = object()
"""The old value of an entry that did not exist."""


class Savepoint:
    """The old values of the entries of one subnet's containers that have changed since a moment."""

    __slots__ = ("entries", "lengths", "outer", "whole")

    def __init__(self, outer: Savepoint | None) -> None:
        self.outer = outer
        self.entries: dict[tuple[RevertibleDict[Any, Any], Any], Any] = {}
        """Old values by table and key."""
        self.whole: dict[RevertibleDict[Any, Any] | RevertibleQueue[Any], Any] = {}
        """Content before the first deletion."""
        self.lengths: dict[RevertibleQueue[Any], int] = {}
        """Lengths of queues, before the first addition at the end."""

    @property
    def empty(self) -> bool:
        """Whether nothing has changed."""
        return not (self.entries or self.whole or self.lengths)

    def revert(self) -> None:
        """Restore the containers. May be repeated."""
        tables = {table for table, _ in self.entries} | {
            table for table in self.whole if isinstance(table, RevertibleDict)
        }
        for table in tables:
            table.revert(self)
        for queue in self.lengths.keys() | {queue for queue in self.whole if isinstance(queue, RevertibleQueue)}:
            queue.revert(self)

    def merge_into_outer(self) -> None:
        """Add the old values to the outer savepoint. May be repeated."""
        outer = self.outer
        if outer is None:
            return
        for place, value in self.entries.items():
            outer.entries.setdefault(place, value)
        for table, content in self.whole.items():
            if isinstance(table, RevertibleQueue) and table in outer.lengths:
                content = content[: outer.lengths[table]]
            outer.whole.setdefault(table, content)
        for queue, length in self.lengths.items():
            outer.lengths.setdefault(queue, length)


class Savepoints:
    """The nested savepoints of one subnet."""

    __slots__ = ("innermost",)

    def __init__(self) -> None:
        self.innermost: Savepoint | None = None

    def begin(self) -> Savepoint:
        """Begin a new innermost savepoint."""
        savepoint = self.innermost = Savepoint(self.innermost)
        return savepoint

    def release(self, outer: Savepoint | None) -> None:
        """End the savepoints inside `outer`; their changes become changes since `outer`."""
        while self.innermost is not outer and self.innermost is not None:
            self.innermost.merge_into_outer()
            self.innermost = self.innermost.outer

    def return_to(self, savepoint: Savepoint) -> None:
        """Revert the containers to the beginning of a savepoint and end it. May be repeated until it returns."""
        while self.innermost is not savepoint.outer and self.innermost is not None:
            self.innermost.revert()
            self.innermost = self.innermost.outer
        savepoint.revert()


class RevertibleDict(dict[Key, Value]):
    """A dict that changes only by assignment, deletion, `pop` and `setdefault` of items."""

    __slots__ = ("savepoints",)

    def __init__(self, savepoints: Savepoints, content: Iterable[tuple[Key, Value]] = ()) -> None:
        super().__init__(content)
        self.savepoints = savepoints

    __hash__ = object.__hash__  # type: ignore[assignment]  # as a key of savepoints: by identity

    def __setitem__(self, key: Key, value: Value) -> None:
        savepoint = self.savepoints.innermost
        if savepoint is not None:
            place = self, key
            if place not in savepoint.entries:
                savepoint.entries[place] = self.get(key, ABSENT)
        super().__setitem__(key, value)

    def __delitem__(self, key: Key) -> None:
        savepoint = self.savepoints.innermost
        if savepoint is not None and key in self:
            if savepoint.entries.get((self, key)) is not ABSENT and self not in savepoint.whole:
                savepoint.whole[self] = dict(self)
            savepoint.entries.setdefault((self, key), self[key])
        super().__delitem__(key)

    def pop(self, key: Key, *default: Any) -> Any:
        """Delete an entry and return its value."""
        if key not in self:
            return super().pop(key, *default)
        value = self[key]
        del self[key]
        return value

    def revert(self, savepoint: Savepoint) -> None:
        """Restore the content, through `_restore` and `_remove` of a subclass."""
        old = {key: value for (table, key), value in savepoint.entries.items() if table is self}
        whole = savepoint.whole.get(self)
        for key, value in old.items():
            if value is not ABSENT:
                self._restore(key, value)
            elif key in self:
                self._remove(key)
        if whole is not None:
            ordered = [(key, old.get(key, value)) for key, value in whole.items() if old.get(key) is not ABSENT]
            dict.clear(self)
            dict.update(self, ordered)

    def _restore(self, key: Key, value: Value) -> None:
        dict.__setitem__(self, key, value)

    def _remove(self, key: Key) -> None:
        dict.__delitem__(self, key)


class RevertibleSet(RevertibleDict[Key, None]):
    """A set that changes only by `add`."""

    __slots__ = ()

    def add(self, name: Key) -> None:
        if name not in self:
            self[name] = None


class RevertibleQueue(deque[Item]):
    """A deque that changes only by the methods defined here."""

    __slots__ = ("savepoints",)

    def __init__(self, savepoints: Savepoints, content: Iterable[Item] = ()) -> None:
        super().__init__(content)
        self.savepoints = savepoints

    __hash__ = object.__hash__  # type: ignore[assignment]

    def _note(self) -> None:
        savepoint = self.savepoints.innermost
        if savepoint is not None and self not in savepoint.whole:
            savepoint.whole[self] = list(self)[: savepoint.lengths.get(self)]

    def _note_length(self) -> None:
        savepoint = self.savepoints.innermost
        if savepoint is not None and self not in savepoint.whole:
            savepoint.lengths.setdefault(self, len(self))

    def append(self, item: Item) -> None:
        self._note_length()
        super().append(item)

    def extend(self, items: Iterable[Item]) -> None:
        self._note_length()
        super().extend(items)

    def appendleft(self, item: Item) -> None:
        self._note()
        super().appendleft(item)

    def popleft(self) -> Item:
        self._note()
        return super().popleft()

    def pop(self) -> Item:  # type: ignore[override]
        self._note()
        return super().pop()

    def clear(self) -> None:
        self._note()
        super().clear()

    def __setitem__(self, place: Any, item: Any) -> None:
        self._note()
        super().__setitem__(place, item)

    def revert(self, savepoint: Savepoint) -> None:
        """Restore the content."""
        whole = savepoint.whole.get(self)
        if whole is not None:
            deque.clear(self)
            deque.extend(self, whole)
            return
        while len(self) > savepoint.lengths[self]:
            deque.pop(self)

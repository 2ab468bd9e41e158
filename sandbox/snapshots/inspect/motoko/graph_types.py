"""The types of the values in a graph copy: the type table that is stored beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.candid.labels import key_id
from sandbox.snapshots.inspect.motoko.graph import label_hashes
from sandbox.snapshots.inspect.motoko.skip import FlatTypes
from sandbox.snapshots.inspect.motoko.wire import Head, Stream, read_head
from sandbox.snapshots.inspect.source import Bytes, number, part, within


@dataclass(frozen=True)
class GraphTypes:
    """The `head` of a graph copy, and what its readers ask of a type, by its index."""

    head: Head
    _ids: dict[int, tuple[int, ...]] = field(default_factory=dict, init=False)
    _tags: dict[int, dict[int, int]] = field(default_factory=dict, init=False)

    def ids(self, index: int) -> tuple[int, ...]:
        """Return the ids of the fields of a record, in their order."""
        known = self._ids.get(index)
        if known is None:
            known = self._ids[index] = tuple(key_id(label) for label, _ in self.head.table[index].fields)
        return known

    def tags(self, index: int) -> Mapping[int, int]:
        """Return the places of the tags of a variant, by the hashes that objects may have for them."""
        known = self._tags.get(index)
        if known is None:
            known = self._tags[index] = {}
            for hashes in zip(*map(label_hashes, self.ids(index)), strict=True):
                for place, found in enumerate(hashes):
                    known.setdefault(found, place)
        return known

    def flats(self) -> FlatTypes:
        return FlatTypes(self.head)


def read_graph_types(data: Bytes, names: Mapping[int, str]) -> GraphTypes:
    """Read the type table: its length, its bytes."""
    length = number(data, 0, 8, "the length of the type table")
    within(data, 8, length, "the type table")
    return GraphTypes(read_head(Stream(part(data, 8, length)), names, graph=True))

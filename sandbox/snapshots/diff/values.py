"""Compare two values of Candid or of Motoko's stable variables: the smallest differing parts, by their paths."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from sandbox.candid.labels import name_text
from sandbox.snapshots.inspect.value import Node, Opt, Packed, Record, Same, Var, Variant, Vec, shortened

ValueDifference = tuple[str, Node | None, Node | None]
"""A path such as `people[3].email`, the old and the new value, None if absent."""


def differences(place: str, old: Node | None, new: Node | None) -> Iterator[ValueDifference]:
    """Yield all differences, in order; long or deep values are `shortened`."""
    waiting: list[ValueDifference] = [(place, old, new)]
    while waiting:
        where, was, now = waiting.pop()
        if isinstance(was, Packed) and isinstance(now, Packed) and was == now:
            continue
        was, now = _unpacked(was), _unpacked(now)
        parts = None if was is None or now is None else _parts(where, was, now)
        if parts is not None:
            waiting.extend(reversed(parts))
        elif was is None or now is None or not _same(was, now):
            yield where, _shown(was), _shown(now)


def _unpacked(node: Node | None) -> Node | None:
    return node.read() if isinstance(node, Packed) else node


def _shown(node: Node | None) -> Node | None:
    return None if node is None else shortened(node)


def _parts(place: str, old: Node, new: Node) -> list[ValueDifference] | None:
    """Return the pairs of parts of two values of the same shape; None if they are compared as a whole."""
    match old, new:
        case Record(), Record():
            one, two = dict(old.fields), dict(new.fields)
            labels = [*two, *(label for label in one if label not in two)]
            return [(place + _label(label), one.get(label), two.get(label)) for label in labels]
        case Vec(), Vec():
            pairs = zip_longest(old.items, new.items)
            return [(f"{place}[{index}]", was, now) for index, (was, now) in enumerate(pairs)]
        case Opt(), Opt():
            return [(f"{place}?", old.value, new.value)]
        case Var(), Var():
            return [(place, old.value, new.value)]
        case Variant(), Variant() if old.tag == new.tag:
            return [(f"{place}#{old.tag}", old.value, new.value)]
    return None


def _same(old: Node, new: Node) -> bool:
    """Return whether two values compared as a whole are equal; references always are, their targets count elsewhere."""
    return old == new if not isinstance(old, Same) else isinstance(new, Same)


def _label(label: str | int) -> str:
    return f".{label}" if isinstance(label, int) else f".{name_text(label)}"

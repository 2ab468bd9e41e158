"""Values that are gone past, or kept as bytes until somebody looks, are those that are read one after the other."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import Sandbox
from sandbox.candid import Type, encode
from sandbox.snapshots.inspect import InspectError, Plain
from sandbox.snapshots.inspect.motoko.reader import ValueReader
from sandbox.snapshots.inspect.motoko.tree import WHOLE, DecodeLimits
from sandbox.snapshots.inspect.motoko.wire import Stream, read_head
from sandbox.snapshots.inspect.source import PIECE
from sandbox.snapshots.inspect.value import Elided, Node, node_json, shortened
from tests.candid.test_laws import typed_values
from tests.conftest import fixture, wat
from tests.snapshots.inspect.images import Sparse

LAW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
PLAIN = DecodeLimits(depth=10_000, items=1 << 20, text=1 << 24, values=1 << 20)
NOTHING = DecodeLimits(depth=0, items=0)


def read(message: bytes, keep: DecodeLimits) -> list[Node]:
    """All values, of which nothing may be left over."""
    stream = Stream(Plain(message))
    head = read_head(stream, {})
    values = ValueReader(stream, head, keep)
    found = [shortened(values.read(reference), None, 10_000) for reference in head.arguments]
    if stream.left:
        raise InspectError("something follows")
    return found


def outcome(message: bytes, keep: DecodeLimits) -> Any:
    """What is shown of the values; None if they are refused."""
    try:
        return [node_json(node) for node in read(message, keep)]
    except InspectError:
        return None


@LAW
@given(st.lists(typed_values(), min_size=1, max_size=4))
def test_whole_values_are_those_read_one_after_the_other(typed: list[tuple[Type, Any]]) -> None:
    message = encode([kind for kind, _ in typed], [value for _, value in typed])
    assert str(read(message, WHOLE)) == str(read(message, PLAIN))
    assert len(read(message, NOTHING)) == len(typed)


@LAW
@given(st.lists(typed_values(), min_size=1, max_size=3), st.data())
def test_damaged_values_are_refused_alike(typed: list[tuple[Type, Any]], data: st.DataObject) -> None:
    message = bytearray(encode([kind for kind, _ in typed], [value for _, value in typed]))
    for _ in range(data.draw(st.integers(1, 3))):
        message[data.draw(st.integers(4, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 1)) * data.draw(st.integers(0, 4))
    damaged = bytes(message[: len(message) - cut])
    assert str(outcome(damaged, WHOLE)) == str(outcome(damaged, PLAIN))


@pytest.mark.parametrize("size", [PIECE - 100, PIECE - 3, PIECE, PIECE + 50, 3 * PIECE])
def test_values_across_pieces_and_longer_than_one(size: int) -> None:
    people = [{"name": "x" * size, "tags": ["a", "b"]}, {"name": "y", "tags": []}] * 3
    message = encode("(vec record { name : text; tags : vec text })", [people])
    assert str(read(message, WHOLE)) == str(read(message, PLAIN))
    assert read(message, NOTHING) == [Elided("...")]


def chain(count: int, inner: bytes, link: bytes) -> bytes:
    """A message of one type, each of `count` types being made of the next by `link` (% for its number)."""
    table = b"".join(link.replace(b"%", reference(n + 1)) for n in range(count))
    return b"DIDL" + leb(count + 1) + table + inner + b"\1\0"


def leb(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def reference(number: int) -> bytes:
    """The same number, signed."""
    return (
        leb(number)
        if number >> (7 * len(leb(number)) - 1) == 0
        else leb(number)[:-1] + bytes([leb(number)[-1] | 0x80, 0])
    )


@pytest.mark.parametrize(
    "head",
    [
        chain(50_000, b"\x6e\x7d", b"\x6e%"),  # opt opt opt ... nat
        chain(60, b"\x6c\0", b"\x6c\2\0%\1%"),  # record { record { ... }; record { ... } } of nothing
        chain(60, b"\x6c\1\0\x7b", b"\x6c\2\0%\1%"),  # the same of bytes
        chain(60, b"\x6e\x7f", b"\x6c\2\0%\1%"),
        chain(20, b"\x6d\x7b", b"\x6d%"),  # vec vec vec ... nat8
    ],
)
@pytest.mark.parametrize("body", [b"", b"\0" * 60_000, b"\1" * 60_000, b"\xff" * 60_000])
@pytest.mark.parametrize("keep", [WHOLE, PLAIN, NOTHING])
def test_types_that_double_or_never_end_are_no_trap(head: bytes, body: bytes, keep: DecodeLimits) -> None:
    begun = time.process_time()
    stream = Stream(Plain(head + body))
    found = read_head(stream, {})
    with suppress(InspectError):
        ValueReader(stream, found, keep).read(found.arguments[0])
    assert time.process_time() - begun < 10


def test_what_is_too_large_to_be_compared_is_a_problem_and_no_equality() -> None:
    sandbox = Sandbox(max_snapshots=10)
    canister = sandbox.create_canister()
    canister.install(wat("(module (memory 1))"))
    size = (16 << 20) + 1
    head = b"DIDL\0\1\x71" + leb(size)
    first = sandbox.snapshots.edit(canister.take_snapshot().id, stable_size=17 << 20, stable={0: head})
    second = sandbox.snapshots.edit(first.id, stable={len(head) + size - 1: b"x"})
    [found] = sandbox.snapshots.diff(first, second).structures
    assert (found.name, found.entries) == ("values", ())
    assert "16,777,217 bytes are too long to be read as a whole" in str(found.problem)


def test_a_change_deep_in_a_list_is_found() -> None:
    sandbox = Sandbox(max_snapshots=10)
    canister = sandbox.create_canister()
    canister.install(fixture("vars_v1.classical"))
    canister.call("fill")
    old = canister.take_snapshot(via_hooks=True)
    stable = sandbox.snapshots.inspect(old.id).stable
    image = stable.read(0, stable.size)
    end = image.index(b"\1\2\1\1\1\0\0")  # ?(2, ?(1, ?(0, null)))
    new = sandbox.snapshots.edit(old.id, stable={end + 5: b"\5"})
    [found] = sandbox.snapshots.diff(old, new).structures
    [entry] = found.entries
    assert str(entry.key).startswith("list?.1?.1")
    assert isinstance(entry.before, Node)
    assert isinstance(entry.after, Node)
    assert (node_json(entry.before), node_json(entry.after)) == (0, 5)


def test_a_message_that_stable_save_wrote_is_compared_by_its_values() -> None:
    sandbox = Sandbox(max_snapshots=10)
    canister = sandbox.create_canister()
    canister.install(fixture("people_heap_rs_v1"))
    canister.call("fill", 30)
    old = canister.take_snapshot(via_hooks=True)
    canister.call("set_age", 3, 77)
    canister.call("fill", 1)
    [found] = sandbox.snapshots.diff(old, canister.take_snapshot(via_hooks=True)).structures
    told = {entry.key: (entry.before is None, entry.after is None) for entry in found.entries}
    assert told == {"0[3].age": (False, False), "0[30]": (True, False), "1": (False, False)}


def test_a_huge_text_is_not_read_to_be_gone_past() -> None:
    size = 400 << 20
    message = b"DIDL\1\x6c\1\0\x71\1\0" + leb(size)
    stream = Stream(Sparse(len(message) + size, {0: message}))
    head = read_head(stream, {})
    ValueReader(stream, head, NOTHING).read(head.arguments[0])
    assert not stream.left

"""A memory manager whose tables contradict each other, and a log whose index is damaged: the readable rest is shown."""

from __future__ import annotations

import struct

import pytest

from sandbox.snapshots.inspect import Decoded, InspectError, Part, Plain, decode
from sandbox.snapshots.inspect.source import Damaged
from tests.snapshots.inspect.images import cells, part, whole
from tests.snapshots.inspect.test_structures import header, log, manager

PAGE = 65536
TABLE = 2080
"""The offset of the owners of buckets."""


def cell(value: bytes) -> bytes:
    return header(b"SCL", 1, (4, len(value))) + value


def damaged(offset: int, value: bytes) -> Decoded:
    """Four memories of a page each, in buckets 0 to 3, with a change of the manager's header."""
    image = bytearray(manager({n: cell(b"value %d" % n) for n in range(4)}))
    image[offset : offset + len(value)] = value
    return decode(Plain(bytes(image)))


def problems(decoded: Decoded) -> dict[str, str]:
    return {each.name: each.problem for each in decoded.parts if each.problem is not None}


@pytest.mark.parametrize("count", [0, 3, 5, 40_000])
def test_a_wrong_number_of_buckets_hides_nothing(count: int) -> None:
    decoded = damaged(4, struct.pack("<H", count))
    for n in range(4):
        assert cells(part(decoded, f"memory {n}")) == [(b"value %d" % n,)]
    assert problems(decoded) == {
        "memory manager": f"the memory manager has {count:,} buckets (at 0x4) and 4 owners (at 0x820)"
    }


@pytest.mark.parametrize(
    ("bucket", "owner", "hidden"),
    [
        (1, 255, {"memory 1"}),  # no owner
        (1, 2, {"memory 1", "memory 2"}),  # which of its two buckets is memory 2's own?
        (1, 9, {"memory 1"}),  # a memory without pages
        (4, 3, {"memory 3"}),  # one more
        (300, 7, set()),  # far behind
    ],
)
def test_a_wrong_owner_hides_the_memories_concerned(bucket: int, owner: int, hidden: set[str]) -> None:
    decoded = damaged(TABLE + bucket, bytes([owner]))
    named = problems(decoded)
    assert set(named) - {"memory manager"} == hidden
    assert named
    for n in range(4):
        if f"memory {n}" not in hidden:
            assert cells(part(decoded, f"memory {n}")) == [(b"value %d" % n,)]


def test_a_manager_without_a_readable_memory_is_an_error() -> None:
    image = header(b"MGR", 1, (2, 7), (2, 16)).ljust(40, b"\0") + bytes(8 * 255)
    with pytest.raises(InspectError, match=r"7 buckets \(at 0x4\) and 0 owners"):
        decode(Plain(image.ljust(PAGE, b"\xff")))


@pytest.mark.parametrize("end", [0, 1 << 62, 14])
def test_a_log_with_a_damaged_last_entry_shows_the_others(end: int) -> None:
    index, data = log([b"first", b"second", b"third"])
    index = index[:-8] + struct.pack("<Q", end)
    decoded = decode(Plain(manager({3: index, 4: data, 6: log([b"x"])[0], 7: log([b"x"])[1]})))
    assert cells(part(decoded, "memory 6")) == [(b"x",)]
    found = part(decoded, "memory 3")
    assert found.facts["data in"] == "memory 4"
    entries, damages = values(found)
    assert entries[:2] == [b"first", b"second"]
    assert bool(damages) == (end != 14)
    assert end == 14 or "entry 2 of the log ends at" in damages[0]


def values(found: Part) -> tuple[list[bytes], tuple[str, ...]]:
    """The entries before the damages, and these."""
    entries: list[bytes] = []
    try:
        entries += (whole(value) for (value,) in found.rows())  # type: ignore[arg-type]
    except Damaged as error:
        return entries, error.damages
    return entries, ()

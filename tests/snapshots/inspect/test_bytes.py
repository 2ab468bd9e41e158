"""Reading by ranges, pages and their pictures, texts, hexadecimal."""

from __future__ import annotations

import random
import re
import zlib
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sandbox.api import runtime_of
from sandbox.memory import Pool
from sandbox.snapshots.inspect import InspectError, Page, Plain, hexdump, page_map, strings
from sandbox.snapshots.inspect import picture as pictures
from sandbox.snapshots.inspect.pages import classify
from sandbox.snapshots.inspect.source import PIECE, Patched, Pieces, is_zero, pieces
from tests.conftest import fixture
from tests.snapshots.inspect.images import Sparse, new

GIB = 1 << 30
DATA = bytes(range(1, 101))


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 10)), max_size=6), st.integers(0, 70), st.integers(0, 70))
def test_pieces_read_as_their_ranges_joined(runs: list[tuple[int, int]], offset: int, length: int) -> None:
    joined = b"".join(DATA[at : at + size] for at, size in runs)
    found = Pieces(Plain(DATA), runs)
    assert found.size == len(joined)
    assert found.read(offset, length) == joined[offset : offset + length]
    assert b"".join(found.read(*run) for run in found.extents()) == joined


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 20)), max_size=6))
def test_extents_of_pieces_hold_all_that_is_not_zero(runs: list[tuple[int, int]]) -> None:
    source = Sparse(100, {10: b"abc", 40: b"x" * 30})
    found = Pieces(source, runs)
    whole = bytearray(found.size)
    for at, length in found.extents():
        whole[at : at + length] = found.read(at, length)
    assert bytes(whole) == found.read(0, found.size)


def test_ranges_outside_are_refused() -> None:
    with pytest.raises(InspectError, match="11 bytes at 0x5a is not inside the 100 bytes"):
        Pieces(Plain(DATA), [(90, 11)])
    with pytest.raises(InspectError, match="not inside"):
        list(hexdump(Plain(DATA), 99, 2))


@pytest.mark.parametrize("data", [{}, {2: b"x"}, {4: b"x"}, {9: b"x"}, {0: b"x"}])
def test_a_patched_head_is_read_and_found(data: dict[int, bytes]) -> None:
    found = Patched(Sparse(20, data), 16, b"HEAD")
    expected = b"HEAD" + Sparse(20, data).read(4, 12)
    assert found.read(0, 16) == expected
    assert b"".join(b for _, b in pieces(found, 16)) == expected


CLASSES = {
    Page.ZERO: bytes(4096),
    Page.TEXT: (b'{"name": "Ada", "city": "London"}\n' * 130)[:4096],
    Page.STRUCTURED: b"".join(n.to_bytes(4, "little") for n in range(1024)),
    Page.ENTROPY: random.Random(1).randbytes(4096),
}


@pytest.mark.parametrize("kind", Page)
def test_pages_are_told_apart(kind: Page) -> None:
    assert classify(CLASSES[kind]) is kind


def test_code_and_compressed_code_are_told_apart() -> None:
    module = fixture("people_v1.classical")
    plain, packed = page_map(Plain(module), 65536).counts, page_map(Plain(zlib.compress(module, 9)), 65536).counts
    assert plain["structured"] == 4
    assert packed["high entropy"] >= 1


def test_a_map_counts_every_page_and_knows_where_each_is() -> None:
    source = Plain(b"".join(CLASSES[kind] for kind in (Page.TEXT, Page.ZERO, Page.ENTROPY, Page.STRUCTURED)) + b"end")
    found = page_map(source)
    assert found.classes == {0: Page.TEXT, 2: Page.ENTROPY, 3: Page.STRUCTURED, 4: Page.STRUCTURED}
    assert found.counts == {"zero": 1, "structured": 2, "text": 1, "high entropy": 1}


def test_a_sparse_memory_of_500_gib_costs_its_data() -> None:
    pool = Pool()
    memory = pool.memory(500 * GIB)
    memory.write(499 * GIB, b"needle in the haystack")
    memory.write(3 * GIB + 5, CLASSES[Page.TEXT])
    image = memory.image()
    found = page_map(image)
    assert (found.pages, len(found.classes)) == (500 * GIB // 4096, 3)
    assert [(s.offset, s.text) for s in strings(image, pattern=re.compile("needle"))] == [
        (499 * GIB, "needle in the haystack")
    ]
    assert not is_zero(image)


def test_a_map_is_written_as_a_picture(tmp_path: Path) -> None:
    source = Plain(b"".join(CLASSES[kind] for kind in Page) * 16)
    file = tmp_path / "map.png"
    assert pictures.write_png({"heap": page_map(source)}, file) == {"heap": 1}
    with Image.open(file) as image:
        assert image.format == "PNG"
        colours = {colour for _, colour in image.getcolors(1 << 24) or []}
    assert colours >= {look.colour for look in pictures.CLASSES.looks.values()}


def test_a_picture_has_an_axis_of_addresses() -> None:
    found = page_map(Sparse(2 << 20, {0: b"x"}))
    assert [address for _, address in pictures.axis(found)] == [0, 3 << 18, 3 << 19]
    marks = pictures.axis(page_map(Sparse(500 * GIB, {0: b"x"})))
    assert marks[0] == (0, 0)
    assert all(two[0] - one[0] >= 40 for one, two in pairwise(marks))
    assert {address % (125 << 12) for _, address in marks} == {0}


def test_a_point_that_stands_for_many_pages_shows_the_rarest_trace() -> None:
    found = page_map(Sparse(500 * GIB, {123 * GIB: b"x"}))
    drawn = pictures.points(found, 1000)
    assert (drawn.count, drawn.each) == (1000, 131072)
    [dot] = drawn.dots.values()
    assert pictures.colour(dot) != pictures.CLASSES.looks[Page.ZERO].colour


def test_the_picture_of_a_huge_memory_is_small(tmp_path: Path) -> None:
    found = page_map(Sparse(500 * GIB, {123 * GIB: b"x"}))
    assert pictures.write_png({"": found}, tmp_path / "map.png") == {"": 125}
    assert (tmp_path / "map.png").stat().st_size < 100_000


def test_signs_and_halves_show_the_same_points() -> None:
    found = page_map(Plain(b"".join(CLASSES[kind] for kind in Page) * 8))
    assert "".join(pictures.signs(found, 10, 4)) == "·▒t█" * 8
    rows = list(pictures.lines(found, 10, 2))
    assert [len(row) for row in rows] == [10, 10]
    assert rows[1][2] == (pictures.Point(Page.TEXT, 1.0), None)


def test_texts_of_a_heap_are_found_where_they_lie() -> None:
    canister = new("people_v1.classical")
    canister.call("add_many", [{"name": f"{n}", "email": f"p{n}@example.org", "age": 1, "tags": []} for n in range(20)])
    heap = runtime_of(canister).state_of(canister.id).heap.image()
    found = {text.text: text.offset for text in strings(heap, 8, re.compile(r"^p\d+@example"))}
    assert len(found) == 20
    for text, offset in found.items():
        assert heap.read(offset, len(text)) == text.encode()


@given(st.integers(-40, 40), st.sampled_from(["plain ascii text", "Grüße, 世界 🌍 ok", "é" * 12]))
def test_a_text_over_the_border_of_two_reads_is_one(shift: int, text: str) -> None:
    at = PIECE + shift
    assert [
        (s.offset, s.text) for s in strings(Sparse(1 << 22, {at & ~4095: b"\1" * (at % 4096) + text.encode()}))
    ] == [(at, text)]


def test_texts_keep_to_their_least_length_and_range() -> None:
    source = Plain(b"\0four\0five5\0\xff\xfesixsix\xff\0seven77\0")
    assert [s.text for s in strings(source, 5)] == ["five5", "sixsix", "seven77"]
    assert [s.text for s in strings(source, 5, first=10)] == ["sixsix", "seven77"]
    assert [s.text for s in strings(source, 5, last=10)] == []
    assert len(list(islice(strings(Plain(b"a" * 100_000)), 100))) == 25  # in parts of 4,096


def test_a_hexdump_reads_as_the_bytes() -> None:
    source = Plain(bytes(range(32, 64)) + bytes(64) + b"end")
    lines = list(hexdump(source, 0, source.size))
    assert lines[0] == "00000000  20 21 22 23 24 25 26 27  28 29 2a 2b 2c 2d 2e 2f  | !\"#$%&'()*+,-./|"
    assert lines[2:] == ["*", "00000060  65 6e 64                                          |end|"]
    assert next(hexdump(source, 1, 3)) == f'00000001  {"21 22 23":48}  |!"#|'

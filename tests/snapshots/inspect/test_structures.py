"""`ic-stable-structures` in a stable memory, against what the canister itself answers and the crate's layouts."""

from __future__ import annotations

import struct
from itertools import islice

import pytest

from sandbox import candid
from sandbox.snapshots.inspect import InspectError, Plain, decode
from tests.conftest import fixture
from tests.snapshots.inspect.images import Sparse, cells, new, part, rust_people, stable, whole


def test_a_map_holds_what_the_canister_answers() -> None:
    canister = new("people_stable_rs_v1")
    canister.call("fill", 3000)
    canister.call("set_age", 7, 99)
    found = part(decode(stable(canister)), "0")
    assert (found.kind, found.count, found.facts["keys"]) == ("BTreeMap", 3000, "8 bytes each")
    rows = cells(found)
    assert [int.from_bytes(key, "big") for key, _ in rows] == list(range(3000))
    names = ("name", "email", "age", "tags")
    people = [{"id": n, **candid.decode_untyped(value, names)[1][0]} for n, (_, value) in enumerate(rows)]
    assert people == canister.call("list", 0, 3000)


def test_cells_hold_what_the_canister_answers() -> None:
    canister = new("people_stable_rs_v1")
    canister.upgrade(fixture("people_stable_rs_v1"), {"title": "All of us", "max_people": 12})
    canister.call("fill", 2)
    canister.call("set_age", 0, 99)
    decoded = decode(stable(canister))
    [[config]] = cells(part(decoded, "memory 1"))
    assert candid.decode_untyped(config, ("title", "max_people"))[1] == [canister.call("config")]
    [[edits]] = cells(part(decoded, "memory 2"))
    assert int.from_bytes(edits, "big") == canister.call("edit_count") == 1


def test_values_larger_than_a_page_are_read_over_overflow_pages() -> None:
    canister = new("people_stable_rs_v1")
    people = [{"name": letter * 5000, "email": "", "age": 1, "tags": ["x" * 900] * 7} for letter in "abcdefghijklmno"]
    canister.call("add_many", people)
    rows = cells(part(decode(stable(canister)), "0"))
    names = ("name", "email", "age", "tags")
    assert [candid.decode_untyped(value, names)[1][0] for _, value in rows] == people


def test_only_the_nodes_that_are_asked_for_are_read() -> None:
    canister = new("people_stable_rs_v1")
    canister.call("fill", 5000)
    image, reads = stable(canister), []

    class Counted:
        size = image.size

        def read(self, offset: int, length: int) -> bytes:
            reads.append(length)
            return image.read(offset, length)

        def extents(self) -> list[tuple[int, int]]:
            return list(image.extents())

    found = part(decode(Counted()), "0")
    list(islice(found.rows(), 10))
    assert sum(reads) < 300_000 < canister.status().stable_size


# --- layouts that the fixtures do not have, built as the crate's documentation draws them


def header(magic: bytes, version: int, *fields: tuple[int, int]) -> bytes:
    return magic + bytes([version]) + b"".join(value.to_bytes(size, "little") for size, value in fields)


def v1_node(kind: int, entries: list[tuple[bytes, bytes]], children: list[int], sizes: tuple[int, int]) -> bytes:
    body = header(b"BTN", 1, (1, kind), (2, len(entries)))
    for pair in entries:
        for data, size in zip(pair, sizes, strict=True):
            body += struct.pack("<I", len(data)) + data.ljust(size, b"?")
    return body + b"".join(struct.pack("<Q", child) for child in children)


def v1_map(length: int = 3, child: int = 0x800) -> bytes:
    sizes = (8, 16)
    image = bytearray(4096)
    image[:0x1C] = header(b"BTR", 1, (4, 8), (4, 16), (8, 0x400), (8, length))
    root = v1_node(1, [(b"m", b"middle")], [child, 0xC00], sizes)
    image[0x400 : 0x400 + len(root)] = root
    for at, pair in ((0x800, (b"a", b"first")), (0xC00, (b"zebra", b""))):
        leaf = v1_node(0, [pair], [], sizes)
        image[at : at + len(leaf)] = leaf
    return bytes(image)


def test_a_map_of_the_first_layout_without_a_memory_manager() -> None:
    decoded = decode(Plain(v1_map()))
    assert (decoded.layout, decoded.facts) == ("ic-stable-structures", {"memory manager": "none"})
    found = part(decoded, "structure")
    assert found.facts == {"layout": "version 1", "page": "455 bytes", "greatest key": 8, "greatest value": 16}
    assert cells(found) == [(b"a", b"first"), (b"m", b"middle"), (b"zebra", b"")]


def v2_map(keys: list[bytes], values: list[bytes], greatest: tuple[int, int]) -> bytes:
    """One leaf of keys of varying size; the page is that of types of these greatest sizes."""
    page = (7 + 11 * (8 + sum(greatest)) + 12 * 8) * 3 // 4
    head = header(b"BTR", 2, (4, page), (4, 0xFFFF_FFFF), (8, 0x40), (8, len(keys))).ljust(0x40, b"\0")
    body = header(b"BTN", 2, (1, 0), (2, len(keys)), (8, 0))
    for data in keys + values:
        body += struct.pack("<I", len(data)) + data
    return (head + body).ljust(4096, b"\0")


def test_keys_that_leave_no_room_for_values_are_a_set() -> None:
    anonymous, users = b"\4", [bytes([n]) * 28 + b"\2" for n in (7, 9)]
    found = part(decode(Plain(v2_map([anonymous, *users], [b""] * 3, (29, 0)))), "structure")
    assert (found.kind, found.columns, found.count) == ("BTreeSet", ("key",), 3)
    assert cells(found) == [(anonymous,), *((user,) for user in users)]
    unsure = part(decode(Plain(v2_map([anonymous], [b""], (29, 0)))), "structure")
    assert (unsure.kind, unsure.facts["values"]) == ("BTreeMap", "empty, perhaps a BTreeSet")
    valued = part(decode(Plain(v2_map([*users], [b""] * 2, (29, 4)))), "structure")
    assert valued.kind == "BTreeMap"


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (v1_map(child=0x400), "reaches the node at 0x400 twice"),
        (v1_map(child=0x801), "no node at 0x801"),
        (v1_map(child=1 << 40), "at 0x10000000000 is not inside"),
        (v1_map(child=20), "lies in the header"),
        (v1_map(length=2), "header says 2 entries .at 0x14., the nodes that the tree reaches have 3"),
        (v1_map(length=4), "header says 4 entries .at 0x14., the nodes that the tree reaches have 3"),
    ],
)
def test_a_broken_tree_ends_in_an_error_that_says_where(image: bytes, problem: str) -> None:
    with pytest.raises(InspectError, match=problem):
        list(part(decode(Plain(image)), "structure").rows())


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (header(b"BTR", 3).ljust(64, b"\0"), "layout version 3"),
        (header(b"SVC", 1, (8, 1 << 40), (4, 1), (1, 1)).ljust(4096, b"\0"), "elements"),
        (header(b"SCL", 1, (4, 0xFFFF_FFFF)).ljust(4096, b"\0"), "the value of the cell of 4,294,967,295 bytes"),
        (header(b"MGR", 1, (2, 0), (2, 0)).ljust(65536, b"\xff"), "buckets of 0 pages"),
        (header(b"MGR", 1, (2, 1), (2, 128)).ljust(65536, b"\0"), "owners"),
        (header(b"MGR", 1, (2, 1), (2, 128)), "header of the memory manager"),
    ],
)
def test_a_broken_header_is_an_error_that_says_what(image: bytes, problem: str) -> None:
    with pytest.raises(InspectError, match=problem):
        decode(Plain(image))


@pytest.mark.parametrize(("magic", "kind"), [(b"SVC", "Vec"), (b"SMH", "MinHeap")])
@pytest.mark.parametrize(("most", "prefix"), [(3, "<B"), (300, "<H"), (70_000, "<I")])
def test_elements_of_varying_size_carry_it(magic: bytes, kind: str, most: int, prefix: str) -> None:
    elements = [b"", b"ab", b"xyz"]
    image = header(magic, 1, (8, 3), (4, most), (1, 0)).ljust(64, b"\0")
    for element in elements:
        image += struct.pack(prefix, len(element)) + element.ljust(most, b"?")
    found = part(decode(Plain(image)), "structure")
    assert found.kind == kind
    assert cells(found) == [(element,) for element in elements]


def test_elements_of_fixed_size_stand_side_by_side() -> None:
    image = header(b"SVC", 1, (8, 4), (4, 2), (1, 1)).ljust(64, b"\0") + b"aabbccdd"
    assert cells(part(decode(Plain(image)), "structure")) == [(b"aa",), (b"bb",), (b"cc",), (b"dd",)]


def manager(memories: dict[int, bytes], bucket: int = 1) -> bytes:
    """A memory manager whose memories lie interleaved, a page each."""
    page, most = 65536, max(-(-len(data) // 65536) for data in memories.values())
    buckets = [(n, r) for r in range(most) for n, data in sorted(memories.items()) if r * page < len(data)]
    image = header(b"MGR", 1, (2, len(buckets)), (2, bucket)).ljust(40, b"\0")
    image += b"".join(struct.pack("<Q", -(-len(memories.get(n, b"")) // page)) for n in range(255))
    image += bytes(n for n, _ in buckets).ljust(32768, b"\xff")
    image = image.ljust(page, b"\0")
    for n, rank in buckets:
        image += memories[n][rank * page : (rank + 1) * page].ljust(page, b"\0")
    return image


def log(entries: list[bytes]) -> tuple[bytes, bytes]:
    ends, at = b"", 0
    for entry in entries:
        at += len(entry)
        ends += struct.pack("<Q", at)
    index = header(b"GLI", 1).ljust(32, b"\0") + struct.pack("<Q", len(entries)) + ends
    return index, header(b"GLD", 1).ljust(32, b"\0") + b"".join(entries)


def test_logs_find_their_data_in_another_memory() -> None:
    first, second = [b"one", b"", b"three" * 30_000], [b"x"]
    memories = dict(zip((4, 5, 9, 8), (*log(first), *log(second)), strict=True))
    decoded = decode(Plain(manager(memories)))
    assert cells(part(decoded, "memory 4")) == [(entry,) for entry in first]
    assert part(decoded, "memory 4").facts["data in"] == "memory 5"
    assert cells(part(decoded, "memory 9")) == [(b"x",)]


def test_one_broken_memory_does_not_hide_the_others() -> None:
    memories = {0: b"SCL\x09", 1: header(b"SCL", 1, (4, 2)) + b"ok", 2: b"my own format", 3: bytes(10)}
    decoded = decode(Plain(manager(memories)))
    assert [p.kind for p in decoded.parts] == ["Cell", "Cell", "unknown", "empty"]
    problem = decoded.parts[0].problem
    assert problem is not None
    assert "layout version 9" in problem
    assert cells(decoded.parts[1]) == [(b"ok",)]
    assert whole(decoded.parts[2].data)[:13] == b"my own format"


def test_a_hostile_size_is_not_read() -> None:
    huge = header(b"SCL", 1, (4, 0xF000_0000))
    image = Sparse(500 << 30, {0: huge})
    [[cell]] = part(decode(image), "structure").rows()
    assert cell.size == 0xF000_0000  # type: ignore[union-attr]


def test_a_map_of_a_memory_that_nothing_fits_says_so() -> None:
    decoded = decode(Plain(b"\x01my own layout".ljust(65536, b"\0")))
    assert decoded.layout == "unknown"
    assert "No decoder fits: stable memory begins with 01 6d 79" in decoded.notes[0]
    assert decode(Plain(bytes(65536))).notes == ("Stable memory is all zeros.",)
    assert decode(Plain(b"")).notes == ("There is no stable memory.",)


def test_the_image_of_the_fixture_is_not_empty() -> None:
    assert rust_people()[:4] == b"MGR\x01"

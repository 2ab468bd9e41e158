"""Memories that are filled at once, and whole pages written together."""

from __future__ import annotations

import os

import pytest

from sandbox.memory import PAGE, Pool


def test_a_memory_that_was_just_made_can_be_filled() -> None:
    memory = Pool().memory(4 * PAGE)
    memory.fill([(PAGE, b"one"), (3 * PAGE - 1, b"two")])
    assert memory.read(PAGE, 3) == b"one"
    assert memory.read(3 * PAGE - 1, 3) == b"two"
    assert memory.generation == 2, "made and filled"


def test_a_memory_with_a_past_cannot_be_filled() -> None:
    pool = Pool()
    with_image, with_view, marked = (pool.memory(PAGE) for _ in range(3))
    image, view = with_image.image(), with_view.view()
    for memory in (with_image, with_view):
        with pytest.raises(ValueError, match="only a memory without images, views and marks"):
            memory.fill([(0, b"x")])
    mark = pool.mark()
    with pytest.raises(ValueError, match="only a memory without images, views and marks"):
        marked.fill([(0, b"x")])
    mark.release()
    assert (image.size, view.size) == (PAGE, PAGE)


def test_filling_stays_inside() -> None:
    with pytest.raises(ValueError, match="not inside"):
        Pool().memory(PAGE).fill([(PAGE - 1, b"xy")])


def test_a_patch_writes_pages_and_the_size_and_images_keep_what_was() -> None:
    memory = Pool().memory(4 * PAGE)
    memory.write(0, os.urandom(4 * PAGE))
    image, before = memory.image(), memory.read(0, 4 * PAGE)
    memory.patch([(0, b"a" * PAGE), (PAGE, b"b" * PAGE)], 2 * PAGE)
    assert memory.read(0, memory.size) == b"a" * PAGE + b"b" * PAGE
    memory.patch([(5 * PAGE, b"c" * PAGE)], 6 * PAGE)
    assert memory.read(PAGE, 5 * PAGE) == b"b" * PAGE + bytes(3 * PAGE) + b"c" * PAGE
    memory.restore(image)
    assert memory.read(0, 4 * PAGE) == before


def test_a_patch_is_of_whole_pages_inside() -> None:
    memory = Pool().memory(2 * PAGE)
    for parts in ([(1, bytes(PAGE))], [(0, b"x")], [(2 * PAGE, bytes(PAGE))]):
        with pytest.raises(ValueError, match="whole pages"):
            memory.patch(parts, 2 * PAGE)


def test_a_patch_that_finds_no_room_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from sandbox.errors import StateError
    from sandbox.memory import host

    memory = Pool().memory(3 * PAGE)
    memory.write(0, b"before" * 100)
    before = memory.read(0, 3 * PAGE)
    original, calls = host.write_all, []

    def full(fd: int, data: bytes, offset: int) -> None:
        calls.append(offset)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        original(fd, data, offset)

    monkeypatch.setattr(host, "write_all", full)
    with pytest.raises(StateError, match="no space left"):
        memory.patch([(0, b"a" * PAGE), (PAGE, b"b" * PAGE)], 3 * PAGE)
    assert memory.read(0, 3 * PAGE) == before


def test_pieces_of_an_image_are_what_it_reads() -> None:
    memory = Pool().memory(8 * PAGE)
    memory.write(0, os.urandom(8 * PAGE))
    image = memory.image()
    whole = image.read(0, 8 * PAGE)
    memory.write(3 * PAGE + 5, b"changed since")
    runs = [(0, PAGE), (3 * PAGE, 2 * PAGE), (7 * PAGE, PAGE)]
    found = []
    for offset, data in image.pieces(runs):
        memory.write(offset, b"changed between two pieces")
        found.append((offset, data))
    assert found == [(offset, whole[offset : offset + length]) for offset, length in runs]

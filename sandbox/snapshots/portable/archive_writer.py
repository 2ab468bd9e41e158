"""Write an `.icsnap` file: as a stream, compressed by two threads, continued where an earlier attempt ended."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import cbor2
import zstandard

from sandbox.memory import Readable
from sandbox.memory.host import read_padded, write_all
from sandbox.snapshots.portable import fields, layout
from sandbox.snapshots.portable.content import Content, Progress
from sandbox.snapshots.portable.files import locked, making, part_of, put
from sandbox.snapshots.portable.layout import FIELDS, HEAD_SIZE, HEADER, HEADER_SIZE, LONGEST, Head
from sandbox.snapshots.portable.windows import Span, Window, packed, spans

_LEVEL: Final = 1
_THREADS: Final = 2
_AHEAD: Final = 2 * _THREADS
_local = threading.local()

Task = tuple[int, Readable, Span]
"""The number of a part, the part, and a span of it."""


def write_archive(content: Content, path: Path, progress: Progress | None = None) -> None:
    """Write the file; it has its name only when it is complete and on the disk.

    Blocks that an earlier attempt for the same content left in `PATH.part` are checked and kept.
    """
    part = part_of(path)
    with making(path, directory=False), locked(part) as fd:
        _Writer(fd, content, progress).write()
        os.fsync(fd)
        put(part, path)


class _Writer:
    def __init__(self, fd: int, content: Content, progress: Progress | None) -> None:
        self._fd = fd
        self._progress = progress
        self._index = bytearray()
        self._end = HEADER_SIZE
        parts = content.parts()
        self._tasks: list[Task] = [
            (number, source, span) for number, source in enumerate(parts.values()) for span in spans(source)
        ]
        self._total = sum(span.high - span.low for _, _, span in self._tasks)
        self._done = 0
        self._first = _first_body(content)

    def write(self) -> None:
        """Write blocks, index and end."""
        done = self._resume()
        self._report(done)
        with ThreadPoolExecutor(_THREADS) as pool:
            for head, body, (_, _, span) in _compressed(pool, self._tasks[done:]):
                if head.pages:
                    self._append(head, body)
                self._report(1, span)
        index = bytes(self._index)
        write_all(self._fd, index + layout.end(self._end, index), self._end)

    def _report(self, count: int, span: Span | None = None) -> None:
        passed = [span] if span is not None else [task[2] for task in self._tasks[:count]]
        self._done += sum(high - low for _, low, high in passed)
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _append(self, head: Head, body: bytes) -> None:
        write_all(self._fd, head.packed() + body, self._end)
        self._note(head)

    def _note(self, head: Head) -> None:
        self._index += head.packed()
        self._end += HEAD_SIZE + head.length

    def _resume(self) -> int:
        """Keep the whole blocks of this content in the file; return the number of tasks already done."""
        first = Head.over(FIELDS, 0, 0, self._first)
        heads = self._blocks()
        if next(heads, None) != first:
            os.ftruncate(self._fd, 0)
            write_all(self._fd, HEADER, 0)
            self._append(first, self._first)
            return 0
        self._note(first)
        places = {(number, span.number): index for index, (number, _, span) in enumerate(self._tasks)}
        done = 0
        for head in heads:
            place = places.get((head.part, head.window), -1)
            if place < done:
                break
            self._note(head)
            done = place + 1
        os.ftruncate(self._fd, self._end)
        return done

    def _blocks(self) -> Iterator[Head]:
        """Yield the blocks in the file up to the first that is not whole."""
        size = os.fstat(self._fd).st_size
        position = HEADER_SIZE
        if read_padded(self._fd, HEADER_SIZE, 0) != HEADER:
            return
        while position + HEAD_SIZE <= size:
            head = Head.read(read_padded(self._fd, HEAD_SIZE, position))
            position += HEAD_SIZE
            if head.length > LONGEST or position + head.length > size:
                return
            if head.hash(read_padded(self._fd, head.length, position)) != head.digest:
                return
            position += head.length
            yield head


def _first_body(content: Content) -> bytes:
    record = {
        "fields": fields.encode(content.fields),
        "parts": [[name, source.size] for name, source in content.parts().items()],
        "history": [dict(item) for item in content.fields.history],
    }
    return _compress(cbor2.dumps(record))


def _compressed(pool: ThreadPoolExecutor, tasks: list[Task]) -> Iterator[tuple[Head, bytes, Task]]:
    """Yield compressed blocks in order, a few ahead. Only the calling thread reads the sources."""
    waiting: deque[tuple[Future[tuple[Head, bytes]], Task]] = deque()
    try:
        for task in tasks:
            waiting.append((pool.submit(_block, task[0], packed(task[1], task[2])), task))
            if len(waiting) > _AHEAD:
                yield (*waiting[0][0].result(), waiting.popleft()[1])
        while waiting:
            yield (*waiting[0][0].result(), waiting.popleft()[1])
    finally:
        for future, _ in waiting:
            future.cancel()


def _block(part: int, window: Window) -> tuple[Head, bytes]:
    body = _compress(window.data) if window.pages else b""
    return Head.over(part, window.number, window.pages, body), body


def _compress(data: bytes) -> bytes:
    compressor: Any = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    compressed: bytes = compressor.compress(data)
    return compressed

"""The file of a record, format 1: a line, then frames. Frames are only appended, except that those of undone steps are
cut off again.

    canister-sandbox record 1\\n
    frame: length of the body (4 bytes, big-endian), BLAKE3 of the body (8 bytes), body: zstd of CBOR, one of
      ["start", header]     the configuration of the sandbox (`Header`); first
      ["blob", bytes]       long bytes, before they are first referred to by their SHA-256
      ["input", value]      a step, written before it is taken (`values`)
      ["outcome", map]      its outcome (`Outcome`); strings and digests are not abbreviated
      ["end", why]          the recording was ended; nothing follows

A process that dies leaves whole frames and perhaps a part of one: the whole ones are valid. A frame that contradicts
its checksum and is followed by others is damage, and refused.
"""

from __future__ import annotations

import hashlib
import os
import struct
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import blake3
import cbor2
import zstandard

from sandbox import fork
from sandbox.errors import RecordError, of_system
from sandbox.record import values
from sandbox.record.watch import Outcome, Step

FORMAT = 1
_LINE = b"canister-sandbox record "
_FRAME = struct.Struct(">I8s")
_OUTCOME = tuple(field.name for field in fields(Outcome))
_ENCODED = ("answer", "submitted", "outcalls")
"""Fields of an outcome that may hold long bytes."""
_MOST = 1 << 31
"""The most bytes of a frame's content; larger ones are refused."""


@dataclass(frozen=True, slots=True)
class Header:
    """The configuration under which the record began. `counted_by`: the counter of instructions (`engine.counting`);
    `hashed_by`: the hashing of states (`record.state_hash.hashing`)."""

    counted_by: str
    hashed_by: str
    seed: int
    time: int
    costs: str
    max_snapshots: int
    instruction_limits: dict[str, int]
    backtraces: bool = True
    next_canister: int = 0
    """The index of the first canister; older records have neither this nor `backtraces`."""
    metering: str = "classic"
    """The rules by which instructions count; older records counted otherwise, and say so in `counted_by`."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of a record, and its reason."""

    whole: bool
    """Whether the recording was ended; if not, its process died or is still recording."""
    why: str


class Writer:
    """A writer that appends frames to a new file, unbuffered. After a failed write every further one is refused: a
    record has no gaps."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self._blobs: dict[bytes, None] = {}
        self._size = 0
        self._broken: RecordError | None = None
        self._compressor = zstandard.ZstdCompressor(level=3)
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise RecordError(f"a record cannot be written to {path}: {error}") from error
        self._free = weakref.finalize(self, os.close, self._file)
        fork.own(self)
        self._write(_LINE + f"{FORMAT}\n".encode())
        self._frame("start", asdict(header))

    def step(self, step: Step) -> None:
        """Write a step before it is taken."""
        self._frame("input", values.encode(step, self._blob))

    def outcome(self, outcome: Outcome) -> None:
        """Write the outcome of the last step."""
        content = {name: getattr(outcome, name) for name in _OUTCOME}
        try:
            content |= {name: values.encode(content[name], self._blob) for name in _ENCODED}
            self._frame("outcome", content)
        except RecordError as error:
            self._broken = error
            raise

    def position(self) -> tuple[int, int]:
        """Return the number of bytes and of blobs written."""
        return self._size, len(self._blobs)

    def back_to(self, position: tuple[int, int]) -> None:
        """Cut off everything written after `position`. May be repeated."""
        size, blobs = position
        while len(self._blobs) > blobs:
            self._blobs.popitem()
        if self._free.alive and self._broken is None:
            try:
                os.ftruncate(self._file, size)
            except OSError as error:
                of_system(error)
                self._broken = RecordError(f"{self.path}: an undone step cannot be cut off: {error}")
        self._size = size

    def close(self, why: str) -> None:
        """Write the last frame and sync the file."""
        try:
            if self._broken is None:
                self._frame("end", why)
                os.fsync(self._file)
        finally:
            self._free()

    def disown(self, process: int) -> None:
        """Give up the file in a forked child: it belongs to the parent."""
        self._broken = RecordError(f"{self.path}: this record belongs to process {process}")
        self._free()

    def _blob(self, digest: bytes, content: bytes) -> None:
        if digest not in self._blobs:
            self._frame("blob", content)
            self._blobs[digest] = None

    def _frame(self, kind: str, content: Any) -> None:
        try:
            body = self._compressor.compress(cbor2.dumps([kind, content]))
        except (ValueError, cbor2.CBOREncodeError) as error:
            raise RecordError(f"this cannot be recorded: {error}") from error
        self._write(_FRAME.pack(len(body), blake3.blake3(body).digest(8)) + body)

    def _write(self, data: bytes) -> None:
        if self._broken is not None:
            raise self._broken
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._size += len(data)
        except OSError as error:
            of_system(error)
            self._broken = RecordError(f"{self.path}: the record cannot be written: {error}")
            raise self._broken from error


def read(path: Path) -> Iterator[Header | Step | Outcome | End]:
    """Yield the header, each step followed by its outcome, and the end. An unfinished step has no outcome.

    `RecordError` if the file is damaged or not a record of this format, as soon as reading reaches the fault.
    """
    try:
        with open(path, "rb") as file:
            _check_line(path, file.readline(64))
            yield from _contents(path, file)
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error}") from error


def _check_line(path: Path, line: bytes) -> None:
    if not line.startswith(_LINE) or not line.endswith(b"\n"):
        raise RecordError(f"{path} is not a record of a sandbox")
    version = line[len(_LINE) : -1].decode(errors="replace")
    if version != str(FORMAT):
        raise RecordError(f"{path} is a record of format {version}; this version of canister-sandbox reads {FORMAT}")


def _contents(path: Path, file: BinaryIO) -> Iterator[Header | Step | Outcome | End]:
    blobs: dict[bytes, bytes] = {}
    seen = 0
    while True:
        offset = file.tell()
        frame = _next(path, file)
        if isinstance(frame, End):
            if not seen:
                raise RecordError(f"{path} is a torn record: it ends before its first step")
            yield frame
            return
        kind, content = frame
        if kind == "blob":
            blobs[hashlib.sha256(content).digest()] = content
            continue
        if (kind == "start") != (not seen) or kind not in _READERS:
            raise RecordError(f"{path}: at byte {offset} stands {kind!r}, which does not belong there")
        seen += 1
        try:
            yield _READERS[kind](content, blobs)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(f"{path}: at byte {offset} stands what is no {kind}: {error!r}") from error
        if kind == "end":
            return


def _next(path: Path, file: BinaryIO) -> tuple[str, Any] | End:
    """Return the next frame, or the `End` of a file whose recording was not ended."""
    offset = file.tell()
    head = file.read(_FRAME.size)
    if not head:
        return End(False, "the recording was not ended: its process died, or goes on")
    torn = End(False, f"torn at byte {offset}, in the middle of what was being written")
    if len(head) < _FRAME.size:
        return torn
    length, digest = _FRAME.unpack(head)
    body = file.read(length)
    if len(body) < length:
        return torn
    if blake3.blake3(body).digest(8) != digest:
        if not file.read(1):
            return torn
        raise RecordError(f"{path} is damaged at byte {offset}: it contradicts its checksum")
    try:
        kind, content = cbor2.loads(zstandard.ZstdDecompressor().decompress(body, max_output_size=_MOST))
    except (zstandard.ZstdError, cbor2.CBORDecodeError, ValueError, TypeError) as error:
        raise RecordError(f"{path}: at byte {offset} stands no frame: {error}") from error
    return kind, content


def _outcome(content: dict[str, Any], blobs: dict[bytes, bytes]) -> Outcome:
    decoded = {name: values.decode(content[name], blobs) for name in _ENCODED}
    return Outcome(**{**content, **decoded})


_READERS: dict[str, Callable[[Any, dict[bytes, bytes]], Header | Step | Outcome | End]] = {
    "start": lambda content, _: Header(**content),
    "input": lambda content, blobs: values.decode(content, blobs),
    "outcome": _outcome,
    "end": lambda why, _: End(True, why),
}

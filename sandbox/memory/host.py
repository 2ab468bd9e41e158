"""The parts of the operating system that memories need: mappings, sparse files, and errors of system calls.

Everything foreign (ctypes, ioctl, platform constants) is in this file, in `pagemap` and in `protect`; the rest of the
package is plain Python over these functions. Offsets and lengths are bytes.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sandbox.errors import StateError, of_system

Run = tuple[int, int]
"""An offset and a length in bytes."""

Part = tuple[int, bytes | memoryview]
"""An offset and the bytes there."""

PAGE: Final = mmap.PAGESIZE
ZEROS: Final = bytes(PAGE)
CHUNK: Final = 1 << 20  # the unit of bulk copies: bounds what one of them holds in Python

LINUX: Final = sys.platform.startswith("linux")

PROT_NONE: Final = 0
PROT_RW: Final = 3
_PRIVATE: Final = 0x02
_FIXED: Final = 0x10
_ANON: Final = 0x20 if LINUX else 0x1000
_NORESERVE: Final = 0x4000 if LINUX else 0x40
_MADV_DONTNEED: Final = 4
_MADV_NOHUGEPAGE: Final = 15
_PUNCH: Final = 0x03  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_FAILED: Final = ctypes.c_void_p(-1).value

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]
if LINUX:
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]

# Called once per written run: kept free of what a general call costs (releasing the interpreter, saving errno).
_quick = ctypes.PyDLL(None)
_madvise = _quick.madvise
_madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
quick_ioctl = _quick.ioctl
quick_ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]
_syscall = _quick.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint]
_SYS_PROCESS_MADVISE: Final = 440  # on every architecture
_PIDFD_SELF: Final = -10000
_VECTOR: Final = 1024


def failure(error: OSError, action: str, where: str) -> StateError:
    """Return the error for a failed system call: the action, the place and the reason."""
    of_system(error)
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason = f"no space left ({reason})"
    return StateError(f"{action}: {where}: {reason}")


def _last_error(action: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{action}: {os.strerror(code)}")


def reserve(length: int) -> int:
    """Return the address of `length` bytes of inaccessible address space; OSError if there is none."""
    address: int | None = libc.mmap(None, length, PROT_NONE, _PRIVATE | _ANON | _NORESERVE, -1, 0)
    if address is None or address == _FAILED:
        raise _last_error(f"reserving {length} bytes of address space")
    if LINUX:
        _madvise(address, length, _MADV_NOHUGEPAGE)  # a touched page must not count as 2 MiB; fails harmlessly
    return address


def map_private(address: int, length: int, fd: int, offset: int) -> None:
    """Map `length` bytes of a file from `offset` at `address`, copy-on-write, in place of any earlier mapping."""
    if length and libc.mmap(address, length, PROT_RW, _PRIVATE | _FIXED | _NORESERVE, fd, offset) != address:
        raise _last_error(f"mapping {length} bytes")


def map_zeros(address: int, length: int) -> None:
    """Map fresh zeros that belong to no file at `address`, in place of any earlier mapping."""
    if length and libc.mmap(address, length, PROT_RW, _PRIVATE | _FIXED | _ANON | _NORESERVE, -1, 0) != address:
        raise _last_error(f"mapping {length} bytes")
    if length and LINUX:
        _madvise(address, length, _MADV_NOHUGEPAGE)


def make_accessible(address: int, length: int) -> bool:
    """Make reserved address space readable and writable zeros; return False if the system refuses."""
    return length == 0 or libc.mprotect(address, length, PROT_RW) == 0


def make_inaccessible(address: int, length: int) -> None:
    """Make bytes of reserved address space inaccessible again."""
    libc.mprotect(address, length, PROT_NONE)


def unmap(address: int, length: int) -> None:
    """Give address space back."""
    libc.munmap(address, length)


_FEW: Final = 8
"""Up to this number, runs are dropped faster one by one than together (measured)."""


def drop_private(base: int, runs: list[Run]) -> None:
    """Forget the private pages of `runs` after `base` (Linux): a mapping shows its file there again.

    One call drops many runs where the kernel can (6.14 and later); it empties the processor's whole address cache,
    which a few calls for a few runs do not.
    """
    if len(runs) > _FEW:
        runs = _drop_together(base, runs)
    for offset, length in runs:
        if _madvise(base + offset, length, _MADV_DONTNEED):
            raise OSError(errno.EINVAL, f"dropping {length} bytes of private pages")


def _drop_together(base: int, runs: list[Run]) -> list[Run]:
    """Drop runs with few calls; return those that were not dropped."""
    for first in range(0, len(runs), _VECTOR):
        batch = runs[first : first + _VECTOR]
        vector = array("Q", [number for offset, length in batch for number in (base + offset, length)])
        address, count = vector.buffer_info()
        done = _syscall(_SYS_PROCESS_MADVISE, _PIDFD_SELF, address, count // 2, _MADV_DONTNEED, 0)
        if done != sum(vector[1::2]):
            return runs[first:]
    return []


def anonymous_file() -> int:
    """Return the descriptor of an empty file without a name, which ends with its last descriptor."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("canister-memories", os.MFD_CLOEXEC)
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def write_all(fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """Write every byte of `data` at `offset`, however many calls that takes."""
    written = os.pwrite(fd, data, offset)
    if written < len(data):
        rest = memoryview(data)
        while written < len(rest):
            written += os.pwrite(fd, rest[written:], offset + written)


def read_padded(fd: int, length: int, offset: int) -> bytes:
    """Return exactly `length` bytes from `offset`; bytes past the end of the file are zero."""
    data = os.pread(fd, length, offset)
    if len(data) == length:
        return data
    parts, have = [data], len(data)
    while have < length:
        data = os.pread(fd, length - have, offset + have)
        if not data:
            parts.append(bytes(length - have))
            break
        parts.append(data)
        have += len(data)
    return b"".join(parts)


def read_back(fd: int, data: memoryview, runs: Iterable[Run], origin: int) -> None:
    """Read runs of a file, relative to `origin`, to the same places in `data`; past the end of the file is zero."""
    for offset, length in runs:
        if os.preadv(fd, (data[offset : offset + length],), origin + offset) != length:
            for start, part in pieces(offset, length):
                data[start : start + part] = read_padded(fd, part, origin + start)


def read_into(fd: int, data: memoryview, runs: Iterable[Run], origin: int) -> bool:
    """Read runs, relative to `origin`, into `data` one after another; return False if the file ends before one does."""
    at, read = 0, os.preadv
    for offset, length in runs:
        if read(fd, (data[at : at + length],), origin + offset) != length:
            return False
        at += length
    return True


def write_out(fd: int, offset: int, length: int) -> None:
    """Make the system begin to write bytes to the disk, so that a later `os.fsync` waits less.

    Linux does so as the first step when cached pages are declared unneeded.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk itself."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def data_runs(fd: int, start: int, end: int) -> list[Run]:
    """Return where a sparse file holds data in [start, end), as runs relative to `start`; everything else is zero.

    Costs the data, not the length of the range. On a file system that does not know holes: the whole range.
    """
    runs: list[Run] = []
    position = start
    while position < end:
        try:
            data = os.lseek(fd, position, os.SEEK_DATA)
            if data >= end:
                break
            position = min(os.lseek(fd, data, os.SEEK_HOLE), end)
        except OSError as error:
            of_system(error)
            if error.errno == errno.ENXIO:  # no data after this point
                break
            runs.append((position - start, end - position))
            break
        runs.append((data - start, position - data))
    return runs


def punch(fd: int, start: int, end: int) -> bool:
    """Make [start, end) of a file a hole; return False, with nothing changed, if the file system cannot."""
    return end <= start or (LINUX and libc.fallocate(fd, _PUNCH, start, end - start) == 0)


def clear(fd: int, start: int, end: int) -> None:
    """Make [start, end) of a file read as zeros, giving the space back where the file system can."""
    if punch(fd, start, end):
        return
    for offset, length in data_runs(fd, start, end):
        for position, part in pieces(offset, length):
            zeros = bytes(part)
            if read_padded(fd, part, start + position) != zeros:
                write_all(fd, zeros, start + position)


def pieces(offset: int, length: int, size: int = CHUNK) -> Iterable[Run]:
    """Yield a run cut into runs of at most `size` bytes."""
    end = offset + length
    while offset < end:
        part = min(size, end - offset)
        yield offset, part
        offset += part


def clipped(runs: list[Run], end: int) -> list[Run]:
    """Return the parts of ascending `runs` before `end`."""
    if not runs or sum(runs[-1]) <= end:
        return runs
    return [(offset, min(length, end - offset)) for offset, length in runs if offset < end]


def page_runs(pages: Iterable[int], size: int = PAGE) -> list[Run]:
    """Return ascending numbers of pages of `size` bytes as runs of bytes."""
    runs: list[Run] = []
    first = last = -2
    for page in pages:
        if page != last + 1:
            if first >= 0:
                runs.append((first * size, (last + 1 - first) * size))
            first = page
        last = page
    if first >= 0:
        runs.append((first * size, (last + 1 - first) * size))
    return runs

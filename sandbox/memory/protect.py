"""The search for written pages by write protection: `userfaultfd` in its asynchronous mode (Linux 6.7 and later).

protect  A page that was committed stays private to the view, protected against writing. The next write to it makes the
         kernel take the protection away, without a copy and without a signal; `PAGEMAP_SCAN` lists the pages without
         protection and protects them again, in one call. It costs about 3 ns for each page that is mapped.

So a commit copies the written pages to the store and a rollback copies them back; neither drops anything that the next
message would have to fetch again. Each page that was written repeatedly exists twice, until everything is mapped anew.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import time
import weakref
from typing import Final

from sandbox.memory import host, pagemap
from sandbox.memory.dirty import Shown
from sandbox.memory.host import PAGE, Run

_NUMBERS: Final = {"x86_64": 323, "aarch64": 282, "riscv64": 282, "loongarch64": 282, "ppc64le": 364, "s390x": 355}
"""The number of the system call by the name of the processor."""

_USER_MODE_ONLY: Final = 1
_API: Final = 0xAA
_UNPOPULATED, _ASYNC = 1 << 13, 1 << 15
_REGISTER_WP: Final = 2
_PROTECT: Final = 1
_MANY: Final = 64
"""Above this number of runs, dropping pages is faster than copying them back."""
_SPARSE: Final = 64 * PAGE
"""If runs are further apart than this, searching each of them is faster than all that lies between them."""
_LONG: Final = 512 * PAGE
"""Pages of longer runs are not remembered, so that no memory of many pages takes much room here."""
_CALL: Final = 1.3e-6  # seconds that it takes to protect one run by a call of its own


def _command(number: int, words: int) -> int:
    """Return the number of an `ioctl` that reads and writes that count of 64-bit numbers."""
    return (3 << 30) | (8 * words << 16) | (0xAA << 8) | number


_UFFDIO_API: Final = _command(0x3F, 3)
_UFFDIO_REGISTER: Final = _command(0x00, 4)
_UFFDIO_WRITEPROTECT: Final = _command(0x06, 3)


class _Kernel:
    """What all views of a pool share: the descriptors, and the records of system calls."""

    def __init__(self) -> None:
        self.scanner = pagemap.Scanner()
        written, mapped = pagemap.IS_WRITTEN, pagemap.IS_PRESENT | pagemap.IS_SWAPPED
        self.unprotected = self.scanner.query(written, written, any_of=mapped)
        self.protecting = self.scanner.query(written, written, any_of=mapped, flags=pagemap.WP_MATCHING)
        self.private = self.scanner.private()
        self._words = (ctypes.c_uint64 * 4)()
        self._address = ctypes.addressof(self._words)
        self._fd = _open()
        self._close = weakref.finalize(self, os.close, self._fd)
        self._close.atexit = False
        self._call(_UFFDIO_API, _API, _UNPOPULATED | _ASYNC, 0)

    def register(self, address: int, length: int) -> None:
        """Let pages be protected there. Nothing is protected yet."""
        self._call(_UFFDIO_REGISTER, address, length, _REGISTER_WP, 0)

    def protect(self, address: int, length: int) -> None:
        """Protect pages, so that a later search finds only those written from now on."""
        words = self._words
        words[0], words[1], words[2] = address, length, _PROTECT
        if host.quick_ioctl(self._fd, _UFFDIO_WRITEPROTECT, self._address):
            self._call(_UFFDIO_WRITEPROTECT, address, length, _PROTECT)  # once more, for the reason

    def detach(self) -> None:
        self._close()
        self.scanner.close()

    def _call(self, command: int, *words: int) -> None:
        self._words[: len(words)] = list(words)
        while host.libc.ioctl(self._fd, command, self._address):
            code = ctypes.get_errno()
            if code != errno.EAGAIN:
                raise OSError(code, f"userfaultfd: {os.strerror(code)}")


def _open() -> int:
    number = _NUMBERS.get(platform.machine())
    if number is None or not host.LINUX:
        raise OSError(errno.ENOSYS, "userfaultfd on this processor")
    fd: int = host.libc.syscall(number, os.O_CLOEXEC | _USER_MODE_ONLY)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"userfaultfd: {os.strerror(code)}")
    return fd


class Protect:
    """Strategy that protects pages against writing and asks the kernel which of them lost their protection.

    A page of the store that was mapped since the last search is not protected either: of pages that were never found
    before, a second search tells those that are private. At the first commit they are dropped, so that pages that are
    written once take no memory; from the second on they stay.
    """

    name = "protect"
    leaves_none = False
    patience = 50

    def __init__(self, kernel: _Kernel | None = None) -> None:
        self._kernel = kernel or _Kernel()
        self._known: set[int] = set()
        """The addresses of pages that were found before: such a page without protection was written, so it is private.
        """
        self._found: list[Run] = []
        """What was found, and protected again, since the last commit or rollback."""
        self._new: list[Run] = []
        """Those of them that were not known."""
        self._unsure = False
        """Whether a search was interrupted: pages that it protected may be missing in what was found."""
        self._same: tuple[list[int], list[Run]] = [], []
        """The last answer of the kernel with known pages alone, and what was made of it."""
        self._took = 0.0
        """The seconds that the last search took."""

    def detach(self) -> None:
        self._kernel.detach()

    def of_view(self) -> Protect:
        return Protect(self._kernel)

    def restart(self) -> None:
        self._known, self._same = set(), ([], [])
        self._found, self._new, self._unsure = [], [], False

    def watch(self, address: int, length: int) -> None:
        if length:
            self._kernel.register(address, length)
            self._forget(address, length)

    def dirty(self, view: Shown) -> list[Run]:
        return self._search(view, self._kernel.protecting)

    def to_revert(self, view: Shown) -> list[Run]:
        return self._search(view, self._kernel.unprotected)

    def _search(self, view: Shown, query: pagemap.Query) -> list[Run]:
        base, scanner = view.base, self._kernel.scanner
        unsure, self._unsure = self._unsure, True
        began = time.perf_counter()
        regions = scanner.all(query, base, base + view.size)
        self._took = time.perf_counter() - began
        new: list[Run] = []
        if regions == self._same[0]:
            runs = self._same[1]
        else:
            runs, strange = self._divided(regions, base)
            if not strange:
                self._same = regions, runs
            else:
                new = self._private_of(strange, base)
                runs = merged(runs, new)
                if query is self._kernel.unprotected and _total(new) != _total(strange):
                    scanner.all(self._kernel.protecting, base, base + view.size)
        if unsure:
            runs = self._private_of([(0, view.size)], base)
        self._new = [] if self._found else new
        self._found, self._unsure = merged(self._found, runs) if self._found else runs, False
        return self._found

    def _divided(self, regions: list[int], base: int) -> tuple[list[Run], list[Run]]:
        """Return the regions of known pages, and the others."""
        runs: list[Run] = []
        strange: list[Run] = []
        for start, stop in zip(regions[::3], regions[1::3], strict=True):
            (runs if self._knows(start, stop) else strange).append((start - base, stop - start))
        return runs, strange

    def _knows(self, start: int, stop: int) -> bool:
        known = self._known
        return start in known and (stop - start == PAGE or known.issuperset(range(start, stop, PAGE)))

    def _private_of(self, runs: list[Run], base: int) -> list[Run]:
        """Return the private pages among `runs`, and know them from now on."""
        scanner, private, found = self._kernel.scanner, self._kernel.private, []
        between = sum(runs[-1]) - runs[0][0]
        asked = runs if between > len(runs) * _SPARSE else [(runs[0][0], between)]
        for offset, length in asked:
            regions = scanner.all(private, base + offset, base + offset + length)
            found += [(start - base, stop - start) for start, stop in zip(regions[::3], regions[1::3], strict=True)]
        if asked is not runs:
            found = common(found, runs)
        for offset, length in found:
            if length <= _LONG:
                self._known.update(range(base + offset, base + offset + length, PAGE))
        return found

    def settle(self, view: Shown, runs: list[Run]) -> None:
        if self._new:
            host.drop_private(view.base, self._new)  # they are protected, and stay so
        self._found, self._new = [], []

    def revert(self, view: Shown, runs: list[Run]) -> None:
        if len(runs) > _MANY:
            self._drop(view.base, runs)
        else:
            host.read_back(view.store.fd, view.bytes, runs, view.store.origin)
            self._protect(view, runs)
        self._found, self._new = [], []

    def drop(self, view: Shown, runs: list[Run]) -> None:
        if len(runs) > _MANY:
            self._drop(view.base, runs)
        else:
            base = view.base
            own = merged([run for run in runs if self._knows(base + run[0], base + sum(run))], [])
            self._drop(base, [run for run in runs if not self._knows(base + run[0], base + sum(run))])
            if own:
                self.revert(view, own)
        self._found, self._new = [], []

    def _drop(self, base: int, runs: list[Run]) -> None:
        host.drop_private(base, runs)
        for offset, length in runs:
            self._forget(base + offset, length)

    def _protect(self, view: Shown, runs: list[Run]) -> None:
        """Protect pages, one by one or with all that lies between them."""
        kernel, base = self._kernel, view.base
        start, stop = runs[0][0], sum(runs[-1])
        if self._took * (stop - start) / view.size < len(runs) * _CALL:
            kernel.scanner.all(kernel.protecting, base + start, base + stop)
        else:
            for offset, length in runs:
                kernel.protect(base + offset, length)

    def _forget(self, address: int, length: int) -> None:
        self._same = [], []
        known, pages = self._known, range(address, address + length, PAGE)
        if len(pages) <= len(known):
            known.difference_update(pages)
        elif known:
            self._known = {page for page in known if page not in pages}


def _total(runs: list[Run]) -> int:
    return sum([length for _, length in runs])


def merged(one: list[Run], other: list[Run]) -> list[Run]:
    """Return the union of ascending runs as ascending runs that do not touch."""
    runs: list[Run] = []
    for offset, length in sorted(one + other):
        if runs and offset <= sum(runs[-1]):
            first, before = runs[-1]
            runs[-1] = (first, max(before, offset + length - first))
        else:
            runs.append((offset, length))
    return runs


def common(one: list[Run], other: list[Run]) -> list[Run]:
    """Return the intersection of ascending runs."""
    runs: list[Run] = []
    here = there = 0
    while here < len(one) and there < len(other):
        (a, m), (b, n) = one[here], other[there]
        start, stop = max(a, b), min(a + m, b + n)
        if start < stop:
            runs.append((start, stop - start))
        if a + m < b + n:
            here += 1
        else:
            there += 1
    return runs

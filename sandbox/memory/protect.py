"""The search for written pages by write protection: `userfaultfd` in its asynchronous mode (Linux 6.7 and later).

protect  A page that was committed stays private to the view, protected against writing. The first write to it makes the
         kernel take the protection away, without a copy and without a signal; `PAGEMAP_SCAN` lists the pages without
         protection and protects them again, in one call. It costs about 3 ns for each page that is mapped.

So a commit copies the written pages to the store and a rollback copies them back; neither drops anything that the next
message would have to fetch again. Each page that was ever written exists twice, until everything is mapped anew.
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
_CALL: Final = 2e-6  # seconds that it takes to protect one run by a call of its own


def _command(number: int, words: int) -> int:
    """Return the number of an `ioctl` that reads and writes so many 64-bit numbers."""
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
        self.private = self.scanner.private(written)
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
        self._call(_UFFDIO_WRITEPROTECT, address, length, _PROTECT)

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

    A page of the store that was mapped since the last search is not protected either: of pages that are not known to be
    private, a second search tells those that are.
    """

    name = "protect"
    leaves_none = False
    patience = 50

    def __init__(self, kernel: _Kernel | None = None) -> None:
        self._kernel = kernel or _Kernel()
        self._private: set[int] = set()
        """The addresses of pages that are known to be private."""
        self._same: tuple[list[int], list[Run]] = [], []
        """The last answer of the kernel without pages of the store, and what was made of it."""
        self._took = 0.0
        """The seconds that the last search took."""
        self._fresh = False
        """Whether it came across pages of the store that are not protected."""

    def detach(self) -> None:
        self._kernel.detach()

    def of_view(self) -> Protect:
        return Protect(self._kernel)

    def restart(self) -> None:
        self._private, self._same, self._fresh = set(), ([], []), False

    def watch(self, address: int, length: int) -> None:
        if length:
            self._kernel.register(address, length)
            self._forget(address, length)

    def dirty(self, view: Shown) -> list[Run]:
        base, kernel, runs = view.base, self._kernel, []
        began = time.perf_counter()
        regions = kernel.scanner.all(kernel.unprotected, base, base + view.size)
        self._took = time.perf_counter() - began
        self._fresh = False
        if regions == self._same[0]:
            return self._same[1]
        for index in range(0, len(regions), 3):
            start, stop = regions[index], regions[index + 1]
            if self._known(start, stop):
                runs.append((start - base, stop - start))
            else:
                runs += [(first - base, length) for first, length in self._of_these_private(start, stop)]
        if not self._fresh:
            self._same = regions, runs
        elif not runs:
            self._protect_all(view)
        return runs

    def _known(self, start: int, stop: int) -> bool:
        """Return True if all pages between two addresses are known to be private."""
        private = self._private
        return start in private and (stop - start == PAGE or private.issuperset(range(start, stop, PAGE)))

    def _of_these_private(self, start: int, stop: int) -> list[Run]:
        """Return the private pages, as addresses and lengths, of a region that is not protected."""
        found = self._kernel.scanner.all(self._kernel.private, start, stop)
        runs = [(first, end - first) for first, end in zip(found[::3], found[1::3], strict=True)]
        for first, length in runs:
            self._private.update(range(first, first + length, PAGE))
        self._fresh = self._fresh or sum(found[1::3]) - sum(found[::3]) != stop - start
        return runs

    def settle(self, view: Shown, runs: list[Run]) -> None:
        if self._fresh:
            self._protect_all(view)
            return
        kernel, base = self._kernel, view.base
        start, stop = runs[0][0], sum(runs[-1])
        if self._took * (stop - start) / view.size < len(runs) * _CALL:
            kernel.scanner.all(kernel.protecting, base + start, base + stop)
        else:
            for offset, length in runs:
                kernel.protect(base + offset, length)

    def revert(self, view: Shown, runs: list[Run]) -> None:
        host.read_back(view.store.fd, view.bytes, runs, view.store.origin)
        self.settle(view, runs)

    def drop(self, view: Shown, runs: list[Run]) -> None:
        base = view.base
        own = [run for run in runs if self._known(base + run[0], base + sum(run))]
        if own:
            self.revert(view, sorted(own))
        if len(own) != len(runs):
            others = [run for run in runs if run not in own] if own else runs
            host.drop_private(base, others)
            for offset, length in others:
                self._forget(base + offset, length)

    def _protect_all(self, view: Shown) -> None:
        """Protect all that is mapped."""
        kernel = self._kernel
        kernel.scanner.all(kernel.protecting, view.base, view.base + view.size)
        self._fresh = False

    def _forget(self, address: int, length: int) -> None:
        """Note that no page there is private any more."""
        self._same = [], []
        private, pages = self._private, range(address, address + length, PAGE)
        if len(pages) <= len(private):
            private.difference_update(pages)
        elif private:
            self._private = {page for page in private if page not in pages}

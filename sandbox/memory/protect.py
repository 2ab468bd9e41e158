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
import weakref
from typing import Final

from sandbox.memory import host, pagemap
from sandbox.memory.host import PAGE, Run
from sandbox.memory.store import Store

_NUMBERS: Final = {"x86_64": 323, "aarch64": 282, "riscv64": 282, "loongarch64": 282, "ppc64le": 364, "s390x": 355}
"""The number of the system call by the name of the processor."""

_USER_MODE_ONLY: Final = 1
_API: Final = 0xAA
_UNPOPULATED, _ASYNC = 1 << 13, 1 << 15
_REGISTER_WP: Final = 2
_PROTECT: Final = 1


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
        self._last = (0, 0)
        """Where the last search began and ended."""
        self._fresh = False
        """Whether it came across pages of the store that are not protected."""

    def detach(self) -> None:
        self._kernel.detach()

    def of_view(self) -> Protect:
        return Protect(self._kernel)

    def restart(self) -> None:
        self._private = set()

    def watch(self, address: int, length: int) -> None:
        if length:
            self._kernel.register(address, length)
            self._forget(address, length)

    def dirty(self, base: int, size: int, store: Store) -> list[Run]:
        kernel, private, runs = self._kernel, self._private, []
        regions = kernel.scanner.all(kernel.unprotected, base, base + size)
        self._last, self._fresh = (base, base + size), False
        for index in range(0, len(regions), 3):
            start, stop = regions[index], regions[index + 1]
            if start in private and (stop - start == PAGE or private.issuperset(range(start, stop, PAGE))):
                runs.append((start - base, stop - start))
            else:
                runs += [(first - base, length) for first, length in self._of_these_private(start, stop)]
        if self._fresh and not runs:
            self._protect_all()
        return runs

    def _of_these_private(self, start: int, stop: int) -> list[Run]:
        """Return the private pages, as addresses and lengths, of a region that is not protected."""
        found = self._kernel.scanner.all(self._kernel.private, start, stop)
        runs = [(first, end - first) for first, end in zip(found[::3], found[1::3], strict=True)]
        for first, length in runs:
            self._private.update(range(first, first + length, PAGE))
        self._fresh = self._fresh or sum(found[1::3]) - sum(found[::3]) != stop - start
        return runs

    def settle(self, base: int, runs: list[Run], store: Store) -> None:
        if self._fresh:
            self._protect_all()
        elif len(runs) > 2:
            self._kernel.scanner.all(self._kernel.protecting, base + runs[0][0], base + sum(runs[-1]))
        else:
            for offset, length in runs:
                self._kernel.protect(base + offset, length)

    def revert(self, base: int, runs: list[Run], store: Store) -> None:
        fd, origin = store.fd, store.origin
        for offset, length in runs:
            host.read_at(fd, base + offset, length, origin + offset)
        self.settle(base, runs, store)

    def drop(self, base: int, runs: list[Run], store: Store) -> None:
        host.drop_private(base, runs)
        for offset, length in runs:
            self._forget(base + offset, length)

    def _protect_all(self) -> None:
        """Protect all that the last search went through."""
        self._kernel.scanner.all(self._kernel.protecting, *self._last)
        self._fresh = False

    def _forget(self, address: int, length: int) -> None:
        """Note that no page there is private any more."""
        private, pages = self._private, range(address, address + length, PAGE)
        if len(pages) <= len(private):
            private.difference_update(pages)
        elif private:
            self._private = {page for page in private if page not in pages}

"""The stack of guests: the same size in every thread and under every limit, so that a recursion always ends alike.

Wasm may use `WASM` bytes of the stack of the thread that calls it; beyond them the engine and host functions need
`HOST` bytes. A thread that has less left (a small thread, a small `ulimit -s`, a deep recursion of the caller) runs
the guest in a helper thread made for that call. Where the rest of the stack cannot be measured, every guest runs in a
helper.

Replica: 5 MiB for Wasm (`dfinity/ic` `rs/embedders/src/lib.rs`, `MAX_WASM_STACK_SIZE`) in threads of 8 MiB. The
counter of instructions makes some frames here 16 bytes larger (wasmtime 50, x86-64, measured). The sixth MiB makes up
for that with frames of 80 bytes or more; a recursion of smaller frames may be too deep here and not there.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Final, TypeVar

from sandbox.limits import MIB

WASM: Final = 6 * MIB
HOST: Final = MIB
_HELPER: Final = WASM + 2 * HOST
_ASK_AGAIN: Final = 0.02  # seconds

_libc = ctypes.PyDLL(None)
_libc.pthread_self.restype = ctypes.c_void_p
_STACK_POINTER: Final = {"x86_64": 160, "aarch64": 432}
"""Offset of the stack pointer in the `ucontext_t` of Linux."""
_starting = threading.Lock()
T = TypeVar("T")


class _Thread(threading.local):
    """The stack of a thread: `lowest` is the lowest address at which a guest may begin, None if it is not known."""

    def __init__(self) -> None:
        offset = _STACK_POINTER.get(platform.machine())
        end = None if offset is None else _end()
        self.lowest = None if end is None else end + WASM + HOST
        self._context = (ctypes.c_uint64 * 1024)()
        self.address = ctypes.addressof(self._context)
        self.pointer = ctypes.c_uint64.from_buffer(self._context, offset or 0)


def _end() -> int | None:
    """Return the lowest address of this thread's stack; None if it cannot be known."""
    if not hasattr(_libc, "pthread_getattr_np"):
        return None
    attributes = (ctypes.c_uint64 * 32)()
    low, size = ctypes.c_void_p(), ctypes.c_size_t()
    if _libc.pthread_getattr_np(ctypes.c_void_p(_libc.pthread_self()), attributes):
        return None
    failed = _libc.pthread_attr_getstack(attributes, ctypes.byref(low), ctypes.byref(size))
    _libc.pthread_attr_destroy(attributes)
    return None if failed else low.value


_thread = _Thread()
_getcontext = getattr(_libc, "getcontext", None)
if _getcontext is not None:
    _getcontext.argtypes = [ctypes.c_void_p]


def enough() -> bool:
    """Return True if a guest can run on the rest of this thread's stack."""
    thread = _thread
    if thread.lowest is None or _getcontext is None:
        return False
    _getcontext(thread.address)
    here: int = thread.pointer.value
    return here >= thread.lowest


def _nothing() -> None:
    pass


def call(function: Callable[[], T], stop: Callable[[], None] = _nothing) -> T:
    """Call a function where the stack is large enough: here, or `elsewhere`."""
    return function() if enough() else elsewhere(function, stop)


def elsewhere(function: Callable[[], T], stop: Callable[[], None] = _nothing) -> T:
    """Call a function in a helper thread with a stack of known size, and wait for it.

    An interruption of the waiting (Ctrl-C) is raised here, but only after the function has ended; `stop` asks it to end
    soon, and is called again until it has.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    begun, running = threading.Lock(), threading.Lock()
    running.acquire()

    def work() -> None:
        if begun.acquire(blocking=False):
            try:
                results.append(function())
            except BaseException as error:
                errors.append(error)
            finally:
                running.release()

    interruption: BaseException | None = None
    try:
        _start(work)
    except BaseException as error:
        if begun.acquire(blocking=False):  # it has not begun, and cannot begin any more
            raise
        interruption = error
        stop()
    while not (results or errors):
        try:
            if not running.acquire(timeout=-1 if interruption is None else _ASK_AGAIN):
                stop()
        except BaseException as error:
            interruption = error
            stop()
    if interruption is not None:
        raise interruption
    if errors:
        raise errors[0]
    return results[0]


def _start(work: Callable[[], None]) -> None:
    name = f"{threading.current_thread().name} (guest)"
    thread = threading.Thread(target=copy_context().run, args=(work,), name=name, daemon=True)
    with _starting:
        before = threading.stack_size(_HELPER)
        try:
            thread.start()
        finally:
            threading.stack_size(before)


def _forked() -> None:
    global _starting
    _starting = threading.Lock()


os.register_at_fork(after_in_child=_forked)

"""Every use of wasmtime's C API that the Python package does not offer publicly, in one file.

Three things are needed from below: a creator for linear memories (so that a memory can be a copy-on-write view),
functions called and defined without converting every value (ten times cheaper than `wasmtime.Func`), and the code of a
trap. They are in `wasmtime._bindings`, which is generated from the C headers and private: hence the pinned major
version and `check()`, run once when the engine starts.

Functions that the engine calls are made with cffi. An interruption (Ctrl-C) is raised at the first instruction of the
next Python function, outside any `try` of its own; ctypes then returns an undefined value, which the engine would take
for an address, while cffi asks `onerror` for one.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wasmtime
from _cffi_backend import FFI  # type: ignore[import-untyped]
from wasmtime import _bindings as raw

from sandbox.errors import EngineError

MAJOR = 50
"""The major version of the `wasmtime` package whose private bindings this file was written against."""

_NEEDED = (
    "wasmtime_config_host_memory_creator_set",
    "wasmtime_config_async_stack_size_set",
    "wasmtime_store_delete",
    "wasmtime_linker_define_func_unchecked",
    "wasmtime_linker_define_instance",
    "wasmtime_linker_clone",
    "wasmtime_linker_instantiate",
    "wasmtime_instance_export_get",
    "wasmtime_func_call_unchecked",
    "wasmtime_table_get",
    "wasmtime_trap_code",
    "wasmtime_trap_new",
    "wasmtime_error_new",
    "wasmtime_error_wasm_trace",
    "wasmtime_error_delete",
    "wasm_trap_trace",
    "wasm_trap_delete",
)

RawFrame = tuple[int, str | None, str | None]
"""(function index, function name, module name)."""
_FUNC, _TABLE = 0, 2  # WASMTIME_EXTERN_FUNC, WASMTIME_EXTERN_TABLE
Slots = Any
"""A ctypes array of 64-bit words; the value k of a call stands in word 2 k (a raw value takes 16 bytes)."""


def installed_version() -> str:
    """Return the version of the `wasmtime` package: from the name of its metadata, which are beside it.

    `importlib.metadata`, which finds them anywhere, is imported only otherwise: it brings the package `email`.
    """
    beside = [path.name.split("-")[1] for path in Path(wasmtime.__file__).parents[1].glob("wasmtime-*.dist-info")]
    if len(beside) == 1:
        return beside[0].removesuffix(".dist")

    from importlib.metadata import version

    return version("wasmtime")


def check() -> None:
    """Check that the private bindings are those used here; EngineError names the version to install."""
    installed = installed_version()
    missing = [name for name in _NEEDED if not hasattr(raw, name)]
    if installed.split(".")[0] != str(MAJOR) or missing:
        detail = f" (missing: {', '.join(missing)})" if missing else ""
        raise EngineError(
            f"wasmtime {installed} is installed, but {MAJOR}.x is needed: its private bindings are used{detail}. "
            f"Run: pip install 'wasmtime>={MAJOR},<{MAJOR + 1}'"
        )


def _prototype(name: str, restype: Any, *argtypes: Any) -> Any:
    """The C function `name` with the given argument types, which are cheaper to pass than the generated ones."""
    function = raw.dll[name]  # type: ignore[attr-defined]
    function.restype, function.argtypes = restype, argtypes
    return function


_ffi = FFI()
"""Reads types with a parser in C; `cffi.FFI` would import one in Python, at every start."""
_FINALIZER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_NO_FINALIZER = _FINALIZER()

call_unchecked = _prototype(
    "wasmtime_func_call_unchecked",
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_void_p,
)
"""(context, function, words, count, trap out) -> error or None. Arguments are addresses."""
_define = _prototype(
    "wasmtime_linker_define_func_unchecked",
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    _FINALIZER,
)
_define_instance = _prototype(
    "wasmtime_linker_define_instance",
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.c_void_p,
)
_instantiate = _prototype("wasmtime_linker_instantiate", ctypes.c_void_p, *[ctypes.c_void_p] * 5)
_export_get = _prototype(
    "wasmtime_instance_export_get",
    ctypes.c_bool,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.c_void_p,
)
_linker_clone = _prototype("wasmtime_linker_clone", ctypes.c_void_p, ctypes.c_void_p)
_linker_delete = _prototype("wasmtime_linker_delete", None, ctypes.c_void_p)
_trap_new = _prototype("wasmtime_trap_new", ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)
_error_new = _prototype("wasmtime_error_new", ctypes.c_size_t, ctypes.c_char_p)


def owned(store: wasmtime.Store) -> int:
    """Return the address of a store, which the caller must free.

    The package's own `close` frees twice if an exception comes between freeing and forgetting the address.
    """
    return ctypes.cast(store._consume(), ctypes.c_void_p).value or 0


delete_store = _prototype("wasmtime_store_delete", None, ctypes.c_void_p)


def context_address(store: wasmtime.Store) -> int:
    """Return the address of a store's context, valid as long as the store."""
    return ctypes.cast(store._context(), ctypes.c_void_p).value or 0


Remember = Callable[[BaseException], None]
"""Receives an exception that cannot be raised in any frame of Python."""


def host_callback(function: Callable[[Any, Any, Any, int], int], remember: Remember) -> object:
    """Return a C callback for `function(env, caller, words, count)`; exceptions are remembered and end the guest."""

    def failed(_kind: object, error: BaseException, _trace: object) -> int:
        remember(error)
        return new_trap("host")

    return _ffi.callback("size_t(void *, void *, uint64_t *, size_t)", function, error=0, onerror=failed)


def _address(callback: object) -> int:
    return int(_ffi.cast("uintptr_t", callback))


class Linker:
    """Definitions for the imports of modules, by module and name; a later one replaces an earlier one."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._delete = weakref.finalize(self, _linker_delete, address)
        self._delete.atexit = False

    @classmethod
    def empty(cls, engine: wasmtime.Engine) -> Linker:
        """Return a linker without definitions."""
        address = ctypes.cast(raw.wasmtime_linker_new(engine.ptr()), ctypes.c_void_p).value or 0
        raw.wasmtime_linker_allow_shadowing(_pointer(address, raw.wasmtime_linker_t), True)
        return cls(address)

    def copy(self) -> Linker:
        """Return a linker with the same definitions; later definitions in one are not in the other."""
        return Linker(_linker_clone(self.address))

    def close(self) -> None:
        """Free the linker; does nothing the second time."""
        self._delete()

    def define_function(self, module: str, name: str, kind: wasmtime.FuncType, callback: object) -> None:
        """Define a host function for any store; `callback`, a `host_callback`, must live as long as stores use it."""
        type_address = ctypes.cast(kind.ptr(), ctypes.c_void_p).value
        names = (*_sized(module), *_sized(name))
        error = _define(self.address, *names, type_address, _address(callback), None, _NO_FINALIZER)
        _no_error(error)

    def define_instance(self, context: int, module: str, instance: Any) -> None:
        """Define all exports of an instance; from now on the linker serves the store of `context` alone."""
        _no_error(_define_instance(self.address, context, *_sized(module), ctypes.addressof(instance)))

    def instantiate(self, context: int, module: wasmtime.Module) -> tuple[Any, Any, Any]:
        """Return (instance, error, trap). The instance is valid only if the others, which the caller owns, are None."""
        instance, trap = raw.wasmtime_instance_t(), ctypes.c_void_p()
        module_address = ctypes.cast(module.ptr(), ctypes.c_void_p).value
        out = ctypes.addressof(instance), ctypes.addressof(trap)
        error = _instantiate(self.address, context, module_address, *out)
        return instance, error, trap.value


def _sized(text: str) -> tuple[bytes, int]:
    data = text.encode()
    return data, len(data)


def _pointer(address: int, kind: Any) -> Any:
    return ctypes.cast(address, ctypes.POINTER(kind))


def _no_error(error: int | None) -> None:
    if error:
        raise EngineError(take_error(error)[0])


def exported_function(context: int, instance: Any, name: str) -> Any:
    """Return the C value of the exported function `name`, or None; keep it alive while its address is in use."""
    export = _export(context, instance, name)
    return export.of.func if export is not None and export.kind == _FUNC else None


def exported_table(context: int, instance: Any, name: str) -> Any:
    """Return the C value of the exported table `name`; None if there is no such table."""
    export = _export(context, instance, name)
    return export.of.table if export is not None and export.kind == _TABLE else None


def _export(context: int, instance: Any, name: str) -> Any:
    item = raw.wasmtime_extern_t()
    there = _export_get(context, ctypes.addressof(instance), *_sized(name), ctypes.addressof(item))
    return item if there else None


def new_trap(message: str) -> int:
    """Return a trap, to be returned from a host callback."""
    data = message.encode()
    return int(_trap_new(data, len(data)))


def new_error(message: str) -> int:
    """Return an error, to be returned from a memory callback."""
    return int(_error_new(message.encode()))


def function_struct(function: wasmtime.Func) -> Any:
    """Return the C value of a function; keep it alive while its address is in use."""
    return function._func


def call(context: int, function: int, words: Slots, count: int) -> tuple[Any, Any]:
    """Call a function; return (error, trap), each an address that the caller owns, or None."""
    trap = ctypes.c_void_p()
    error = call_unchecked(context, function, ctypes.addressof(words), count, ctypes.addressof(trap))
    return error, trap.value


def set_stack(config: wasmtime.Config, size: int) -> None:
    """Set the bytes of host stack for Wasm. The engine requires a larger stack of asynchronous calls, unused here."""
    raw.wasmtime_config_async_stack_size_set(config.ptr(), 2 * size)
    config.max_wasm_stack = size


def set_host_memories(config: wasmtime.Config, new: Callable[[int, int, int, Any], int], remember: Remember) -> object:
    """Take linear memories from `new`: `new(minimum, reserved, guard, out)` fills `out`, returns 0 or an error.

    What it raises is remembered and ends the instantiation. Returns what must stay alive as long as the engine.
    """

    def new_memory(_env: Any, _type: Any, minimum: int, _max: int, reserved: int, guard: int, out: Any) -> int:
        address = int(_ffi.cast("uintptr_t", out))
        return new(minimum, reserved, guard, ctypes.cast(address, ctypes.POINTER(raw.wasmtime_linear_memory_t)))

    def failed(_kind: object, error: BaseException, _trace: object) -> int:
        remember(error)
        return new_error(f"no memory: {error!r}")

    kind = "size_t(void *, void *, size_t, size_t, size_t, size_t, void *)"
    spare = new_error("no memory: interrupted")  # for an exception that comes while one is handled; good for once
    callback = _ffi.callback(kind, new_memory, error=spare, onerror=failed)
    function = ctypes.cast(_address(callback), raw.wasmtime_new_memory_callback_t)
    creator = raw.wasmtime_memory_creator_t(new_memory=function)
    raw.wasmtime_config_host_memory_creator_set(config.ptr(), ctypes.byref(creator))
    return callback, creator


def linear_memory(
    out: Any, get: Callable[[], tuple[int, int, int]], grow: Callable[[int], bool], remember: Remember
) -> tuple[object, object]:
    """Fill the C description of one linear memory; `get` returns (base, bytes, capacity), `grow` takes bytes.

    Interruptions are remembered: nothing that is called here can end the guest. Returns the callbacks, to be kept alive
    as long as the store.
    """

    def get_memory(_env: Any, size: Any, capacity: Any) -> int:
        base, size[0], capacity[0] = get()
        return base

    def get_again(_kind: object, error: BaseException, trace: Any) -> int:
        remember(error)
        arguments = trace.tb_frame.f_locals
        return get_memory(None, arguments["size"], arguments["capacity"])

    def grow_memory(_env: Any, size: int) -> int:
        return 0 if grow(size) else new_error("the memory cannot grow")

    def not_grown(_kind: object, error: BaseException, _trace: object) -> int:
        remember(error)
        return new_error(f"the memory cannot grow: {error!r}")

    # Where an exception comes while one is handled, the engine gets the address all the same, and no bytes there.
    getter = _ffi.callback("size_t(void *, size_t *, size_t *)", get_memory, error=get()[0], onerror=get_again)
    grower = _ffi.callback("size_t(void *, size_t)", grow_memory, error=0, onerror=not_grown)
    out[0].env = None
    out[0].get_memory = ctypes.cast(_address(getter), raw.wasmtime_memory_get_callback_t)
    out[0].grow_memory = ctypes.cast(_address(grower), raw.wasmtime_memory_grow_callback_t)
    return getter, grower


def table_function(store: wasmtime.Store, table: Any, index: int) -> wasmtime.Func | None:
    """Return entry `index` of a table of functions, a C value; None if null, IndexError if there is no such entry."""
    value = raw.wasmtime_val_t()
    if not raw.wasmtime_table_get(store._context(), ctypes.byref(table), index, ctypes.byref(value)):
        raise IndexError(index)
    if value.of.funcref.store_id == 0:
        return None
    copy = raw.wasmtime_func_t()
    ctypes.memmove(ctypes.byref(copy), ctypes.byref(value.of.funcref), ctypes.sizeof(copy))
    return wasmtime.Func._from_raw(copy)


def take_trap(trap: int) -> tuple[int | None, str, list[RawFrame]]:
    """Return (code or None, message, frames innermost first) of a trap, and free it."""
    pointer = ctypes.cast(trap, ctypes.POINTER(raw.wasm_trap_t))
    code = ctypes.c_uint8()
    has_code = raw.wasmtime_trap_code(pointer, ctypes.byref(code))
    message = raw.wasm_byte_vec_t()
    raw.wasm_trap_message(pointer, ctypes.byref(message))
    text = ctypes.string_at(message.data, message.size).rstrip(b"\0").decode(errors="replace")
    raw.wasm_byte_vec_delete(ctypes.byref(message))
    frames = _frames(lambda out: raw.wasm_trap_trace(pointer, out))
    raw.wasm_trap_delete(pointer)
    return (code.value if has_code else None), text, frames


def take_error(error: int) -> tuple[str, list[RawFrame]]:
    """Return (message, frames innermost first) of an error, and free it."""
    pointer = ctypes.cast(error, ctypes.POINTER(raw.wasmtime_error_t))
    message = raw.wasm_byte_vec_t()
    raw.wasmtime_error_message(pointer, ctypes.byref(message))
    text = ctypes.string_at(message.data, message.size).decode(errors="replace")
    raw.wasm_byte_vec_delete(ctypes.byref(message))
    frames = _frames(lambda out: raw.wasmtime_error_wasm_trace(pointer, out))
    raw.wasmtime_error_delete(pointer)
    return text, frames


def _frames(fill: Callable[[Any], None]) -> list[RawFrame]:
    vector = raw.wasm_frame_vec_t()
    fill(ctypes.byref(vector))
    frames = []
    for k in range(vector.size):
        frame = vector.data[k]
        function, module = raw.wasmtime_frame_func_name(frame), raw.wasmtime_frame_module_name(frame)
        frames.append((int(raw.wasm_frame_func_index(frame)), _text(function), _text(module)))
    raw.wasm_frame_vec_delete(ctypes.byref(vector))
    return frames


def _text(name: Any) -> str | None:
    return ctypes.string_at(name[0].data, name[0].size).decode(errors="replace") if name else None

"""Typed calls: Python values in and out by way of the interface that a module carries or a user gives."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from sandbox.candid import FuncType, Interface, Type, decode, encode, load_did, parse_did, parse_types
from sandbox.canister.module import compile_module
from sandbox.errors import CandidDecodeError, CandidError, CandidTypeError, InvalidModule, SandboxError, of_system
from sandbox.execution import CallResult
from sandbox.state import WasmModule
from sandbox.state.messages import EMPTY_CANDID

EMPTY_ARGUMENT = EMPTY_CANDID


def interface_of(code: WasmModule | None, did: str | Path | None) -> Interface:
    """The interface given as text or as a file, else the one in the module's `candid:service`."""
    if did is not None:
        return load_did(did) if isinstance(did, Path) or str(did).endswith(".did") else parse_did(did)
    if code is None:
        raise SandboxError("the canister has no module, hence no interface; give one with did=")
    return _embedded(code)


@lru_cache(maxsize=256)
def _embedded(code: WasmModule) -> Interface:
    text = metadata(code, "candid:service")
    if text is None:
        raise SandboxError("the module has no candid:service section; give its interface with did=")
    return parse_did(text.decode())


def module_bytes(wasm: bytes | str | Path) -> bytes:
    """The bytes of a module given as such or as a file; `SandboxError` if the file cannot be read."""
    if not isinstance(wasm, str | Path):
        return bytes(wasm)
    try:
        return Path(wasm).read_bytes()
    except OSError as error:
        of_system(error)
        raise SandboxError(f"the module {wasm} cannot be read: {error.strerror}") from error


def metadata(code: WasmModule, name: str) -> bytes | None:
    """Content of the module's metadata section `name`, public or private."""
    facts = compile_module(code).facts
    return facts.public_metadata.get(name, facts.private_metadata.get(name))


def init_types(code: WasmModule, did: str | Path | None = None) -> tuple[Type, ...] | None:
    """The types of the installation argument by the interface given, else by the module's `candid:args` or
    `candid:service`; None if the module has neither."""
    text = metadata(code, "candid:args") if did is None else None
    if text is not None:
        return parse_types(text.decode())
    if did is None and metadata(code, "candid:service") is None:
        return None
    return interface_of(code, did).init_args or ()


def init_argument(code: WasmModule, arg: Any, did: str | Path | None = None) -> bytes:
    """Bytes of an installation argument: a tuple is several values, anything else is one. `SandboxError` if no
    interface says their types."""
    types = init_types(code, did)
    if types is None:
        raise SandboxError(
            "no interface is known by which to encode the argument: the module carries none (candid:service). Give one "
            "with did=, as in sandbox.canister(id, did=...) (--did on the command line), or give the argument as bytes"
        )
    return encode(types, list(arg) if isinstance(arg, tuple) else [arg])


def deployment_argument(
    arg: Any, code: Callable[[], WasmModule | None], did: str | Path | None = None, mode: str | None = None
) -> bytes:
    """Bytes of an argument for code that is about to run: bytes as they are, None as no values, else by its types.
    No values for a module that the platform refuses, which its deployment says, or where there is none. With a `mode`
    of deployment, None is refused where the code expects an argument then."""
    if isinstance(arg, bytes | bytearray | memoryview):
        return bytes(arg)
    with suppress(InvalidModule):
        known = code() if arg is not None or mode is not None else None
        if known is not None and arg is not None:
            return init_argument(known, arg, did)
        if known is not None and mode is not None:
            _check_no_argument(known, did, mode)
    return EMPTY_ARGUMENT


def _check_no_argument(code: WasmModule, did: str | Path | None, mode: str) -> None:
    """`CandidTypeError` if no argument is not enough. For an upgrade only Motoko's modules say what they expect: the
    argument of the installation again."""
    if mode == "upgrade" and metadata(code, "motoko:stable-types") is None:
        return
    try:
        types = init_types(code, did)
    except CandidError:
        return
    try:
        decode(types or (), EMPTY_ARGUMENT)
    except CandidDecodeError:
        expected = ", ".join(map(str, types or ()))
        raise CandidTypeError(
            f"the module expects an argument, ({expected}): give it with arg= (--arg on the command line)"
        ) from None


def encode_arguments(function: FuncType, values: tuple[Any, ...]) -> bytes:
    """The argument of a call: one value for each parameter."""
    return encode(function.args, list(values))


def decode_results(function: FuncType, reply: bytes) -> Any:
    """None, the value, or a tuple of values, as the method has no, one or several results."""
    values = decode(function.results, reply)
    if not values:
        return None
    return values[0] if len(values) == 1 else tuple(values)


def answer(function: FuncType, values: tuple[Any, ...], ask: Callable[[bytes], CallResult]) -> Any:
    """Encode the arguments, `ask`, which raises on a reject, and decode the reply."""
    reply = ask(encode_arguments(function, values)).reply
    assert reply is not None
    return decode_results(function, reply)


def is_query(function: FuncType) -> bool:
    """Whether a call of the method is a query call by its interface."""
    return "query" in function.modes or "composite_query" in function.modes

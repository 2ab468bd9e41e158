"""The WebAssembly engine: compile, instantiate, call, trap.

The only package that imports `wasmtime`; it knows no rule of the Internet Computer.
"""

from sandbox.engine.guest import GuestMemory, OutOfBounds
from sandbox.engine.instance import HostFunction, Instance, Library, Support
from sandbox.engine.metering import Meter, counting
from sandbox.engine.plain import PlainMemory
from sandbox.engine.runtime import GUARD, RESERVED, Compiled, LinearMemory, Runtime, runtime
from sandbox.engine.traps import EngineTrap, Frame, HostFailure, TrapKind

__all__ = [
    "GUARD",
    "RESERVED",
    "Compiled",
    "EngineTrap",
    "Frame",
    "GuestMemory",
    "HostFailure",
    "HostFunction",
    "Instance",
    "Library",
    "LinearMemory",
    "Meter",
    "OutOfBounds",
    "PlainMemory",
    "Runtime",
    "Support",
    "TrapKind",
    "counting",
    "runtime",
]

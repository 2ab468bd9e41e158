"""Executions over a memory that is a plain buffer."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.engine.guest import GuestMemory
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Environment, Execution
from sandbox.principal import Principal


class Buffer:
    """A memory of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.bytes = (ctypes.c_char * max(size, 1))()
        self.size = size

    @property
    def base(self) -> int:
        return ctypes.addressof(self.bytes)


@pytest.fixture
def start() -> Callable[..., Execution]:
    """`start(mode, arg=b"", memory=65536, certificate=None, **environment)`; `memory` None: a module without one."""

    def begin(mode: Mode, arg: bytes = b"", memory: int | None = 65_536, **environment: Any) -> Execution:
        known: dict[str, Any] = {
            "canister_id": Principal.from_index(7),
            "caller": Principal.anonymous(),
            "time": 1_700_000_000_000_000_000,
        }
        certificate = environment.pop("certificate", None)
        x = Execution(mode, Environment(**(known | environment)), arg)
        x.certificate = None if certificate is None else lambda: certificate
        x.heap = None if memory is None else GuestMemory(Buffer(memory))
        return x

    return begin

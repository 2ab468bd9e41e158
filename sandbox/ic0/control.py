"""What an execution hands to its system calls in the control memory (`wasm.control`), and what they leave there.

The functions of `ic0.answers` read and write these cells and bytes without the host. `ControlMemory.give` writes them
before an execution, `ControlMemory.take` reads the effects when it has ended. A reply belongs to one side at a time: a
function of the host that goes on with it takes it over first (`take_reply`). Bytes that have no room here, such as a
large argument, are the host's alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection
from enum import IntEnum
from struct import Struct
from typing import Final

from sandbox.ic0.modes import CRY, RY
from sandbox.ic0.state import Execution, Replied
from sandbox.limits import WASM_PAGE
from sandbox.principal import Principal


class Fact(IntEnum):
    """Offsets of the cells, 64 bits each. A size of all ones: the host alone has the bytes."""

    MODE = 128
    """The bit of the mode."""
    TIME = 136
    STATUS = 144
    VERSION = 152
    DEADLINE = 160
    REJECT_CODE = 168
    ARGUMENT_SIZE = 176
    CALLER_SIZE = 184
    SELF_SIZE = 192
    SUBNET_SIZE = 200
    METHOD_SIZE = 208
    REJECT_SIZE = 216
    CONTROLLERS = 224
    """The number of controllers; all ones: the host alone knows them."""
    TIMER = 232
    """The global timer."""
    TIMER_SET = 240
    """1 once this execution has set the timer."""
    CERTIFIED_SIZE = 248
    """Bytes of the certified data that this execution has set; all ones if it has set none."""
    REPLIED = 256
    """1 once this execution has replied with the bytes here."""
    REPLY_SIZE = 264
    """Bytes of the reply so far."""
    REPLY_LEFT = 272
    """Bytes that may still be appended here; all ones if the host alone goes on with the response."""


class Place(IntEnum):
    """Offsets of bytes, each behind the last cell or behind the globals."""

    CALLER = 288
    SELF = 320
    SUBNET = 352
    CERTIFIED = 384
    COMPARED = 416
    """The principal that is looked for among the controllers, in the form of their slots."""
    CONTROLLERS = 448
    """Slots of `SLOT` bytes: a principal, zeros, its length in the last byte."""
    METHOD = 18 << 10
    REJECT = 20 << 10
    ARGUMENT = 32 << 10
    REPLY = 48 << 10


SLOT: Final = 32
"""Bytes for one principal."""
METHOD_ROOM: Final = 256
REJECT_ROOM: Final = 8 << 10
ARGUMENT_ROOM: Final = 16 << 10
REPLY_ROOM: Final = 16 << 10

_ABSENT: Final = (1 << 64) - 1
_GIVEN: Final = Struct(f"<19Q8x{SLOT}s{SLOT}s{SLOT}s")  # all of `Fact` in order; caller, own id, subnet's id
_LEFT: Final = Struct("<5Q")  # from `TIMER` to `REPLY_SIZE`
_REPLY: Final = Struct("<2Qq")  # `REPLIED`, `REPLY_SIZE`, `REPLY_LEFT`
_REPLY_CALLBACKS: Final = int(RY | CRY)


class ControlMemory:
    """The control memory at address `base`, for an instance that calls the functions `calls` of `ic0`."""

    __slots__ = ("_bytes", "_known", "_wants_controllers")

    def __init__(self, base: int, calls: Collection[str]) -> None:
        self._bytes = memoryview((ctypes.c_ubyte * WASM_PAGE).from_address(base)).cast("B")
        self._wants_controllers = "is_controller" in calls
        self._known: Collection[Principal] = ()
        """The controllers that stand in the memory."""

    def give(self, x: Execution) -> None:
        """Write what the execution may ask for."""
        env, arg, memory = x.env, x.arg, self._bytes
        size, method, reject = len(arg), 0, 0
        if size <= ARGUMENT_ROOM:
            memory[Place.ARGUMENT : Place.ARGUMENT + size] = arg
        else:
            size = _ABSENT
        if x.inspected_method:
            method = self._blob(Place.METHOD, x.inspected_method.encode(), METHOD_ROOM)
        if x.reject_message:
            reject = self._blob(Place.REJECT, x.reject_message.encode(), REJECT_ROOM)
        caller, own, subnet = bytes(env.caller), bytes(env.canister_id), bytes(env.subnet_id)
        _GIVEN.pack_into(
            memory,
            Fact.MODE,
            x.mode_bit,
            env.time,
            env.status,
            env.version,
            env.deadline,
            0 if x.mode_bit & _REPLY_CALLBACKS else x.reject_code,
            size,
            len(caller),
            len(own),
            len(subnet),
            method,
            reject,
            self._controllers(env.controllers) if self._wants_controllers else _ABSENT,
            env.global_timer,
            0,
            _ABSENT,
            0,
            0,
            _ABSENT if x.already_responded else REPLY_ROOM,
            caller,
            own,
            subnet,
        )
        x.control = self

    def _blob(self, place: Place, content: bytes, room: int) -> int:
        if len(content) > room:
            return _ABSENT
        self._bytes[place : place + len(content)] = content
        return len(content)

    def _controllers(self, controllers: Collection[Principal]) -> int:
        if controllers is not self._known:
            slots = b"".join(bytes(c).ljust(SLOT - 1, b"\0") + bytes((len(bytes(c)),)) for c in controllers)
            self._bytes[Place.CONTROLLERS : Place.CONTROLLERS + len(slots)] = slots
            self._known = controllers
        return len(controllers)

    def take(self, x: Execution) -> None:
        """Move the effects to the execution, which has ended."""
        timer, timer_set, certified, replied, _ = _LEFT.unpack_from(self._bytes, Fact.TIMER)
        if timer_set:
            x.global_timer = timer
        if certified != _ABSENT:
            x.certified_data = bytes(self._bytes[Place.CERTIFIED : Place.CERTIFIED + certified])
        if replied:
            self.take_reply(x)

    def take_reply(self, x: Execution) -> None:
        """Move the reply so far to the execution: from now on the host alone goes on with the response."""
        replied, size, left = _REPLY.unpack_from(self._bytes, Fact.REPLIED)
        if left < 0 and not replied:
            return
        content = bytes(self._bytes[Place.REPLY : Place.REPLY + size])
        if replied:
            x.response = Replied(content)
        else:
            x.reply_data += content
        _REPLY.pack_into(self._bytes, Fact.REPLIED, 0, 0, -1)

"""Profiles of executions: the second build of a module, and the reading of its tree of call paths.

A sandbox that is profiled has a `Profiler`; its instances then run the profiled build (`sandbox.wasm.profiling`) and
give each execution to the profiler. Without one, nothing of this is made.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sandbox import engine
from sandbox.canister.demangle import readable
from sandbox.principal import Principal
from sandbox.profile import Frame, FrameKind, Node, Profile
from sandbox.profile.call_tree import CHANGED_PAGES
from sandbox.wasm import Cell, Kind, ModuleFacts, profiling

_HEADER = struct.Struct("<IIIIq")
_NODE = struct.Struct(profiling.NODE)


@dataclass(slots=True)
class Profiler:
    """The open profiles of one sandbox: each gets every execution. `name_of`: the names of canisters that have one."""

    name_of: Callable[[Principal], str | None]
    profiles: list[Profile] = field(default_factory=list)

    def entry_point(self, name: str, module_hash: bytes, canister_id: Principal) -> Frame:
        """The frame of an entry point."""
        canister = str(canister_id)
        return Frame(name, FrameKind.ENTRY, module_hash, -1, canister, self.name_of(canister_id) or canister)

    def add(self, execution: Recorded) -> None:
        """Add an execution to every open profile."""
        for profile in self.profiles:
            profile.add(execution.nodes, execution.functions, execution.complete)

    @contextmanager
    def collecting(self) -> Iterator[Profile]:
        """Within the context, collect all executions in a new profile."""
        profile = Profile()
        self.profiles.append(profile)
        try:
            yield profile
        finally:
            self.profiles = [other for other in self.profiles if other is not profile]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The tree of one execution. `functions`: those that the module defines."""

    nodes: list[Node]
    functions: tuple[Frame, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class ProfiledBuild:
    """A module with the events of a profile. `frames`: of all its functions, by index, imported ones first."""

    compiled: engine.Compiled
    shim: engine.Compiled
    frames: tuple[Frame, ...]
    imported: int


def frames_of(facts: ModuleFacts, module_hash: bytes) -> tuple[Frame, ...]:
    """The frames of all functions of a module: of the name section, demangled, else of exports, else the index."""
    imports = [entry for entry in facts.imports if entry.kind is Kind.FUNCTION]
    system = [
        Frame(f"[{entry.module}.{entry.name}]", FrameKind.SYSTEM, module_hash, index)
        for index, entry in enumerate(imports)
    ]
    defined = range(len(imports), len(facts.functions))
    names = (facts.function_name(index) for index in defined)
    own = [
        Frame(f"function {index}" if name is None else readable(name), module=module_hash, index=index)
        for index, name in zip(defined, names, strict=True)
    ]
    return (*system, *own)


@dataclass(frozen=True, slots=True)
class Spent:
    """The instructions of an execution that has ended: `executed`, those of changed heap `pages`, and the `limit`, at
    which their sum is cut."""

    executed: int
    pages: int
    limit: int


class CallRecorder:
    """The tree of call paths in the memory at address `base`, for one execution after another."""

    def __init__(self, base: int, meter: engine.Meter, build: ProfiledBuild) -> None:
        self._base = base
        self._meter = meter
        self._build = build

    def start(self, limit: int) -> None:
        """Prepare for an execution that may execute `limit` instructions."""
        first = profiling.FIRST
        header = _HEADER.pack(first, first + profiling.NODE_SIZE, 0, 0, limit)
        content = header.ljust(first, b"\0") + bytes(profiling.NODE_SIZE)
        ctypes.memmove(self._base, content, len(content))

    def recorded(self, entry: Frame, spent: Spent) -> Recorded:
        """The tree of the execution, which has ended; the sum of its instructions is that of `spent`."""
        current, free, _, _, last = _HEADER.unpack(ctypes.string_at(self._base, _HEADER.size))
        first, size = profiling.FIRST, profiling.NODE_SIZE
        raw = list(_NODE.iter_unpack(ctypes.string_at(self._base + first, free - first)))
        own = [node[3] for node in raw]
        parents = [(node[1] - first) // size for node in raw]
        running = (current - first) // size
        own[running] += last - self._meter[Cell.LEFT]
        excess = max(spent.executed + spent.pages - spent.limit, 0)
        pages = max(spent.pages - excess, 0)
        _cut(own, parents, running, excess - (spent.pages - pages))
        frames = self._build.frames
        nodes: list[Node] = [(-1, entry, own[0], 1)]
        nodes += [(parents[k], frames[raw[k][0]], own[k], raw[k][4]) for k in range(1, len(raw))]
        if pages:
            nodes.append((0, CHANGED_PAGES, pages, 1))
        return Recorded(nodes, frames[self._build.imported :], len(raw) < profiling.MOST_NODES)


def _cut(own: list[int], parents: list[int], running: int, excess: int) -> None:
    """Take away what an execution went beyond its limit before a check ended it: of the function that ran last, then of
    its callers, then of those that were entered last."""
    place = running
    while excess > 0 and place > 0:
        taken = min(excess, own[place])
        own[place] -= taken
        excess -= taken
        place = parents[place]
    for place in range(len(own) - 1, -1, -1):
        taken = min(excess, own[place])
        own[place] -= taken
        excess -= taken

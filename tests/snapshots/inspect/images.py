"""Stable memories of real canisters, and what a test does with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from sandbox import Canister, Sandbox
from sandbox.api import runtime_of
from sandbox.snapshots.inspect import Bytes, Decoded, Hints, Part, decode
from sandbox.snapshots.inspect.target import inspection_target
from sandbox.snapshots.inspect.value import Node, Opt, Record, Same, Scalar, Var, Variant, Vec
from tests.conftest import fixture, wat


@dataclass(frozen=True)
class Sparse:
    """Bytes of any size with data at a few places; fails if more than `limit` bytes are read in all."""

    size: int
    data: Mapping[int, bytes]
    limit: int = 1 << 24

    def read(self, offset: int, length: int) -> bytes:
        assert length <= self.limit, f"{length} bytes were asked for at once"
        out = bytearray(length)
        for at, found in self.data.items():
            first, last = max(at, offset), min(at + len(found), offset + length)
            if first < last:
                out[first - offset : last - offset] = found[first - at : last - at]
        return bytes(out)

    def extents(self) -> list[tuple[int, int]]:
        return [(at, len(found)) for at, found in sorted(self.data.items())]


def new(name: str, sandbox: Sandbox | None = None) -> Canister:
    """A canister with this fixture as its module."""
    canister = (sandbox or Sandbox()).create_canister()
    canister.install(fixture(name))
    return canister


def stable(canister: Canister) -> Bytes:
    """The canister's stable memory as it is."""
    return runtime_of(canister).state_of(canister.id).stable.image()


def saved(canister: Canister) -> bytes:
    """What the canister's pre_upgrade leaves in stable memory: it is upgraded to a module that does nothing."""
    module = wat("(module (memory 1))")
    canister.upgrade(module, wasm_memory_persistence="replace" if canister.keeps_heap else None)
    return canister.raw_state().stable


def hints(canister: Canister) -> Hints:
    """What the canister's module tells a decoder."""
    found = inspection_target(runtime_of(canister).state_of(canister.id))
    assert found.facts is not None
    return Hints(found.metadata, found.facts.uses_enhanced_persistence)


def part(decoded: Decoded, name: str) -> Part:
    found = decoded.part(name)
    assert found is not None, [p.name for p in decoded.parts]
    assert found.problem is None, found.problem
    return found


def cells(found: Part) -> list[tuple[bytes, ...]]:
    """All entries of a structure of bytes."""
    rows = []
    for row in found.rows():
        assert not any(isinstance(cell, Node) for cell in row)
        rows.append(tuple(whole(cell) for cell in row if not isinstance(cell, Node)))
    assert len(rows) == found.count
    return rows


def whole(source: Bytes) -> bytes:
    return source.read(0, source.size)


def variables(found: Part) -> dict[str, Any]:
    """The variables by name, as Python values."""
    named = {}
    for name, _, value in found.rows():
        assert isinstance(name, Scalar)
        assert isinstance(value, Node)
        named[str(name.value)] = plain(value)
    return named


def plain(node: Node) -> Any:
    """The value as the typed calls of a canister have it."""
    match node:
        case Scalar():
            return node.value
        case Record():
            if all(isinstance(label, int) for label, _ in node.fields):
                return tuple(plain(value) for _, value in node.fields)
            return {label: plain(value) for label, value in node.fields}
        case Vec():
            assert len(node.items) == node.length
            return [plain(item) for item in node.items]
        case Opt():
            return plain(node.value)
        case Variant():
            return {node.tag: plain(node.value)}
        case Var():
            return plain(node.value)
        case Same():
            assert isinstance(node.var, Var)
            return plain(node.var)
    return node


@cache
def rust_people() -> bytes:
    canister = new("people_stable_rs_v1")
    canister.call("fill", 300)
    return canister.raw_state().stable


@cache
def motoko_people() -> tuple[bytes, Hints]:
    canister = new("people_v1.classical")
    canister.call("fill", 100)
    about = hints(canister)
    return saved(canister), about


@cache
def motoko_region(persistence: str) -> tuple[bytes, bytes, Hints]:
    """A region with bytes in two blocks: while the canister runs, and as pre_upgrade leaves it."""
    canister = new(f"counter.{persistence}")
    canister.call("stable_put", 5, b"near the start")
    canister.call("stable_put", (8 << 20) + 70_000, b"in the second block")
    running, about = canister.raw_state().stable, hints(canister)
    return running, saved(canister), about


def everything(source: Bytes, about: Hints | None = None) -> int:
    """Decode all that there is and read the cells of thousands of rows; how many there were."""
    rows = 0
    for found in decode(source, about).parts:
        found.data.read(0, min(found.data.size, 1 << 16))
        for row in islice(found.rows(), 5000):
            rows += 1
            for cell in row:
                if not isinstance(cell, Node):
                    cell.read(0, min(cell.size, 1 << 16))
    return rows

"""Motoko's layouts of stable memory, between two versions of a program and while it runs.

Sources: dfinity/motoko `src/codegen/compile_classical.ml` (module Stabilization), `compile_enhanced.ml` (module
NewStableMemory), `rts/motoko-rts/src/stabilization/ic/metadata.rs`. M is the end of stable memory, N the end of
the part that the program sees.

| version | when | first word | variables | at the end |
|---|---|---|---|---|
| 0 | classical | their length | from 4 | |
| 1, 2 | classical, with stable memory or regions | 0 | from N+4, length at N | N in pages at M-12, first word at M-8 |
| 3, 4 | graph copy, without or with regions | 0 | objects at N | N at M-32, length at M-24, types at M-16, word M-8 |
| 5, 6 | enhanced, without or with regions | 0 | in the heap | N in pages at M-16 (64 bits), first word at M-8 |
| 7, 8 | as 3, 4, with more roots | 0 | | |

The version is the word at M-4. While a program runs, the first word is in its own place and the variables are in the
heap.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.canister.motoko_versions import CANDID, GRAPH_COPY, IN_HEAP, form_of
from sandbox.limits import WASM_PAGE
from sandbox.snapshots.inspect.source import Bytes, InspectError, Patched, number, part, within

_PREFIX = b"DIDL"


@dataclass(frozen=True)
class Layout:
    """The parts of a stable memory. `variables`: the saved message, None if there is none; `memory`: the stable memory
    that the program sees; `objects`: the heap objects of a graph copy, `types`: the bytes from their types on."""

    version: int
    variables: Bytes | None
    memory: Bytes
    objects: Bytes | None = None
    types: Bytes | None = None


def read_layout(stable: Bytes) -> Layout | None:
    """Return the layout that `pre_upgrade` left; None if there is none, InspectError if it is malformed."""
    if stable.size < WASM_PAGE or stable.size % WASM_PAGE:
        return None
    first = number(stable, 0, 4, "the first word")
    if first:
        if stable.read(4, 4) != _PREFIX:
            return None
        within(stable, 4, first, "the saved variables")
        return Layout(0, part(stable, 4, first), part(stable, 0, 0))
    version = number(stable, stable.size - 4, 4, "the version")
    form = form_of(version)
    if form == CANDID and version:
        return _classical(stable, version)
    if form == GRAPH_COPY:
        return _graph_copy(stable, version)
    if form == IN_HEAP:
        pages = number(stable, stable.size - 16, 8, "the size of stable memory")
        return Layout(version, None, _memory(stable, pages * WASM_PAGE))
    return None


def _classical(stable: Bytes, version: int) -> Layout | None:
    pages = number(stable, stable.size - 12, 4, "the size of stable memory")
    end = pages * WASM_PAGE
    if not 0 < end < stable.size or stable.read(end + 4, 4) != _PREFIX:
        return None
    length = number(stable, end, 4, "the length of the saved variables")
    within(stable, end + 4, length, "the saved variables")
    return Layout(version, part(stable, end + 4, length), _memory(stable, end))


def _graph_copy(stable: Bytes, version: int) -> Layout:
    start, length, types = (
        number(stable, stable.size - at, 8, "the place of the heap objects or of their types") for at in (32, 24, 16)
    )
    memory = _memory(stable, start)
    within(stable, start, length, "the copy of the heap objects")
    within(stable, types, 8, "the types of the heap objects")
    objects = part(_original(stable, stable.size), start, length)  # they begin with the first word if N is 0
    return Layout(version, None, memory, objects, part(stable, types, stable.size - types))


def _memory(stable: Bytes, size: int) -> Bytes:
    if size % WASM_PAGE or size > stable.size:
        raise InspectError(f"Motoko's stable memory has {size:,} bytes (at {stable.size - 32:#x} to the end)")
    return _original(stable, size)


def _original(stable: Bytes, size: int) -> Bytes:
    """The first bytes, with the first word in its place."""
    return Patched(stable, size, stable.read(stable.size - 8, 4) if size else b"")

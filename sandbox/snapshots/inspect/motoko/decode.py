"""Decode a stable memory of Motoko: saved variables and regions, with notes on the variables that are elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from sandbox.candid.types import RECORD
from sandbox.canister import motoko_versions as versions
from sandbox.limits import WASM_PAGE
from sandbox.snapshots.inspect.model import Decoded, Part, Row
from sandbox.snapshots.inspect.motoko.graph import Graph
from sandbox.snapshots.inspect.motoko.graph_reader import GraphReader
from sandbox.snapshots.inspect.motoko.graph_types import read_graph_types
from sandbox.snapshots.inspect.motoko.layout import Layout, read_layout
from sandbox.snapshots.inspect.motoko.reader import ValueReader
from sandbox.snapshots.inspect.motoko.regions import Regions, has_regions, read_regions
from sandbox.snapshots.inspect.motoko.stable_types import StableTypes, candid_name
from sandbox.snapshots.inspect.motoko.tree import DecodeLimits
from sandbox.snapshots.inspect.motoko.wire import Head, Stream, read_head
from sandbox.snapshots.inspect.source import Bytes, InspectError, Plain
from sandbox.snapshots.inspect.value import Node, Scalar

LAYOUT = "Motoko"
Names = Mapping[int, str]
"""Names of fields by their ids."""
SAVED = (
    "These are the variables as pre_upgrade saved them. A running canister has them in its heap and clears them here: "
    "a snapshot by way of the hooks (--via-hooks) holds the present ones."
)
NOT_SAVED = (
    "Motoko's stable variables are in the heap, whose objects are not decoded; pre_upgrade saves them to stable "
    "memory, and post_upgrade clears them there. A snapshot by way of the hooks (--via-hooks) shows them."
)
ENHANCED = (
    "This canister has enhanced orthogonal persistence: its variables stay in the heap, also between upgrades, and the "
    "objects of Motoko's heap are not decoded. A snapshot by way of the hooks (--via-hooks) copies them to stable "
    "memory and shows them."
)
ELSEWHERE = (NOT_SAVED, ENHANCED)
"""The notes that say that the variables are not in stable memory."""
GRAPH_COPY = (
    "These are the variables as Motoko copied them from its heap to stable memory (graph copy), as they were at the "
    "time of the snapshot."
)


def decode_motoko(stable: Bytes, types: StableTypes, keep: DecodeLimits) -> Decoded | None:
    """Decode a stable memory; None if it does not have Motoko's layout."""
    if has_regions(stable):
        return Decoded(LAYOUT, tuple(_regions(stable)), {"layout": "regions of a running canister"})
    layout = read_layout(stable)
    if layout is None:
        return None
    facts = {"layout": f"version {layout.version}: {', '.join(versions.VERSIONS[layout.version])}"}
    notes = (_NOTES[versions.VERSIONS[layout.version][0]],)
    return Decoded(LAYOUT, tuple(_parts(layout, types, keep)), facts, notes)


_NOTES = {versions.CANDID: SAVED, versions.GRAPH_COPY: GRAPH_COPY, versions.IN_HEAP: ENHANCED}


def _parts(layout: Layout, types: StableTypes, keep: DecodeLimits) -> Iterator[Part]:
    if layout.variables is not None:
        yield _variables(layout.variables, types, partial(_message, layout.variables, types.names, keep))
    if layout.objects is not None and layout.types is not None:
        yield _variables(layout.objects, types, partial(_copy, layout.objects, layout.types, types.names, keep))
    if has_regions(layout.memory):
        yield from _regions(layout.memory)
    elif layout.memory.size:
        pages = layout.memory.size // WASM_PAGE
        yield Part("stable memory", "bytes", layout.memory, {"pages": pages})


_Values = Iterator[tuple[str | int, Node]]
_Opened = tuple[int, Callable[[], _Values]]
"""The number of variables, and a reader of all."""


def _message(data: Bytes, names: Names, keep: DecodeLimits) -> _Opened:
    stream = Stream(data)
    head = read_head(stream, names)
    begin = stream.place
    main = head.table[_main(head)]

    def values() -> _Values:
        stream = Stream(data, begin)
        yield from ValueReader(stream, head, keep).fields(main)
        if stream.left:
            raise InspectError(f"{stream.left:,} bytes follow the last variable, at byte {stream.place:#x}")

    return len(main.fields), values


def _copy(objects: Bytes, table: Bytes, names: Names, keep: DecodeLimits) -> _Opened:
    types = read_graph_types(table, names)
    main = _main(types.head)
    fields = types.head.table[main].fields
    return len(fields), lambda: GraphReader(Graph(objects), types, keep).fields(main)


def _main(head: Head) -> int:
    """Return the index of the type of the record of all variables."""
    [reference] = head.arguments if len(head.arguments) == 1 else [-1]
    if reference < 0 or head.table[reference].kind != RECORD:
        raise InspectError("the saved variables are not one record")
    return reference


def _variables(data: Bytes, types: StableTypes, opened: Callable[[], _Opened]) -> Part:
    try:
        count, values = opened()
    except InspectError as error:
        return Part("variables", "stable variables", data, problem=str(error))
    facts = {"types": "named by motoko:stable-types" if types.names else "not named: no motoko:stable-types"}
    columns = ("variable", "type", "value")
    return Part("variables", "stable variables", data, facts, columns, count, lambda: _rows(values(), types))


def _rows(values: _Values, types: StableTypes) -> Iterator[Row]:
    """Give name, declared type and value of each variable; all are read first, to number mutable things they share."""
    declared = {candid_name(variable.name): variable for variable in types.variables.values()}
    rows: dict[str, Row] = {}
    for label, value in values:
        known = declared.get(str(label))
        kind = "" if known is None else ("var " if known.mutable else "") + known.type
        rows[str(label)] = (Scalar(str(label), "name"), Scalar(kind, "type"), value)
    return iter([rows[name] for name in sorted(rows)])


def _regions(memory: Bytes) -> Iterator[Part]:
    try:
        regions = read_regions(memory)
    except InspectError as error:
        yield Part("regions", "regions", memory, problem=str(error))
        return
    yield Part("regions", "table of regions", Plain(b""), _about(regions))
    for region in regions.blocks:
        facts = {"pages": regions.pages(region), "blocks": len(regions.blocks[region])}
        yield Part(f"region {region}", "stable memory" if region == 0 else "bytes", regions.data(region), facts)


def _about(regions: Regions) -> dict[str, object]:
    return {
        "regions": max(regions.allocated - 16, 0),
        "without pages": max(regions.allocated - 16 - sum(region > 15 for region in regions.blocks), 0),
    }

"""Decode a stable memory of Motoko: saved variables and regions, with notes on the variables that are elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.candid.types import RECORD
from sandbox.canister import motoko_versions as versions
from sandbox.limits import WASM_PAGE
from sandbox.snapshots.inspect.model import Decoded, Part, Row
from sandbox.snapshots.inspect.motoko.layout import Layout, read_layout
from sandbox.snapshots.inspect.motoko.reader import DecodeLimits, ValueReader
from sandbox.snapshots.inspect.motoko.regions import Regions, has_regions, read_regions
from sandbox.snapshots.inspect.motoko.stable_types import StableTypes, candid_name
from sandbox.snapshots.inspect.motoko.wire import Head, Stream, Type, read_head
from sandbox.snapshots.inspect.source import Bytes, InspectError, Plain
from sandbox.snapshots.inspect.value import Scalar

LAYOUT = "Motoko"
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
    "objects of Motoko's heap are not decoded."
)
GRAPH_COPY = "The saved variables are a copy of Motoko's heap objects (graph copy), which are not decoded."


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
        yield _variables(layout.variables, types, keep)
    if layout.objects is not None:
        yield Part("heap objects", "graph copy", layout.objects)
    if has_regions(layout.memory):
        yield from _regions(layout.memory)
    elif layout.memory.size:
        pages = layout.memory.size // WASM_PAGE
        yield Part("stable memory", "bytes", layout.memory, {"pages": pages})


def _variables(data: Bytes, types: StableTypes, keep: DecodeLimits) -> Part:
    try:
        stream = Stream(data)
        head = read_head(stream, types.names)
        fields = _main(head).fields
    except InspectError as error:
        return Part("variables", "stable variables", data, problem=str(error))

    def rows() -> Iterator[Row]:
        return _rows(data, types, keep)

    facts = {"types": "named by motoko:stable-types" if types.names else "not named: no motoko:stable-types"}
    return Part("variables", "stable variables", data, facts, ("variable", "type", "value"), len(fields), rows)


def _main(head: Head) -> Type:
    [reference] = head.arguments if len(head.arguments) == 1 else [-1]
    if reference < 0 or head.table[reference].kind != RECORD:
        raise InspectError("the saved variables are not one record")
    return head.table[reference]


def _rows(data: Bytes, types: StableTypes, keep: DecodeLimits) -> Iterator[Row]:
    """Read name, declared type and value of each variable; all first, to number mutable things that they share."""
    stream = Stream(data)
    head = read_head(stream, types.names)
    values = ValueReader(stream, head, keep)
    declared = {candid_name(variable.name): variable for variable in types.variables.values()}
    rows: dict[str, Row] = {}
    for label, value in values.fields(_main(head)):
        known = declared.get(str(label))
        kind = "" if known is None else ("var " if known.mutable else "") + known.type
        rows[str(label)] = (Scalar(str(label), "name"), Scalar(kind, "type"), value)
    if stream.left:
        raise InspectError(f"{stream.left:,} bytes follow the last variable, at byte {stream.place:#x}")
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

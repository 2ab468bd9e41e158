"""Which structure of `ic-stable-structures` lies where: in the memories of a memory manager, or alone at the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from sandbox.snapshots.inspect import stable_lists as lists
from sandbox.snapshots.inspect import stable_manager as manager
from sandbox.snapshots.inspect.found import Decoded, Group, Part, Row
from sandbox.snapshots.inspect.source import Bytes, InspectError, Pieces, is_zero
from sandbox.snapshots.inspect.stable_btree import MAGIC as BTREE
from sandbox.snapshots.inspect.stable_btree import BTree, read_btree

LAYOUT = "ic-stable-structures"
_SAMPLE = 16
Pair = tuple[Bytes, Bytes]
"""A key and its value."""


def is_manager(stable: Bytes) -> bool:
    return stable.size >= 4 and stable.read(0, 3) == manager.MAGIC


def is_structure(stable: Bytes) -> bool:
    """Whether a structure begins at the start; a log needs two memories and cannot."""
    return stable.size >= 4 and stable.read(0, 3) in _READERS


def decode_manager(stable: Bytes) -> Decoded:
    """All memories of a memory manager; what is wrong in one of them does not hide the others."""
    head = manager.read_manager(stable)
    facts = {
        "memories": len(head.ids),
        "buckets": len(head.owners),
        "bucket size": f"{head.bucket_pages} pages",
    }
    memories: dict[int, Bytes] = {}
    parts: dict[int, Part] = {}
    for memory_id in head.ids:
        name = f"memory {memory_id}"
        try:
            memories[memory_id] = head.memory(memory_id)
            parts[memory_id] = read_structure(name, memories[memory_id])
        except InspectError as error:
            data = memories.get(memory_id) or Pieces(stable, [])
            parts[memory_id] = Part(name, _kind(data), data, problem=str(error))
    _pair_logs(memories, parts)
    return Decoded(LAYOUT, tuple(parts.values()), facts)


def read_structure(name: str, data: Bytes) -> Part:
    """The structure at the start of a memory."""
    reader = _READERS.get(data.read(0, 3) if data.size >= 4 else b"")
    if reader is not None:
        return reader(name, data)
    kind = _kind(data)
    if kind != "unknown":
        return Part(name, kind, data)
    return Part(name, kind, data, {"begins with": data.read(0, min(8, data.size)).hex(" ")})


def _kind(data: Bytes) -> str:
    magic = data.read(0, 3) if data.size >= 4 else b""
    if magic in _KINDS:
        return _KINDS[magic]
    return "empty" if is_zero(data) else "unknown"


def _btree(name: str, data: Bytes) -> Part:
    tree = read_btree(data)
    some = list(islice(tree.entries(), _SAMPLE))
    hollow = bool(some) and not any(value.size for _, value in some)
    is_set = hollow and tree.is_set(max(key.size for key, _ in some))
    known = {
        "layout": f"version {tree.version}",
        "page": f"{tree.page:,} bytes",
        "keys": _keys(tree) if some else None,
        "greatest key": tree.max_key,
        "greatest value": tree.max_value,
        "values": "empty, perhaps a BTreeSet" if hollow and not is_set and tree.max_value is None else None,
    }

    def row(entry: Pair) -> Row:
        return entry[:1] if is_set else entry

    def rows() -> Iterator[Row]:
        return map(row, tree.entries())

    def groups() -> Iterator[Group]:
        for data, pairs in tree.nodes():
            yield data, partial(_all, row, pairs)

    return Part(
        name,
        "BTreeSet" if is_set else "BTreeMap",
        data,
        {fact: value for fact, value in known.items() if value is not None},
        ("key",) if is_set else ("key", "value"),
        tree.length,
        rows,
        groups=groups,
    )


def _keys(tree: BTree) -> str | None:
    if not tree.sampled:
        return None
    return "of any size" if tree.key_size is None else f"{tree.key_size} bytes each"


def _all(row: Callable[[Pair], Row], pairs: Callable[[], list[Pair]]) -> list[Row]:
    return [row(pair) for pair in pairs()]


def _vector(name: str, data: Bytes) -> Part:
    found = lists.read_vector(data)
    kind = _KINDS[data.read(0, 3)]
    size = f"{found.max_size:,} bytes" if found.fixed else f"at most {found.max_size:,} bytes"
    return Part(
        name,
        kind,
        data,
        {"element": size},
        ("value",),
        found.length,
        lambda: _cells(found.entries()),
        groups=lambda: ((data, partial(_called, entries)) for data, entries in found.blocks()),
        block=found.block,
    )


def _cells(entries: Iterator[Bytes]) -> Iterator[Row]:
    return ((entry,) for entry in entries)


def _called(entries: Callable[[], Iterator[Bytes]]) -> Iterator[Row]:
    return _cells(entries())


def _cell(name: str, data: Bytes) -> Part:
    found = lists.read_cell(data)
    return Part(name, "Cell", data, {"value": f"{found.size:,} bytes"}, ("value",), 1, lambda: iter([(found,)]))


def _index(name: str, data: Bytes) -> Part:
    length, total = lists.log_extent(data)
    return Part(name, "Log", data, {"data": f"{total:,} bytes"}, ("value",), length)


def _data(name: str, data: Bytes) -> Part:
    return Part(name, "Log data", data)


_KINDS = {
    BTREE: "BTreeMap",
    lists.VEC: "Vec",
    lists.HEAP: "MinHeap",
    lists.CELL: "Cell",
    lists.INDEX: "Log",
    lists.DATA: "Log data",
}
_READERS: dict[bytes, Callable[[str, Bytes], Part]] = {
    BTREE: _btree,
    lists.VEC: _vector,
    lists.HEAP: _vector,
    lists.CELL: _cell,
    lists.INDEX: _index,
    lists.DATA: _data,
}


def _pair_logs(memories: dict[int, Bytes], parts: dict[int, Part]) -> None:
    """Give each log the data that its index describes: the nearest memory that is large enough, the next one first."""
    free = [n for n, part in parts.items() if part.kind == "Log data" and part.problem is None]
    for number, part in list(parts.items()):
        if part.kind != "Log" or part.problem is not None:
            continue
        reasons = "no memory holds the data of a log"
        for other in sorted(free, key=lambda n: (abs(n - number), n < number)):
            try:
                log = lists.read_log(memories[number], memories[other])
            except InspectError as error:
                reasons = str(error)
                continue
            free.remove(other)
            parts[number] = _with_data(part, log, other)
            break
        else:
            parts[number] = Part(part.name, part.kind, part.data, part.facts, count=part.count, problem=reasons)


def _with_data(part: Part, log: lists.Log, memory_id: int) -> Part:
    facts = {**part.facts, "data in": f"memory {memory_id}"}
    return Part(
        part.name,
        part.kind,
        part.data,
        facts,
        part.columns,
        log.length,
        lambda: _cells(log.entries()),
        groups=lambda: ((data, partial(_called, entries)) for data, entries in log.blocks()),
        block=lists.BLOCK,
    )


def decode_alone(stable: Bytes) -> Decoded:
    """A structure that has the stable memory for itself."""
    return Decoded(LAYOUT, (read_structure("structure", stable),), {"memory manager": "none"})

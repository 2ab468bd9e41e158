"""Decode structures of `ic-stable-structures`: in the memories of a memory manager, or alone at the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice

from sandbox.limits import WASM_PAGE
from sandbox.snapshots.inspect.model import Check, Decoded, Group, Part, Row
from sandbox.snapshots.inspect.source import Bytes, Damaged, InspectError, Pieces, is_zero, part
from sandbox.snapshots.inspect.stable_structures import lists
from sandbox.snapshots.inspect.stable_structures import memory_manager as manager
from sandbox.snapshots.inspect.stable_structures.btree import MAGIC as BTREE
from sandbox.snapshots.inspect.stable_structures.btree import BTree, Pair, read_btree

LAYOUT = "ic-stable-structures"
_SAMPLE = 16
_MOST_CHECKED = 50_000
_MOST_NESTED = 4


def is_manager(stable: Bytes) -> bool:
    """Return whether a memory manager begins at the start."""
    return stable.size >= 4 and stable.read(0, 3) == manager.MAGIC


def is_structure(stable: Bytes) -> bool:
    """Return whether a structure begins at the start."""
    return stable.size >= 4 and stable.read(0, 3) in _READERS


def decode_manager(stable: Bytes) -> Decoded:
    """Decode all memories of a memory manager; damage in one does not hide the others."""
    head = manager.read_manager(stable)
    memories, facts = _memories(head, "memory {}"), _manager_facts(head)
    if head.damage is not None:
        kind = _KINDS[manager.MAGIC]
        memories.insert(0, Part(kind, kind, part(stable, 0, WASM_PAGE), facts, problem=head.damage))
    return Decoded(LAYOUT, tuple(memories), facts)


def decode_managers(stable: Bytes, managers: Sequence[tuple[int, manager.Manager]]) -> tuple[Part, ...]:
    """Decode the managers at these pages, their memories, and the data between and after them."""
    parts: list[Part] = []
    following = managers[0][0]
    for page, head in managers:
        parts += _between(stable, following, page)
        following = page + head.pages
        data = part(head.source, 0, head.pages * WASM_PAGE)
        parts.append(Part(f"page {page}", _KINDS[manager.MAGIC], data, _manager_facts(head)))
        parts += _memories(head, f"page {page}, memory {{}}")
    return (*parts, *_between(stable, following, stable.size // WASM_PAGE))


def _between(stable: Bytes, first: int, end: int) -> list[Part]:
    """Decode the data in these pages, if there is any."""
    data = part(stable, first * WASM_PAGE, max(end - first, 0) * WASM_PAGE)
    return [] if is_zero(data) else [_structure_or_problem(f"pages {first}-{end - 1}", data)]


def _manager_facts(head: manager.Manager) -> dict[str, object]:
    return {
        "memories": len(head.ids),
        "buckets": len(head.owners),
        "bucket size": f"{head.bucket_pages} pages",
    }


def _memories(head: manager.Manager, names: str, depth: int = 0) -> list[Part]:
    """Decode the memories of a manager; `names`: a format for their ids. A memory with another manager in it is
    followed by the memories of that one."""
    memories: dict[int, Bytes] = {}
    parts: dict[int, Part] = {}
    nested: dict[int, list[Part]] = {}
    for memory_id in head.ids:
        name = names.format(memory_id)
        try:
            data: Bytes = head.memory(memory_id)
            memories[memory_id] = data
            if is_manager(data) and depth < _MOST_NESTED:
                inner = manager.read_manager(data)
                parts[memory_id] = Part(name, _KINDS[manager.MAGIC], data, _manager_facts(inner), problem=inner.damage)
                nested[memory_id] = _memories(inner, f"{name}.{{}}", depth + 1)
            else:
                parts[memory_id] = _structure_or_problem(name, data)
        except InspectError as error:
            data = memories.get(memory_id) or Pieces(head.source, [])
            parts[memory_id] = Part(name, _kind(data), data, problem=str(error))
    _pair_logs(memories, parts)
    return [each for n, own in parts.items() for each in (own, *nested.get(n, ()))]


def _structure_or_problem(name: str, data: Bytes) -> Part:
    try:
        return read_structure(name, data)
    except InspectError as error:
        return Part(name, _kind(data), data, problem=str(error))


def read_structure(name: str, data: Bytes) -> Part:
    """Decode the structure at the start of a memory."""
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
    some = list(_some(tree.entries()))
    without_values = bool(some) and not any(value.size for _, value in some)
    is_set = without_values and tree.is_set(max(key.size for key, _ in some))
    known = {
        "layout": f"version {tree.version}",
        "page": f"{tree.page:,} bytes",
        "keys": _keys(tree) if some else None,
        "greatest key": tree.max_key,
        "greatest value": tree.max_value,
        "values": "empty, perhaps a BTreeSet" if without_values and not is_set and tree.max_value is None else None,
    }

    def row(entry: Pair) -> Row:
        return entry[:1] if is_set else entry

    def rows() -> Iterator[Row]:
        return map(row, tree.entries())

    def check() -> Check:
        versions, damages, whole = tree.check()
        mixed = ", ".join(f"{count:,} of version {version}" for version, count in sorted(versions.items()))
        return Check({"nodes": mixed} if len(versions) > 1 else {}, tuple(damages), whole)

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
        check=check,
    )


def _some(entries: Iterator[Pair]) -> Iterator[Pair]:
    """Yield the first readable entries."""
    with suppress(Damaged):
        yield from islice(entries, _SAMPLE)


def _keys(tree: BTree) -> str | None:
    if not tree.sampled:
        return None
    return "of any size" if tree.key_size is None else f"{tree.key_size} bytes each"


def _all(row: Callable[[Pair], Row], pairs: Callable[[], Iterable[Pair]]) -> Iterator[Row]:
    return map(row, pairs())


def _vector(name: str, data: Bytes) -> Part:
    vector = lists.read_vector(data)
    kind = _KINDS[data.read(0, 3)]
    size = f"{vector.max_size:,} bytes" if vector.fixed else f"at most {vector.max_size:,} bytes"
    return Part(
        name,
        kind,
        data,
        {"element": size},
        ("value",),
        vector.length,
        lambda: _cells(vector.entries()),
        groups=lambda: ((data, partial(_called, entries)) for data, entries in vector.blocks()),
        block=vector.block,
        check=partial(_checked, vector.entries),
    )


def _checked(entries: Callable[[], Iterator[Bytes]]) -> Check:
    """Check that all entries can be read."""
    rows = entries()
    try:
        for _ in islice(rows, _MOST_CHECKED):
            pass
        return Check(whole=next(rows, None) is None)
    except Damaged as error:
        return Check(damages=error.damages)


def _cells(entries: Iterator[Bytes]) -> Iterator[Row]:
    return ((entry,) for entry in entries)


def _called(entries: Callable[[], Iterator[Bytes]]) -> Iterator[Row]:
    return _cells(entries())


def _cell(name: str, data: Bytes) -> Part:
    value = lists.read_cell(data)
    return Part(name, "Cell", data, {"value": f"{value.size:,} bytes"}, ("value",), 1, lambda: iter([(value,)]))


def _index(name: str, data: Bytes) -> Part:
    length, total = lists.log_extent(data)
    return Part(name, "Log", data, {"data": f"{total:,} bytes"}, ("value",), length)


def _data(name: str, data: Bytes) -> Part:
    return Part(name, "Log data", data)


_KINDS = {
    manager.MAGIC: "memory manager",
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
    """Pair each log's index with its data: the nearest memory that is large enough, the following one first; of those
    that are left over, with one that is too small for the end of the last entry, which may be damaged."""
    free = [n for n, own in parts.items() if own.kind == "Log data" and own.problem is None]
    logs = [n for n, own in parts.items() if own.kind == "Log" and own.problem is None]
    reasons = dict.fromkeys(logs, "no memory holds the data of a log")
    for whole in (True, False):
        for number in list(reasons):
            for other in sorted(free, key=lambda n: (abs(n - number), n < number)):
                try:
                    log = lists.read_log(memories[number], memories[other], whole=whole)
                except InspectError as error:
                    reasons[number] = str(error)
                    continue
                free.remove(other)
                del reasons[number]
                parts[number] = _with_data(parts[number], log, parts[other].name)
                break
    for number, reason in reasons.items():
        parts[number] = replace(parts[number], problem=reason, columns=())


def _with_data(index: Part, log: lists.Log, where: str) -> Part:
    return replace(
        index,
        facts={**index.facts, "data in": where},
        count=log.length,
        rows=lambda: _cells(log.entries()),
        groups=lambda: ((data, partial(_called, entries)) for data, entries in log.blocks()),
        block=lists.BLOCK,
        check=partial(_checked, log.entries),
    )


def begun_structures(stable: Bytes) -> Iterator[tuple[int, str]]:
    """Yield the pages behind the first that begin with the magic and a version of a structure, and its kind."""
    for page in manager.searched_pages(stable):
        begins = stable.read(page * WASM_PAGE, 4) if page else b""
        if begins[:3] in _KINDS and begins[3] in (1, 2):
            yield page, _KINDS[begins[:3]]


def decode_alone(stable: Bytes) -> Decoded:
    """Decode a structure that uses the stable memory alone."""
    return Decoded(LAYOUT, (read_structure("structure", stable),), {"memory manager": "none"})

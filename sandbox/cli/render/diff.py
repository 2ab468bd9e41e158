"""Render the difference between two states: facts for JSON, tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from sandbox.cli.render import output, page_map
from sandbox.pagestore.hash_tree import PAGE
from sandbox.snapshots.diff import Diff, MemoryDiff, ModuleDiff, StructureDiff
from sandbox.snapshots.diff.modules import NameChanges
from sandbox.snapshots.diff.picture import STYLE, FateMap
from sandbox.snapshots.diff.readable import readable_entries
from sandbox.snapshots.inspect import picture
from sandbox.snapshots.inspect.cells import field_names
from sandbox.snapshots.inspect.globals import GlobalValue
from sandbox.snapshots.inspect.target import InspectionTarget

_SHOWN = 48
"""Most bytes of a change that are shown."""
_ITEMS = 100
"""Most items of a vector that are shown."""


@dataclass(frozen=True)
class DiffOptions:
    """The options of `snapshot diff`. `limit`: most entries, globals and byte ranges shown, each."""

    limit: int = 20
    bytes: bool = False
    picture: bool = False
    png: Path | None = None


def render_diff(diff: Diff, options: DiffOptions) -> output.Rendered:
    """Render all sections of a difference that are not empty."""
    facts: dict[str, Any] = {"a": dict(diff.old.fields), "b": dict(diff.new.fields), "different": bool(diff)}
    parts: list[RenderableType] = []
    for section in (_module, _globals, _memories, _fields, _structures, _bytes, _maps):
        more, lines = section(diff, options)
        facts |= more
        if lines and parts:
            parts.append(Text())
        parts += lines
    return facts, parts if diff or parts else [Text("No difference.")]


def title(target: InspectionTarget) -> str:
    """Return the name of a file, snapshot or canister for a heading."""
    fields = target.fields
    if "file" in fields:
        return str(fields["file"])
    if "id" not in fields:
        return f"canister {fields['canister_id']}, now"
    snapshot_id, label = fields["id"], fields.get("label")
    name = snapshot_id.hex() if isinstance(snapshot_id, bytes) else snapshot_id
    return f"snapshot {name}" + (f" ({output.named(str(label))})" if label else "")


# --- module


def _module(diff: Diff, _: DiffOptions) -> output.Rendered:
    module = diff.module
    if module is None:
        return {"module": None}, []
    names = {name: getattr(module, name) for name in ("imports", "exports", "metadata", "candid")}
    hashes = [None if value is None else value.hex() for value in (module.before, module.after)]
    facts = {
        "before": hashes[0],
        "after": hashes[1],
        "sizes": module.sizes,
        **{name: _names_facts(change) for name, change in names.items()},
        "compatible": module.compatible,
        "reason": module.reason or None,
    }
    before, after = (f"{name[:16]} ({size:,} bytes)" if name else "none" for name, size in _sized(hashes, module))
    pairs = {"module": f"{before} → {after}"}
    pairs |= {name: _names_text(change) for name, change in names.items() if change}
    if module.compatible is not None:
        reason = output.visible(module.reason)
        pairs["old clients"] = "can go on" if module.compatible else f"cannot go on: {reason}"
    return {"module": facts}, [output.fields(pairs)]


def _sized(hashes: list[str | None], module: ModuleDiff) -> Iterator[tuple[str | None, int]]:
    return zip(hashes, module.sizes, strict=True)


def _names_facts(change: NameChanges) -> dict[str, Any]:
    return {"added": change.added, "removed": change.removed, "changed": change.changed}


def _names_text(change: NameChanges) -> str:
    marked = (("+", change.added), ("-", change.removed), ("~", change.changed))
    return output.visible(", ".join(f"{mark} {name}" for mark, names in marked for name in names))


# --- globals and fields


def _globals(diff: Diff, options: DiffOptions) -> output.Rendered:
    facts, rows = [], []
    for each in diff.globals:
        known = each.after or each.before
        assert known is not None
        before, after = (None if state is None else state.value for state in (each.before, each.after))
        facts.append({"index": known.index, "name": known.name, "type": known.type, "before": before, "after": after})
        rows.append((_index(known), output.visible(known.name or ""), known.type, _or_dash(before), _or_dash(after)))
    lines: list[RenderableType] = []
    if rows:
        headers = ("global", "name", "type", "before", "after")
        lines = [output.table(headers, rows[: options.limit], right=["before", "after"]), *_more(len(rows), options)]
    return {"globals": facts}, lines


def _index(value: GlobalValue) -> str:
    return "?" if value.index is None else str(value.index)


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def _more(count: int, options: DiffOptions) -> list[RenderableType]:
    return [Text(f"and {count - options.limit:,} more (--limit)", "dim")] if count > options.limit else []


def _fields(diff: Diff, _: DiffOptions) -> output.Rendered:
    facts = {each.name: {"before": each.before, "after": each.after} for each in diff.fields}
    rows = [(each.name.replace("_", " "), *(_field(v) for v in (each.before, each.after))) for each in diff.fields]
    return {"fields": facts}, [output.table(("field", "before", "after"), rows)] if rows else []


def _field(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(item.hex()[:16] if isinstance(item, bytes) else str(item) for item in value) or "none"
    return (value.hex() or "empty") if isinstance(value, bytes) else str(value)


# --- memories


def _memories_of(diff: Diff) -> dict[str, MemoryDiff]:
    return {"heap": diff.heap, "stable": diff.stable}


def _memories(diff: Diff, _: DiffOptions) -> output.Rendered:
    memories = _memories_of(diff)
    rows = []
    for name, each in memories.items():
        counts = (f"{sum(length for _, length in runs) // PAGE:,}" for runs in _runs(each).values())
        rows.append((name, output.size(each.before), output.size(each.after), *counts))
    facts = {name: _memory_facts(each) for name, each in memories.items()}
    if not any(memories.values()):
        return facts, []
    headers = ("memory", "before", "after", "pages changed", "added", "removed")
    return facts, [output.table(headers, rows, right=headers[1:])]


def _runs(memory: MemoryDiff) -> Mapping[str, tuple[tuple[int, int], ...]]:
    return {"changed": memory.changed, "added": memory.added, "removed": memory.removed}


def _memory_facts(memory: MemoryDiff) -> dict[str, Any]:
    pages = {name: sum(length for _, length in runs) // PAGE for name, runs in _runs(memory).items()}
    return {"before": memory.before, "after": memory.after, "pages": pages, "runs": _runs(memory)}


def _bytes(diff: Diff, options: DiffOptions) -> output.Rendered:
    if not options.bytes:
        return {}, []
    facts, rows = {}, []
    for name, each in _memories_of(diff).items():
        changes = list(islice(each.byte_changes(), options.limit + 1))
        more = len(changes) > options.limit
        first = changes[: options.limit]
        facts[name] = {
            "changes": [{"offset": c.offset, "before": c.before, "after": c.after} for c in first],
            "more": more,
        }
        rows += [(name, f"{c.offset:#010x}", str(len(c.before)), _clipped(c.before), _clipped(c.after)) for c in first]
        rows += [(name, "and more (--limit)", "", "", "")] if more else []
    if not rows:
        return {"bytes": facts}, []
    return {"bytes": facts}, [output.table(("memory", "from", "bytes", "before", "after"), rows, right=["bytes"])]


def _clipped(data: bytes) -> str:
    return data[:_SHOWN].hex() + ("..." if len(data) > _SHOWN else "")


def _maps(diff: Diff, options: DiffOptions) -> output.Rendered:
    drawn = {name: FateMap(each) for name, each in _memories_of(diff).items() if max(each.before, each.after)}
    facts: dict[str, Any] = {}
    lines: list[RenderableType] = []
    if options.png is not None and drawn:
        facts["map"] = {"file": str(options.png), "pages_per_point": picture.write_png(drawn, options.png, STYLE)}
        lines.append(Text(f"map written to {options.png}", "green"))
    if options.picture:
        for name, each in drawn.items():
            lines += [Text(name, "bold"), *page_map.lines(each, STYLE)]
    return facts, lines


# --- structures


def _structures(diff: Diff, options: DiffOptions) -> output.Rendered:
    names = tuple({*field_names(diff.old), *field_names(diff.new)})
    facts: list[dict[str, Any]] = []
    lines: list[RenderableType] = []
    for each in diff.structures:
        more, parts = _structure(each, names, options)
        facts.append(more)
        lines += parts
    lines += [Text(note, "dim") for note in diff.notes]
    return {"structures": facts, "notes": list(diff.notes)}, lines


def _structure(structure: StructureDiff, names: tuple[str, ...], options: DiffOptions) -> output.Rendered:
    before, after = structure.counts
    counts = {"added": structure.added, "removed": structure.removed, "changed": structure.changed}
    facts: dict[str, Any] = {"name": structure.name, "kind": structure.kind, "before": before, "after": after, **counts}
    facts |= {"problem": structure.problem, "damages": list(structure.damages)}
    if structure.problem is not None:
        return facts, [Text(f"{structure.name}: {structure.kind}: {structure.problem}")]
    numbers = " → ".join("none" if count is None else f"{count:,}" for count in structure.counts)
    changes = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    heading = f"{structure.name}: {structure.kind}, {numbers} entries: {changes}"
    some = structure.entries[: options.limit]
    keys, *values = readable_entries(structure.entries, options.limit, names)
    facts["entries"] = [
        {"key": key, "before": was, "after": now}
        for key, (was, _), (now, _) in zip((key for key, _ in keys), *values, strict=True)
    ]
    rows = [
        ("+" if entry.before is None else "-" if entry.after is None else "~", key, was, now)
        for entry, (_, key), (_, was), (_, now) in zip(some, keys, *values, strict=True)
    ]
    table = output.table(("", "key", "before", "after"), rows)
    damages = [Text(damage, "bold red") for damage in structure.damages]
    damages += [Text("unreadable parts are not compared", "dim")] if damages else []
    return facts, [Text(heading, "bold"), *damages, *([table] if rows else []), *_more(len(structure.entries), options)]

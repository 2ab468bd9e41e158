"""Render the contents of a snapshot: facts for JSON, tables and lines for people."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from sandbox.candid.labels import quoted
from sandbox.cli.options import Misuse
from sandbox.cli.render import output
from sandbox.cli.render import page_map as maps
from sandbox.cli.render.inspect_options import InspectOptions
from sandbox.cli.render.output import Rendered
from sandbox.snapshots.inspect import picture
from sandbox.snapshots.inspect.cells import SAMPLE, column, field_names, node_cell
from sandbox.snapshots.inspect.globals import GlobalValue
from sandbox.snapshots.inspect.model import Decoded, Part, Row
from sandbox.snapshots.inspect.pages import PageMap, page_map
from sandbox.snapshots.inspect.search import hexdump, strings
from sandbox.snapshots.inspect.source import Bytes, Damaged, InspectError, summary
from sandbox.snapshots.inspect.target import InspectionTarget
from sandbox.snapshots.inspect.value import Node, node_json, node_text
from sandbox.wasm import describe


def render_overview(target: InspectionTarget, selection: InspectOptions) -> Rendered:
    """Render the fields, the module and a summary of the memories."""
    drawn = {name: page_map(target.part(name), selection.page) for name in ("heap", "stable")}
    facts: dict[str, Any] = {
        "fields": dict(target.fields),
        "module": None if target.facts is None else describe(target.facts),
        **{name: _map_facts(each) for name, each in drawn.items()},
    }
    structures = _decoded(target, selection)
    facts |= structures.facts
    pairs: dict[str, object] = {name.replace("_", " "): _field(name, value) for name, value in target.fields.items()}
    pairs |= {name: output.visible(str(value)) for name, value in _module(facts["module"], target).items()}
    pairs |= {name: f"{output.size(each.size)}: {_counts(each)}" for name, each in drawn.items()}
    return facts, [output.fields({k: v for k, v in pairs.items() if v not in (None, "", b"")}), *structures.summary()]


def _field(name: str, value: object) -> object:
    if name == "taken_on" and isinstance(value, int):
        return output.date(value)
    if name == "global_timer":
        return value or "not set"
    if name == "derived" and isinstance(value, list):
        return output.visible("\n".join(map(_step, value)))
    if isinstance(value, list):
        return len(value) or None
    if isinstance(value, str):
        return output.one_line(value)
    return value.hex() if isinstance(value, bytes) else value


def _step(step: dict[str, Any]) -> str:
    """Return one line of the history of an edited snapshot."""
    if not isinstance(step.get("edits"), list):
        return str(step)
    return f"from {step.get('parent')}: {', '.join(map(str, step['edits']))}"


def _module(facts: dict[str, Any] | None, target: InspectionTarget) -> dict[str, object]:
    if facts is None:
        return {
            "module": "none" if not target.module.size else f"{target.module.size:,} bytes that are not a module yet"
        }
    methods: dict[str, list[str]] = facts["methods"]
    offered = {f"{kind.replace('_', ' ')} methods": ", ".join(names) for kind, names in methods.items() if names}
    kind = "wasm64" if facts["memory"] and facts["memory"]["is64"] else "wasm32"
    enhanced = ", enhanced orthogonal persistence" if facts["enhanced_orthogonal_persistence"] else ""
    count = facts["globals"]
    return {
        "module": f"SHA-256 {facts['sha256']}, {target.module.size:,} bytes, {kind}{enhanced}",
        **offered,
        "globals": f"{count['mutable']} mutable, {count['immutable']} immutable",
        "metadata": ", ".join(target.metadata),
    }


def _counts(drawn: PageMap) -> str:
    counts = ", ".join(f"{count:,} {label}" for label, count in drawn.counts.items() if count)
    return f"{drawn.pages:,} pages of {drawn.page // 1024} KiB" + (f" ({counts})" if counts else "")


def _map_facts(drawn: PageMap) -> dict[str, Any]:
    return {"size": drawn.size, "page": drawn.page, "pages": drawn.pages, "classes": drawn.counts}


def render_selected(target: InspectionTarget, selection: InspectOptions) -> Rendered:
    """Render the parts that the options select, in a fixed order."""
    facts: dict[str, Any] = {}
    parts: list[RenderableType] = []
    steps = (
        (selection.candid, _candid),
        (selection.values, _globals),
        (selection.structures and selection.region is None, _structures),
        (selection.region is not None and not selection.about_bytes, _entries),
        (selection.picture or selection.png, _picture),
        (selection.strings, _strings),
        (selection.hexdump, _hexdump),
    )
    for wanted, step in steps:
        if wanted:
            more, lines = step(target, selection)
            facts |= more
            parts += lines
    return facts, parts


def _candid(target: InspectionTarget, _: InspectOptions) -> Rendered:
    text = target.metadata.get("candid:service")
    if text is None:
        return {"candid": None}, [Text("The module has no candid:service metadata.")]
    service = text.decode("utf-8", "replace")
    return {"candid": service}, [Text(output.visible(service.rstrip("\n")))]


def _globals(target: InspectionTarget, _: InspectOptions) -> Rendered:
    values = target.globals
    rows = [(_index(g), g.name or "", g.type, "yes" if g.mutable else "no", g.value, hex(g.bits)) for g in values]
    facts = [{"index": g.index, "name": g.name, "type": g.type, "mutable": g.mutable, "value": g.value} for g in values]
    headers = ("index", "name", "type", "mutable", "value", "bits")
    cells = [tuple(output.visible(str(cell)) for cell in row) for row in rows]
    table = output.table(headers, cells, right=["value"]) if rows else Text("No globals.")
    return {"globals": facts}, [table]


def _index(value: GlobalValue) -> str:
    return "?" if value.index is None else str(value.index)


# --- structures


@dataclass(frozen=True)
class _Structures:
    """The structures decoded from stable memory; `decoded` is None, with a `problem`, if there are none."""

    facts: dict[str, Any]
    decoded: Decoded | None
    problem: str | None

    def summary(self) -> list[RenderableType]:
        """Return a heading, the notes, and a table of the parts."""
        if self.decoded is None:
            return [Text(f"stable memory: {self.problem}")]
        about = ", ".join(f"{name} {value}" for name, value in self.decoded.facts.items())
        lines: list[RenderableType] = [Text(f"{self.decoded.layout}{f': {about}' if about else ''}", "bold")]
        lines += [Text(note, "dim") for note in self.decoded.notes]
        if self.decoded.parts:
            lines.append(output.table(("part", "kind", "entries", "size", ""), map(_part_row, self.decoded.parts)))
        return lines


def _part_row(part: Part) -> tuple[object, ...]:
    facts = {**part.facts, **part.checked.facts}
    about = part.problem or ", ".join(f"{name}: {value}" for name, value in facts.items())
    if part.checked.damages:
        about += f", damaged: {summary(part.checked.damages)}"
    count = "" if part.count is None else f"{part.count:,}"
    return part.name, part.kind, count, output.size(part.data.size), output.one_line(about)


def _decoded(target: InspectionTarget, selection: InspectOptions) -> _Structures:
    try:
        decoded = target.decode(selection.keep)
    except InspectError as error:
        return _Structures({"decoded": None, "problem": str(error)}, None, str(error))
    parts = [
        {
            "name": part.name,
            "kind": part.kind,
            "size": part.data.size,
            "entries": part.count,
            "facts": {**part.facts, **part.checked.facts},
            "problem": part.problem,
            "damages": list(part.checked.damages),
        }
        for part in decoded.parts
    ]
    facts = {"layout": decoded.layout, "facts": dict(decoded.facts), "notes": list(decoded.notes), "parts": parts}
    return _Structures({"decoded": facts}, decoded, None)


def _structures(target: InspectionTarget, selection: InspectOptions) -> Rendered:
    structures = _decoded(target, selection)
    parts = structures.summary()
    for name in ("variables", "values"):
        part = structures.decoded.part(name) if structures.decoded is not None else None
        if part is not None and part.problem is None:
            facts, lines = _declarations(part)
            return {**structures.facts, **facts}, parts + lines
    return structures.facts, parts


def _declarations(part: Part) -> Rendered:
    """Render named values as declarations, all of them: `--limit` applies to the items within each."""
    facts: list[dict[str, Any]] = []
    lines: list[RenderableType] = []
    for row in part.rows():
        name, *kind, value = (cell for cell in row if isinstance(cell, Node))
        texts = [node_cell(name), *map(node_cell, kind)]
        facts.append(dict(zip(part.columns, (*texts, node_json(value)), strict=True)))
        mark, declared = ("var ", texts[-1][4:]) if texts[-1].startswith("var ") else ("", texts[-1])
        head = f"{mark}{texts[0]} : {declared}" if kind and declared else texts[0]
        lines.append(Text.assemble((head, "bold"), " = ", output.candid(node_text(value))))
    return {"count": part.count, "entries": facts}, lines


def _region(target: InspectionTarget, selection: InspectOptions) -> Part:
    assert selection.region is not None
    decoded = target.decode(selection.keep)
    part = decoded.part(selection.region)
    if part is None:
        known = ", ".join(each.name for each in decoded.parts) or "none"
        raise Misuse(f"there is no part {selection.region!r} in stable memory; there is: {known}")
    return part


def _entries(target: InspectionTarget, selection: InspectOptions) -> Rendered:
    part = _region(target, selection)
    if part.problem is not None:
        raise InspectError(f"{part.name}: {part.problem}")
    heading = Text(f"{part.name}: {part.kind}" + ("" if part.count is None else f", {part.count:,} entries"), "bold")
    if part.name in ("variables", "values"):
        return _declarations(part)
    if not part.columns:
        return {"part": part.name, "kind": part.kind}, [heading, *_hexdump(target, selection)[1]]
    facts, lines = _rows(target, part, selection)
    return {"part": part.name, "kind": part.kind, **facts}, [heading, *lines]


def _rows(target: InspectionTarget, part: Part, selection: InspectOptions) -> Rendered:
    sample, ended = _some(part, max(selection.limit, SAMPLE))
    rows = sample[: selection.limit]
    more = part.count is not None and part.count > len(rows)
    problem = None if len(rows) == selection.limit or isinstance(ended, Damaged) else ended
    damages = ended.damages if isinstance(ended, Damaged) else part.checked.damages
    names = field_names(target)
    forms = {"key": selection.key_form, "value": selection.value_form}
    columns = [
        column([row[n] for row in rows], names, forms.get(name), [row[n] for row in sample])
        for n, name in enumerate(part.columns)
    ]
    facts = [{name: c.json[k] for name, c in zip(part.columns, columns, strict=True)} for k in range(len(rows))]
    used = {name: c.form for name, c in zip(part.columns, columns, strict=True) if c.form}
    table = output.table(part.columns, zip(*(c.text for c in columns), strict=True)) if rows else Text("Empty.")
    lines: list[RenderableType] = [table]
    if problem is not None:
        lines.append(Text(f"no more can be read: {problem}", "bold red"))
    elif more and (not damages or len(rows) == selection.limit):
        lines.append(Text(f"and {(part.count or 0) - len(rows):,} more (--limit)", "dim"))
    lines += [Text(f"damaged: {damage}", "bold red") for damage in damages]
    about = {"count": part.count, "forms": used, "entries": facts}
    return {**about, "problem": None if problem is None else str(problem), "damages": list(damages)}, lines


def _some(part: Part, most: int) -> tuple[list[Row], InspectError | None]:
    """Return the first entries, and the error that ended them if the bytes are damaged."""
    rows: list[Row] = []
    try:
        rows.extend(islice(part.rows(), most))
    except InspectError as error:
        return rows, error
    return rows, None


# --- bytes


def _bytes(target: InspectionTarget, selection: InspectOptions) -> tuple[str, Bytes]:
    if selection.region is not None:
        if selection.part not in (None, "stable"):
            raise Misuse("--region is a part of stable memory; leave out --part or use --part stable")
        part = _region(target, selection)
        return part.name, part.data
    name = selection.part or "heap"
    return name, target.part(name)


def _picture(target: InspectionTarget, selection: InspectOptions) -> Rendered:
    name, source = _bytes(target, selection)
    drawn = page_map(source, selection.page)
    facts: dict[str, Any] = {"part": name, "map": _map_facts(drawn)}
    lines: list[RenderableType] = [Text(f"{name}: {_counts(drawn)}", "bold")]
    if selection.png is not None:
        each = picture.write_png({name: drawn}, selection.png)
        facts["png"] = {"file": str(selection.png), "pages_per_point": each[name]}
        lines.append(Text(f"map written to {selection.png}", "green"))
    if selection.picture:
        lines += maps.lines(drawn)
    return facts, lines


def _strings(target: InspectionTarget, selection: InspectOptions) -> Rendered:
    name, source = _bytes(target, selection)
    every = strings(source, selection.min_length, selection.regex)
    texts = list(islice(every, selection.limit))
    more = next(every, None) is not None
    lines: list[RenderableType] = [Text(f"{text.offset:#010x}  {quoted(text.text)}") for text in texts]
    if more:
        lines.append(Text("and more (--limit)", "dim"))
    facts = [{"offset": text.offset, "text": text.text} for text in texts]
    return {"part": name, "strings": facts, "more": more}, lines or [Text("No texts.")]


def _hexdump(target: InspectionTarget, selection: InspectOptions) -> Rendered:
    name, source = _bytes(target, selection)
    offset, length = selection.hexdump or (0, min(256, source.size))
    facts: dict[str, Any] = {"part": name, "offset": offset, "length": length}
    if length <= 1 << 20:
        facts["bytes"] = source.read(offset, length) if offset + length <= source.size else None
    return facts, [Text(line) for line in hexdump(source, offset, length)]

"""How what was found inside a snapshot looks: facts for JSON, tables and lines for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from sandbox.candid.labels import quoted
from sandbox.cli.app import Misuse
from sandbox.cli.render import output
from sandbox.cli.render import page_map as maps
from sandbox.cli.render.cells import SAMPLE, column, field_names, node_cell
from sandbox.cli.render.inspect_options import InspectOptions
from sandbox.snapshots.inspect import picture
from sandbox.snapshots.inspect.globals import GlobalValue
from sandbox.snapshots.inspect.model import Decoded, Part, Row
from sandbox.snapshots.inspect.pages import PageMap, page_map
from sandbox.snapshots.inspect.search import hexdump, strings
from sandbox.snapshots.inspect.source import Bytes, Damaged, InspectError, summary
from sandbox.snapshots.inspect.target import InspectionTarget
from sandbox.snapshots.inspect.value import Node, node_json, node_text
from sandbox.wasm import describe

Rendered = tuple[dict[str, Any], list[RenderableType]]


def render_overview(found: InspectionTarget, selection: InspectOptions) -> Rendered:
    """What it is, what its module offers, what its memories hold."""
    drawn = {name: page_map(found.part(name), selection.page) for name in ("heap", "stable")}
    facts: dict[str, Any] = {
        "fields": dict(found.fields),
        "module": None if found.facts is None else describe(found.facts),
        **{name: _map_facts(each) for name, each in drawn.items()},
    }
    decoded = _decoded(found, selection)
    facts |= decoded.facts
    shown: dict[str, object] = {name.replace("_", " "): _field(name, value) for name, value in found.fields.items()}
    shown |= {name: output.visible(str(value)) for name, value in _module(facts["module"], found).items()}
    shown |= {name: f"{output.size(each.size)}: {_counts(each)}" for name, each in drawn.items()}
    return facts, [output.fields({k: v for k, v in shown.items() if v not in (None, "", b"")}), *decoded.summary()]


def _field(name: str, value: object) -> object:
    if name == "taken_on" and isinstance(value, int):
        return datetime.fromtimestamp(value // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
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
    """One line of the history of an edited snapshot."""
    if not isinstance(step.get("edits"), list):
        return str(step)
    return f"from {step.get('parent')}: {', '.join(map(str, step['edits']))}"


def _module(facts: dict[str, Any] | None, found: InspectionTarget) -> dict[str, object]:
    if facts is None:
        return {"module": "none" if not found.module.size else f"{found.module.size:,} bytes that are no module yet"}
    methods: dict[str, list[str]] = facts["methods"]
    offered = {f"{kind.replace('_', ' ')} methods": ", ".join(names) for kind, names in methods.items() if names}
    kind = "wasm64" if facts["memory"] and facts["memory"]["is64"] else "wasm32"
    enhanced = ", enhanced orthogonal persistence" if facts["enhanced_orthogonal_persistence"] else ""
    count = facts["globals"]
    return {
        "module": f"SHA-256 {facts['sha256']}, {found.module.size:,} bytes, {kind}{enhanced}",
        **offered,
        "globals": f"{count['mutable']} mutable, {count['immutable']} immutable",
        "metadata": ", ".join(found.metadata),
    }


def _counts(found: PageMap) -> str:
    counts = ", ".join(f"{count:,} {label}" for label, count in found.counts.items() if count)
    return f"{found.pages:,} pages of {found.page // 1024} KiB" + (f" ({counts})" if counts else "")


def _map_facts(found: PageMap) -> dict[str, Any]:
    return {"size": found.size, "page": found.page, "pages": found.pages, "classes": found.counts}


def render_selected(found: InspectionTarget, selection: InspectOptions) -> Rendered:
    """What the options ask for, in a fixed order."""
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
            more, lines = step(found, selection)
            facts |= more
            parts += lines
    return facts, parts


def _candid(found: InspectionTarget, _: InspectOptions) -> Rendered:
    text = found.metadata.get("candid:service")
    if text is None:
        return {"candid": None}, [Text("The module has no candid:service metadata.")]
    shown = text.decode("utf-8", "replace")
    return {"candid": shown}, [Text(output.visible(shown.rstrip("\n")))]


def _globals(found: InspectionTarget, _: InspectOptions) -> Rendered:
    values = found.globals
    rows = [(_index(g), g.name or "", g.type, "yes" if g.mutable else "no", g.value, hex(g.bits)) for g in values]
    facts = [{"index": g.index, "name": g.name, "type": g.type, "mutable": g.mutable, "value": g.value} for g in values]
    headers = ("index", "name", "type", "mutable", "value", "bits")
    told = [tuple(output.visible(str(cell)) for cell in row) for row in rows]
    table = output.table(headers, told, right=["value"]) if rows else Text("No globals.")
    return {"globals": facts}, [table]


def _index(found: GlobalValue) -> str:
    return "?" if found.index is None else str(found.index)


# --- structures


@dataclass(frozen=True)
class _Structures:
    facts: dict[str, Any]
    found: Decoded | None
    problem: str | None

    def summary(self) -> list[RenderableType]:
        """A heading, the notes, a table of the parts."""
        if self.found is None:
            return [Text(f"stable memory: {self.problem}")]
        about = ", ".join(f"{name} {value}" for name, value in self.found.facts.items())
        lines: list[RenderableType] = [Text(f"{self.found.layout}{f': {about}' if about else ''}", "bold")]
        lines += [Text(note, "dim") for note in self.found.notes]
        if self.found.parts:
            lines.append(output.table(("part", "kind", "entries", "size", ""), map(_part_row, self.found.parts)))
        return lines


def _part_row(part: Part) -> tuple[object, ...]:
    facts = {**part.facts, **part.checked.facts}
    about = part.problem or ", ".join(f"{name}: {value}" for name, value in facts.items())
    if part.checked.damages:
        about += f", damaged: {summary(part.checked.damages)}"
    count = "" if part.count is None else f"{part.count:,}"
    return part.name, part.kind, count, output.size(part.data.size), output.one_line(about)


def _decoded(found: InspectionTarget, selection: InspectOptions) -> _Structures:
    try:
        decoded = found.decode(selection.keep)
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


def _structures(found: InspectionTarget, selection: InspectOptions) -> Rendered:
    decoded = _decoded(found, selection)
    parts = decoded.summary()
    for name in ("variables", "values"):
        told = decoded.found.part(name) if decoded.found is not None else None
        if told is not None and told.problem is None:
            facts, lines = _declarations(told)
            return {**decoded.facts, **facts}, parts + lines
    return decoded.facts, parts


def _declarations(part: Part) -> Rendered:
    """All values that have names of their own, as declarations; `--limit` is for what is in them."""
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


def _region(found: InspectionTarget, selection: InspectOptions) -> Part:
    assert selection.region is not None
    decoded = found.decode(selection.keep)
    part = decoded.part(selection.region)
    if part is None:
        known = ", ".join(each.name for each in decoded.parts) or "none"
        raise Misuse(f"there is no part {selection.region!r} in stable memory; there is: {known}")
    return part


def _entries(found: InspectionTarget, selection: InspectOptions) -> Rendered:
    part = _region(found, selection)
    if part.problem is not None:
        raise InspectError(f"{part.name}: {part.problem}")
    heading = Text(f"{part.name}: {part.kind}" + ("" if part.count is None else f", {part.count:,} entries"), "bold")
    if part.name in ("variables", "values"):
        return _declarations(part)
    if not part.columns:
        return {"part": part.name, "kind": part.kind}, [heading, *_hexdump(found, selection)[1]]
    facts, lines = _rows(found, part, selection)
    return {"part": part.name, "kind": part.kind, **facts}, [heading, *lines]


def _rows(found: InspectionTarget, part: Part, selection: InspectOptions) -> Rendered:
    sample, ended = _some(part, max(selection.limit, SAMPLE))
    rows = sample[: selection.limit]
    more = part.count is not None and part.count > len(rows)
    problem = None if len(rows) == selection.limit or isinstance(ended, Damaged) else ended
    damages = ended.damages if isinstance(ended, Damaged) else part.checked.damages
    names = field_names(found)
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
    """The first entries, and why there are no more where the bytes are damaged."""
    found: list[Row] = []
    try:
        found.extend(islice(part.rows(), most))
    except InspectError as error:
        return found, error
    return found, None


# --- bytes


def _bytes(found: InspectionTarget, selection: InspectOptions) -> tuple[str, Bytes]:
    if selection.region is not None:
        if selection.part not in (None, "stable"):
            raise Misuse("--region is a part of stable memory; --part says otherwise")
        part = _region(found, selection)
        return part.name, part.data
    name = selection.part or "heap"
    return name, found.part(name)


def _picture(found: InspectionTarget, selection: InspectOptions) -> Rendered:
    name, source = _bytes(found, selection)
    drawn = page_map(source, selection.page)
    facts: dict[str, Any] = {"part": name, "map": _map_facts(drawn)}
    lines: list[RenderableType] = [Text(f"{name}: {_counts(drawn)}", "bold")]
    if selection.png is not None:
        each = picture.write_png({name: drawn}, selection.png)
        facts["png"] = {"file": str(selection.png), "pages_per_point": each[name]}
        lines.append(Text(f"map written to {selection.png}", "green"))
    if selection.picture:
        lines += maps.shown(drawn)
    return facts, lines


def _strings(found: InspectionTarget, selection: InspectOptions) -> Rendered:
    name, source = _bytes(found, selection)
    every = strings(source, selection.least, selection.regex)
    texts = list(islice(every, selection.limit))
    more = next(every, None) is not None
    lines: list[RenderableType] = [Text(f"{text.offset:#010x}  {quoted(text.text)}") for text in texts]
    if more:
        lines.append(Text("and more (--limit)", "dim"))
    facts = [{"offset": text.offset, "text": text.text} for text in texts]
    return {"part": name, "strings": facts, "more": more}, lines or [Text("No texts.")]


def _hexdump(found: InspectionTarget, selection: InspectOptions) -> Rendered:
    name, source = _bytes(found, selection)
    offset, length = selection.hexdump or (0, min(256, source.size))
    facts: dict[str, Any] = {"part": name, "offset": offset, "length": length}
    if length <= 1 << 20:
        facts["bytes"] = source.read(offset, length) if offset + length <= source.size else None
    return facts, [Text(line) for line in hexdump(source, offset, length)]

"""The first page, the page of a difference, the page of a profile, and the page of a problem."""

from __future__ import annotations

from sandbox.http.admin import model
from sandbox.http.admin.time import date
from sandbox.http.console.gather import DiffFacts, Overview
from sandbox.http.console.parts import (
    ROOT,
    Note,
    action,
    canister_link,
    field,
    page,
    section,
    short,
    size,
    snapshots_table,
    table,
)
from sandbox.markup import Content, Html, element, joined
from sandbox.snapshots.diff.picture import STYLE


def first(facts: Overview, note: Note | None) -> str:
    """Return the first page: canisters, time, snapshots, log."""
    state = facts.state
    summary = (
        f"{state.canisters} canister{'s' * (state.canisters != 1)}, "
        f"{state.snapshots} snapshot{'s' * (state.snapshots != 1)}; "
    )
    saved = "not everything is saved" if state.unsaved else "all is saved"
    lead = element("p", summary, saved, f" (saving: {state.saving})", class_="lead")
    return page("Sandbox", state, note, lead, _canisters(facts), _time(facts), _snapshots(facts), log())


def _canisters(facts: Overview) -> Html:
    if not facts.canisters:
        text = "There is no canister yet: create one with `icp deploy`, or `canister-sandbox deploy`."
        return section("Canisters", "canisters", element("p", text, class_="dim"))
    rows = [
        (
            canister_link(one.id, one.name) if one.name else element("span", "no name", class_="dim"),
            canister_link(one.id),
            element("span", one.status, class_=f"badge {'good' if one.status == 'running' else 'warn'}"),
            size(one.heap_size),
            size(one.stable_size),
            short(one.module_hash) if one.module_hash else element("span", "empty", class_="dim"),
        )
        for one in facts.canisters
    ]
    shown = table(("name", "id", "status", "heap", "stable", "module"), rows, right=("heap", "stable"))
    return section("Canisters", "canisters", shown)


def _time(facts: Overview) -> Html:
    back = f"{ROOT}#time"
    due = facts.next_due
    controls = element(
        "div",
        action("advance_time", back, "Advance", field("by", "by", "1h")),
        action("run", back, "Run", field("for", "span", "1h")),
        action("tick", back, "Tick", field("rounds", "rounds", "1", size=4)),
        class_="controls",
    )
    anchors = [
        element(
            "li",
            f"{one.label or 'anchor'} since {date(int(one.time))} ",
            action(
                "end_anchor", back, "Undo everything since", anchor=one.anchor, confirm="Undo everything since then?"
            ),
        )
        for one in facts.anchors
    ]
    begun = action("begin_anchor", back, "Open an anchor", field("label", "label", placeholder="try something"))
    hint = "What is done while an anchor is open is undone at its end, and nothing is saved meanwhile."
    return section(
        "Time",
        "time",
        element("p", f"{facts.state.at} UTC", class_="big"),
        element("p", f"The next timer or policy is due at {due} UTC." if due else "Nothing is due.", class_="dim"),
        controls,
        element("h3", "Anchors"),
        element("p", hint, class_="dim"),
        element("ul", anchors, class_="plain") if anchors else None,
        begun,
    )


def _snapshots(facts: Overview) -> Html:
    back = f"{ROOT}#snapshots"
    names = {one.id: one.name or one.id for one in facts.canisters}
    owners = [element("option", name, value=canister_id) for canister_id, name in names.items()]
    chosen = element("label", element("span", "of"), element("select", owners, name="canister"), class_="short")
    take = action("take_snapshot", back, "Take a snapshot", chosen, field("label", "label", placeholder="before v2"))
    return section("Snapshots", "snapshots", take if owners else None, snapshots_table(facts.snapshots, back, names))


def log(canister: str | None = None) -> Html:
    """Return the live log, of one canister or of all."""
    lines = element(
        "ol", id="log-lines", data_stream="/_sandbox/logs", data_canister=canister, class_="log", tabindex="0"
    )
    state = element("p", "Waiting for what canisters print.", id="log-state", class_="dim", aria_live="polite")
    return section("Log", "log", state, lines)


def diff(facts: DiffFacts, note: Note | None) -> str:
    """Return the page of a difference."""
    found = facts.difference
    lead = element("p", element("code", found.old), " → ", element("code", found.new), class_="lead")
    if not found.different:
        return page("Difference", facts.state, note, lead, element("p", "No difference.", class_="note good"))
    memories = [(name, getattr(found, key)) for name, key in (("heap", "heap"), ("stable memory", "stable"))]
    rows = [(name, size(m.before), size(m.after), m.changed, m.added, m.removed) for name, m in memories]
    headers = ("memory", "before", "after", "changed", "added", "removed")
    counts = joined(element("p", "Pages of 4 KiB.", class_="dim"), table(headers, rows, right=headers[1:]))
    content: list[Content] = [lead]
    if found.module is not None:
        content.append(section("Module", "module", _changes([found.module])))
    content += [
        section("Memories", "memories", counts, [_map(name, *drawn) for name, drawn in facts.maps.items()]),
        [_structure(place, one) for place, one in enumerate(found.structures)],
        [element("p", text, class_="dim") for text in found.notes],
    ]
    for title, changes in (("Globals", found.globals), ("Fields", found.fields)):
        if changes:
            content.append(section(title, title.lower(), _changes(changes)))
    return page("Difference", facts.state, note, content)


def _map(name: str, image: str, each: int) -> Html:
    legend = [
        element("span", element("i", class_=f"fate-{look.label}"), look.label, class_="look")
        for look in STYLE.looks.values()
    ]
    unit = f"{name}: a point is {each} page{'s' * (each > 1)}"
    drawn = element("img", src=f"data:image/png;base64,{image}", alt=f"Map of the pages of the {name}")
    return element("figure", element("figcaption", unit, " ", legend), drawn)


def _structure(place: int, one: model.StructureChange) -> Html:
    counts = " → ".join("none" if count is None else f"{count:,}" for count in (one.before, one.after))
    lead = f"{one.kind}, {counts} entries: {one.added:,} added, {one.removed:,} removed, {one.changed:,} changed"
    rows = [
        (element("code", entry.key), element("code", entry.before or "–"), element("code", entry.after or "–"))
        for entry in one.entries
    ]
    return section(
        one.name,
        f"structure-{place}",
        element("p", one.problem or lead, class_="dim"),
        [element("p", damage, class_="note bad") for damage in one.damages],
        table(("key", "before", "after"), rows) if rows else None,
    )


def _changes(changes: list[model.Changed]) -> Html:
    rows = [(one.name, element("code", _shown(one.before)), element("code", _shown(one.after))) for one in changes]
    return table(("name", "before", "after"), rows)


def _shown(value: object) -> str:
    return "–" if value is None else str(value)


def profile(state: model.State, number: int) -> str:
    """Return the page of a profile."""
    file = f"/_sandbox/profiles/{number}"
    links = [element("a", form, href=f"{file}?format={form}") for form in ("svg", "folded", "speedscope")]
    graph = element(
        "div", element("img", src=file, alt="Flame graph: instructions by function"), class_="wide", tabindex="0"
    )
    lead = element(
        "p", "Width is instructions. For the numbers of each frame open the file: ", _spaced(links), class_="lead"
    )
    return page(f"Profile {number}", state, None, lead, graph)


def _spaced(items: list[Html]) -> list[Content]:
    return [part for item in items for part in (item, " ")]


def problem(state: model.State, text: str) -> str:
    """Return a page that says what went wrong."""
    return page("Not possible", state, Note(False, text), element("p", element("a", "Back to the sandbox", href=ROOT)))

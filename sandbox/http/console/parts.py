"""Parts that the pages of the console share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from sandbox.http.admin import model
from sandbox.markup import Content, Html, element, joined

ROOT: Final = "/_sandbox/console"


@dataclass(frozen=True, slots=True)
class Note:
    """What came of an action. `good`: whether it was done."""

    good: bool
    text: str


def page(title: str, state: model.State, note: Note | None, *content: Content) -> str:
    """Return a whole page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} · canister-sandbox"),
        element("link", rel="stylesheet", href=f"{ROOT}/style.css"),
        element("link", rel="icon", href="data:,"),
        element("script", src=f"{ROOT}/script.js", defer=True),
    )
    places = (("Canisters", "canisters"), ("Time", "time"), ("Snapshots", "snapshots"), ("Log", "log"))
    links = [element("a", text, href=f"{ROOT}#{name}") for text, name in places]
    clock = element("span", element("span", "time ", class_="dim"), f"{state.at} UTC", class_="clock")
    header = element(
        "header", element("a", "canister-sandbox", href=ROOT, class_="brand"), element("nav", links), clock
    )
    said = None
    if note is not None:
        said = element("p", note.text, class_=f"note {'good' if note.good else 'bad'}", role="status")
    skip = element("a", "Skip to content", href="#main", class_="skip")
    main = element("main", said, element("h1", title), content, id="main", tabindex="-1")
    return f"<!doctype html>{element('html', head, element('body', skip, header, main), lang='en')}"


def section(title: str, name: str, *content: Content) -> Html:
    """Return a section with a heading, to which links lead by its name."""
    return element(
        "section", element("h2", title, id=f"{name}-title"), content, id=name, aria_labelledby=f"{name}-title"
    )


def table(headers: Sequence[str], rows: Iterable[Sequence[Content]], right: Sequence[str] = ()) -> Html:
    """Return a table; on a narrow screen a row is a card, labelled by the headers. Columns in `right` are numbers."""
    head = element(
        "tr", [element("th", name, scope="col", class_="right" if name in right else None) for name in headers]
    )
    body = [
        element(
            "tr",
            [
                element("td", element("span", cell), data_label=name, class_="right" if name in right else None)
                for name, cell in zip(headers, row, strict=True)
            ],
        )
        for row in rows
    ]
    return element("div", element("table", element("thead", head), element("tbody", body)), class_="wide")


def action(
    operation: str, back: str, label: str, *content: Content, confirm: str | None = None, **given: object
) -> Html:
    """Return a form that carries out an operation and comes back; `given`: parameters that are not filled in."""
    hidden = [element("input", type="hidden", name=name, value=value) for name, value in given.items()]
    return element(
        "form",
        element("input", type="hidden", name="_back", value=back),
        hidden,
        content,
        element("button", label, class_="bad" if confirm else None),
        method="post",
        action=f"{ROOT}/do/{operation}",
        data_confirm=confirm,
        class_="inline",
    )


def field(label: str, name: str, value: str = "", placeholder: str | None = None, size: int = 14) -> Html:
    """Return a labelled text field."""
    given = element(
        "input", name=name, value=value, placeholder=placeholder, size=size, autocomplete="off", spellcheck="false"
    )
    return element("label", element("span", label), given, class_="short")


def canister_link(canister_id: str, text: str | None = None) -> Html:
    """Return a link to the page of a canister."""
    return element("a", text or canister_id, href=f"{ROOT}/canisters/{quote(canister_id, safe='')}")


def size(count: int) -> str:
    """A size in bytes with a binary unit, such as `6.8 MiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError


def short(text: str) -> Html:
    """A long id, cut for the eye; its title has all of it."""
    return element("code", text if len(text) <= 18 else f"{text[:8]}…{text[-6:]}", title=text)


def snapshots_table(found: Sequence[model.Snapshot], back: str, owners: Mapping[str, str] | None = None) -> Html:
    """Return snapshots with what can be done with them; `owners`: the names of their canisters, if it matters."""
    if not found:
        return element("p", "There is no snapshot.", class_="dim")
    headers = ("label", *(("canister",) if owners is not None else ()), "taken (UTC)", "size", "id", "")
    rows = []
    for one in found:
        kinds = [text for text, so in (("via hooks", one.via_hooks), ("by a policy", one.automatic)) if so]
        named = one.label or element("span", "no label", class_="dim")
        actions = element(
            "div",
            element("a", "Compare", href=f"{ROOT}/diff?old={one.id}", class_="button"),
            action("verify_snapshot", back, "Verify", snapshot=one.id),
            action(
                "load_snapshot",
                back,
                "Load",
                snapshot=one.id,
                via_hooks="true" if one.via_hooks else "",
                confirm="Load this snapshot? The present state of the canister is replaced.",
            ),
            element("a", "File", href=f"/_sandbox/snapshots/{one.id}/file", class_="button"),
            action("delete_snapshot", back, "Delete", snapshot=one.id, confirm="Delete this snapshot for good?"),
            class_="actions",
        )
        badges = [element("span", kind, class_="badge") for kind in kinds]
        owner = () if owners is None else (canister_link(one.canister, owners.get(one.canister)),)
        damage = element("p", one.damage, class_="bad") if one.damage else None
        rows.append(
            (
                joined(named, " ", badges, damage),
                *owner,
                element("time", one.taken_at),
                size(one.total_size),
                short(one.id),
                actions,
            )
        )
    return table(headers, rows, right=("size",))

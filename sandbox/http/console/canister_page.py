"""The page of a canister: facts, a form for each method, snapshots, log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.candid import FuncType
from sandbox.http.admin import model
from sandbox.http.admin.time import date
from sandbox.http.console import forms
from sandbox.http.console.gather import CanisterFacts
from sandbox.http.console.pages import log
from sandbox.http.console.parts import ROOT, Note, action, field, page, section, short, size, snapshots_table, table
from sandbox.markup import Content, Html, element


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: the answer, or why it was not made; with what was filled in."""

    canister: str
    method: str
    given: Mapping[str, str]
    called: model.Called | None
    problem: str | None = None


def canister(facts: CanisterFacts, note: Note | None, outcome: Outcome | None) -> str:
    """Return the page of a canister."""
    one = facts.canister
    where = f"{ROOT}/canisters/{one.id}"
    pairs: list[tuple[str, Content]] = [
        ("id", element("code", one.id)),
        ("status", element("span", one.status, class_=f"badge {'good' if one.status == 'running' else 'warn'}")),
        ("module", short(one.module_hash) if one.module_hash else "none"),
        ("heap", size(one.heap_size)),
        ("stable memory", size(one.stable_size)),
        ("cycles", f"{int(one.cycles):,}"),
        ("controllers", [element("div", element("code", controller)) for controller in one.controllers] or "none"),
    ]
    listed = element("dl", [[element("dt", name), element("dd", value)] for name, value in pairs])
    damage = element("p", one.damage, class_="note bad") if one.damage else None
    back = f"{where}#snapshots"
    take = action(
        "take_snapshot", back, "Take a snapshot", field("label", "label", placeholder="before v2"), canister=one.id
    )
    rows = [(record.index, date(int(record.time)), element("code", record.text)) for record in reversed(facts.logs)]
    kept = table(("#", "time (UTC)", "text"), rows) if rows else element("p", "The log is empty.", class_="dim")
    return page(
        one.name or one.id,
        facts.state,
        note,
        damage,
        listed,
        _calls(facts, outcome),
        section("Snapshots", "snapshots", take, snapshots_table(facts.snapshots, back)),
        section("Log of the canister", "kept", kept),
        log(one.id),
    )


def _calls(facts: CanisterFacts, outcome: Outcome | None) -> Html:
    methods = {} if facts.interface is None else facts.interface.methods
    made = [_method(facts, name, function, outcome) for name, function in methods.items()]
    unknown = outcome if outcome is not None and outcome.method not in methods else None
    return section("Call", "call", made, _other(facts, unknown))


def _method(facts: CanisterFacts, name: str, function: FuncType, outcome: Outcome | None) -> Html:
    mine = outcome if outcome is not None and outcome.method == name else None
    given = {} if mine is None else mine.given
    mode = next(iter(function.modes), "update")
    names = function.arg_names or tuple(None for _ in function.args)
    signature = f"({', '.join(map(str, function.args))}) → ({', '.join(map(str, function.results))})"
    summary = element(
        "summary",
        element("span", name, class_="method"),
        " ",
        element("span", mode.replace("_", " "), class_="badge"),
        " ",
        element("code", signature if len(signature) <= 120 else f"{signature[:119]}…", class_="dim"),
    )
    inputs = forms.fields(function.args, names, given)
    return element(
        "details", summary, _form(facts, name, inputs, given), _result(mine), open=mine is not None, id=f"m-{name}"
    )


def _other(facts: CanisterFacts, outcome: Outcome | None) -> Html:
    given = {} if outcome is None else outcome.given
    kinds = [element("option", kind, value=kind, selected=given.get("kind") == kind) for kind in ("update", "query")]
    inputs = [
        field("method", "method", given.get("method", "")),
        element("label", element("span", "kind"), element("select", kinds, name="kind"), class_="short"),
        element(
            "label",
            element("span", "argument, as Candid text"),
            element("textarea", given.get("args", "()"), name="args", rows=2, spellcheck="false", class_="mono"),
        ),
    ]
    summary = element("summary", element("span", "Any other method", class_="method"))
    return element("details", summary, _form(facts, None, inputs, given), _result(outcome), open=outcome is not None)


def _form(facts: CanisterFacts, method: str | None, inputs: list[Html], given: Mapping[str, str]) -> Html:
    fixed = {"canister": facts.canister.id, **({} if method is None else {"method": method, "_typed": "1"})}
    hidden = [element("input", type="hidden", name=name, value=value) for name, value in fixed.items()]
    checked = "profile" in given
    options = element(
        "div",
        field("as user", "sender", given.get("sender", ""), placeholder="anonymous"),
        element(
            "label",
            element("input", type="checkbox", name="profile", value="true", checked=checked),
            " profile",
            class_="check",
        ),
        element("button", "Call"),
        class_="controls",
    )
    return element("form", hidden, inputs, options, method="post", action=f"{ROOT}/call", class_="call")


def _result(outcome: Outcome | None) -> Html | None:
    if outcome is None:
        return None
    called = outcome.called
    if called is None:
        return element("div", element("p", outcome.problem or "", class_="note bad"), class_="result", role="status")
    if called.reject is not None:
        code = called.reject.error_code or f"reject code {called.reject.reject_code}"
        answer = element("p", element("b", code, " "), called.reject.message, class_="note bad")
    else:
        answer = element("pre", called.candid if called.candid is not None else called.reply or "", class_="mono")
    graph = None
    if called.profile is not None:
        graph = element("a", "Flame graph", href=f"{ROOT}/profiles/{called.profile}", class_="button")
    facts = element("p", f"{called.kind}, {called.instructions:,} instructions ", graph, class_="dim")
    printed = element("pre", "\n".join(called.logs), class_="mono") if called.logs else None
    return element("div", answer, facts, printed, class_="result", role="status")

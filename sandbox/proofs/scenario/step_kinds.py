"""The table of steps: the kinds of steps, their forms, and their actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from sandbox.api.typed import is_query
from sandbox.execution import CallResult
from sandbox.limits import ROUNDS
from sandbox.principal import Principal
from sandbox.proofs.scenario.expectation_kinds import EXPECT, Subject, planned
from sandbox.proofs.scenario.forms import (
    DURATION,
    FLAG,
    NODE,
    SHARE,
    TEXT,
    Form,
    JsonSchema,
    Key,
    Table,
    choice,
    whole,
)
from sandbox.proofs.scenario.planner import Action, Declared, Planner, Step, installation_types, user
from sandbox.proofs.scenario.source import Node, filled, mentions, nearest
from sandbox.proofs.scenario.stage import Stage
from sandbox.proofs.scenario.values import VALUES, encoded

_USER = Form("the name of a user, or a principal", user, {"type": "string"})
_TEXT_NODE = Form("a text", NODE.read, {"type": "string"})
_TIMES = whole(1, 1_000_000)
INDEX = "index"
"""The variable of a repetition: the number of the round, from 0."""


@dataclass(frozen=True)
class Draft:
    """A step as read, for its kind. `main`: the value of the kind's key; `keys`: values of the other keys."""

    kind: StepKind
    node: Node
    main: Node
    keys: dict[str, Any]
    planner: Planner

    @property
    def sender(self) -> Principal | None:
        return self.keys.get("as")

    @property
    def canister(self) -> Declared | None:
        """The canister that the key `canister` names."""
        node = self.keys.get("canister")
        return None if node is None else self.planner.canister(node)

    def step(self, title: str, action: Action, canister: Declared | None = None) -> Step:
        return Step(self.node.place, title, action, None if canister is None else canister.name)


@dataclass(frozen=True)
class StepKind:
    """A row of the table. `main`: the form of the value of its key; `keys`: the other keys; `senders`: whether `as` may
    name the sender."""

    name: str
    main: Form
    doc: str
    plan: Callable[[Draft], Step]
    keys: tuple[Key, ...] = ()
    senders: bool = False

    @cached_property
    def table(self) -> Table:
        """All keys of such a step."""
        main = Key(self.name, self.main, self.doc, required=True)
        who = (Key("as", _USER, "Who acts: the name of a user, or a principal."),) if self.senders else ()
        common = (key for key in _COMMON if key.name != self.name)
        return Table(f"a step {self.name!r}", (main, *self.keys, *who, *common))


_COMMON = (
    Key("expect", replace(NODE, expected=EXPECT.form.expected, schema=EXPECT.schema), "What must come of the step."),
    Key("tolerance", SHARE, "How many more instructions than in the baseline are accepted, such as 5 %."),
)
_CANISTER = Key("canister", _TEXT_NODE, "The canister; all of them, or the only one, without.")
_ARG = Key("arg", VALUES, "The installation argument: Candid text, or a list of values.")
_CALL_KEYS = (
    Key("args", VALUES, "The arguments: Candid text, or a list of values."),
    Key("keep", TEXT, "A name under which the reply is kept, for `same_as`."),
)
_PATHS = "CANISTER.{}, or {} where there is one canister"


# --- calls


def _call(draft: Draft) -> Step:
    canister, method = draft.planner.split(draft.main, "METHOD")
    args = draft.keys.get("args")
    raw = args is not None and args.tag == "!hex"
    function = None if raw else draft.planner.method(draft.main, canister, method)
    arg = encoded(args, None if function is None else function.args, draft.main)
    sender = draft.sender if draft.sender is not None else Principal.anonymous()
    target = canister.id
    if draft.kind.name == "query" or (draft.kind.name == "call" and function is not None and is_query(function)):

        def action(stage: Stage) -> CallResult:
            return stage.runtime.query(target, method, arg, sender)
    else:

        def action(stage: Stage) -> CallResult:
            return stage.runtime.update(target, method, arg, sender)

    title = f"{draft.kind.name} {canister.name}.{method}"
    step = draft.step(title, action, canister)
    step.results = None if function is None else function.results
    step.replies, step.keep = True, draft.keys.get("keep")
    return step


# --- code


def _install(draft: Draft) -> Step:
    canister, version = draft.planner.version(draft.main)
    mode = draft.kind.name
    arg = encoded(draft.keys.get("arg"), installation_types(version), draft.main)
    options: dict[str, Any] = {"skip_pre_upgrade": True} if draft.keys.get("skip_pre_upgrade") else {}
    if "persistence" in draft.keys:
        options["wasm_memory_persistence"] = draft.keys["persistence"]
    draft.planner.put(canister, version)
    module, sender = version.code.submitted, draft.sender

    def action(stage: Stage) -> CallResult:
        target = stage.canisters[canister.name]
        if mode == "upgrade":
            return target.upgrade(module, arg, sender, **options)
        return target.install(module, arg, mode, sender)

    preposition = "to" if mode == "upgrade" else "of"
    return draft.step(f"{mode} {canister.name} {preposition} {version.name}", action, canister)


# --- life


def _start(draft: Draft) -> Step:
    canister, sender, name = draft.planner.canister(draft.main), draft.sender, draft.kind.name

    def action(stage: Stage) -> CallResult:
        getattr(stage.canisters[canister.name], name)(sender)
        return stage.done()

    return draft.step(f"{name} {canister.name}", action, canister)


def _advance(draft: Draft) -> Step:
    nanoseconds = DURATION.read(draft.main)

    def action(stage: Stage) -> CallResult:
        stage.sandbox.advance_time(nanoseconds=nanoseconds)
        return stage.done()

    return draft.step(f"advance {draft.main.text}", action)


def _tick(draft: Draft) -> Step:
    rounds = None if draft.main.text == "idle" else whole(1).read(draft.main)

    def action(stage: Stage) -> CallResult:
        if rounds is None:
            stage.sandbox.run_until_idle(draft.keys.get("max_rounds", ROUNDS))
        else:
            stage.sandbox.tick(rounds)
        return stage.done()

    return draft.step(f"tick {draft.main.text}", action)


# --- snapshots


def _snapshot(draft: Draft) -> Step:
    chosen, planner, sender = draft.canister, draft.planner, draft.sender
    owners = [chosen.name] if chosen else list(planner.canisters)
    label = draft.main.text if draft.main.form == "scalar" and draft.main.text else draft.main.expected("a label")
    if not planner.refused:
        known = planner.labels.get(label, {})
        planner.labels[label] = {**known, **{name: planner.current.get(name) for name in owners}}

    def action(stage: Stage) -> CallResult:
        for name in owners:
            taken = stage.canisters[name].take_snapshot(label, sender)
            stage.labels.setdefault(label, {})[name] = taken.id
        return stage.done()

    return draft.step(f"snapshot {label}", action, chosen)


def _rollback(draft: Draft) -> Step:
    chosen, planner, sender = draft.canister, draft.planner, draft.sender
    known = planner.labels.get(draft.main.text, {})
    owners = [chosen] if chosen else [planner.canisters[name] for name in known] or list(planner.canisters.values())
    label = ""
    for canister in owners:
        label = planner.label(draft.main, canister)
        planner.put(canister, known[canister.name])

    def action(stage: Stage) -> CallResult:
        for canister in owners:
            stage.canisters[canister.name].load_snapshot(stage.labels[label][canister.name], sender)
        return stage.done()

    return draft.step(f"rollback {label}", action, chosen)


# --- expectations alone, repetitions


def _expect(draft: Draft) -> Step:
    chosen = draft.canister
    return draft.step("expect" if chosen is None else f"expect {chosen.name}", Stage.done, chosen)


def _repeat(draft: Draft) -> Step:
    times = _TIMES.read(draft.main)
    steps = draft.keys["steps"]
    if steps.form != "seq" or not steps.items:
        steps.expected("a list of steps")
    planner = draft.planner
    before = dict(planner.current)
    first = _round(steps, 0, planner)
    fixed = not mentions(steps, INDEX) and planner.current == before
    rounds = [first] * times if fixed else [first, *(_round(steps, number, planner) for number in range(1, times))]
    step = draft.step(f"repeat {times:,} times", Stage.done)
    step.rounds = tuple(rounds)
    return step


def _round(steps: Node, number: int, planner: Planner) -> tuple[Step, ...]:
    """Return the steps of one round."""
    outside = planner.variables
    planner.variables = {**outside, INDEX: Node(steps.place, "int", str(number))}
    try:
        return tuple(plan(node, planner) for node in steps.items)
    finally:
        planner.variables = outside


STEPS: Final = (
    StepKind(
        "call",
        Form(_PATHS.format("METHOD", "METHOD"), NODE.read, {"type": "string"}),
        "Call a method: as a query if the interface declares it as one, else as an update.",
        _call,
        _CALL_KEYS,
        senders=True,
    ),
    StepKind(
        "query",
        Form(_PATHS.format("METHOD", "METHOD"), NODE.read, {"type": "string"}),
        "Query a method; whatever it changes is forgotten.",
        _call,
        _CALL_KEYS,
        senders=True,
    ),
    StepKind(
        "update",
        Form(_PATHS.format("METHOD", "METHOD"), NODE.read, {"type": "string"}),
        "Call a method as an update, even if it is declared as a query.",
        _call,
        _CALL_KEYS,
        senders=True,
    ),
    StepKind(
        "install",
        Form(_PATHS.format("VERSION", "VERSION"), NODE.read, {"type": "string"}),
        "Install a version in an empty canister.",
        _install,
        (_ARG,),
        senders=True,
    ),
    StepKind(
        "reinstall",
        Form(_PATHS.format("VERSION", "VERSION"), NODE.read, {"type": "string"}),
        "Install a version and drop the state.",
        _install,
        (_ARG,),
        senders=True,
    ),
    StepKind(
        "upgrade",
        Form(_PATHS.format("VERSION", "VERSION"), NODE.read, {"type": "string"}),
        "Upgrade to a version.",
        _install,
        (
            _ARG,
            Key("skip_pre_upgrade", FLAG, "Do not run pre_upgrade of the old version."),
            Key(
                "persistence",
                choice(("keep", "replace")),
                "Whether the heap is kept; without, it is if the old version has enhanced orthogonal persistence.",
            ),
        ),
        senders=True,
    ),
    StepKind("stop", _TEXT_NODE, "Stop a canister; waits until its open calls have ended.", _start, senders=True),
    StepKind("start", _TEXT_NODE, "Start a canister.", _start, senders=True),
    StepKind("advance", DURATION, "Let time pass: seconds, or 90s, 5m, 2h, 1d. Nothing runs by itself.", _advance),
    StepKind(
        "tick",
        Form("a number of rounds, or idle", NODE.read, {"type": ["integer", "string"]}),
        "Run rounds: due timers and heartbeats, then messages. `idle`: until nothing is left.",
        _tick,
        (Key("max_rounds", whole(1), "The most rounds until idle."),),
    ),
    StepKind(
        "snapshot",
        _TEXT_NODE,
        "Take a snapshot under a label, of all canisters or of `canister`.",
        _snapshot,
        (_CANISTER,),
        senders=True,
    ),
    StepKind(
        "rollback",
        _TEXT_NODE,
        "Load the snapshot with this label, into all canisters that have it or into `canister`.",
        _rollback,
        (_CANISTER,),
        senders=True,
    ),
    StepKind("expect", _COMMON[0].form, "Check the present state, without doing anything.", _expect, (_CANISTER,)),
    StepKind(
        "repeat",
        _TIMES,
        "Repeat `steps`; `$index` is the number of the round, from 0.",
        _repeat,
        (Key("steps", Form("a list of steps", NODE.read, {"$ref": "#/$defs/steps"}), "The steps.", required=True),),
    ),
)
_KINDS: Final = {kind.name: kind for kind in STEPS}


def plan(node: Node, planner: Planner) -> Step:
    """Return the step of a node, and record its changes in the planner."""
    if node.form != "map":
        node.expected(f"a step, a mapping with one of {', '.join(_KINDS)}")
    kind = _kind(node)
    node = _filled(node, kind, planner)
    keys = kind.table.read(node)
    main = node.get(kind.name)
    assert main is not None
    expect = main if kind.name == "expect" else keys.get("expect")
    rejects = planner.refused = expect is not None and expect.get("reject") is not None
    step = kind.plan(Draft(kind, node, main, keys, planner))
    planner.refused = False
    if step.keep is not None:
        planner.kept.add(step.keep)
    canister = planner.canisters[step.canister] if step.canister else None
    subject = Subject(node if expect is None else expect, planner, canister, step.results, step.replies)
    step.rejects = rejects
    step.expectations = planned(expect, subject)
    step.tolerance = keys.get("tolerance")
    return step


def _filled(node: Node, kind: StepKind, planner: Planner) -> Node:
    """Return the step with its variables replaced, but for the steps of a repetition, which have one more."""
    if kind.name != "repeat":
        return filled(node, planner.variables)
    pairs = ((name, value if name.text == "steps" else filled(value, planner.variables)) for name, value in node.pairs)
    return replace(node, pairs=tuple(pairs))


def _kind(node: Node) -> StepKind:
    names = [name.text for name, _ in node.pairs]
    kinds = [
        name for name in names if name in _KINDS and (name != "expect" or not (set(names) - {"expect"}) & set(_KINDS))
    ]
    if len(kinds) == 1:
        return _KINDS[kinds[0]]
    if kinds:
        node.wrong(f"a step does one thing, not {' and '.join(kinds)}")
    first = node.pairs[0][0] if node.pairs else node
    hint = next(filter(None, (nearest(name, _KINDS) for name in names)), "")
    return first.wrong(f"no step {first.text!r}{hint}; steps: {', '.join(_KINDS)}")


def step_schemas() -> list[JsonSchema]:
    """Return the JSON Schema of each kind of step."""
    return [{"title": kind.name, "description": kind.doc, **kind.table.schema} for kind in STEPS]

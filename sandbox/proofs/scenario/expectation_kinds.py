"""The table of expectations: the keys of `expect`, their forms, and their checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sandbox import candid
from sandbox.candid import Type
from sandbox.errors import CandidError, ErrorCode, Reject, RejectCode
from sandbox.execution import CallResult
from sandbox.proofs.scenario.decoded_state import PREDICATES, state_differences
from sandbox.proofs.scenario.forms import BOUNDS, TEXT, Form, Key, Table, choice, either, listed
from sandbox.proofs.scenario.patterns import Between, Difference, Exactly, at_least, differences
from sandbox.proofs.scenario.planner import Check, Declared, Expectation, Planner
from sandbox.proofs.scenario.source import Node, nearest
from sandbox.proofs.scenario.stage import Stage
from sandbox.proofs.scenario.values import VALUES, Expected, expected
from sandbox.snapshots.diff import Diff, MemoryDiff

PARTS: Final = ("module", "globals", "heap", "stable", "certified")
"""The parts of a canister's state that a snapshot restores."""


@dataclass(frozen=True)
class Subject:
    """The subject of an expectation. `results`: types of the reply; `replies`: whether the step has a reply."""

    node: Node
    planner: Planner
    canister: Declared | None
    results: tuple[Type, ...] | None
    replies: bool

    def named(self) -> Declared:
        """Return the canister; if the step is about several, a scenario with one canister means that one."""
        if self.canister is not None:
            return self.canister
        if len(self.planner.canisters) == 1:
            return self.planner.only(self.node)
        return self.node.wrong("which canister? Use a step `expect` with `canister`")


@dataclass(frozen=True)
class ExpectationKind:
    """A row of the table. `plan`: from the value read by `form` to the check."""

    name: str
    form: Form
    doc: str
    plan: Callable[[Any, Subject], Check]


def _reply(node: Node, subject: Subject) -> Check:
    if not subject.replies:
        subject.node.wrong("this step has no reply; only call, query and update have")
    wanted = expected(node, subject.results)
    return lambda _, result: _reply_differences(wanted, result)


def _reply_differences(wanted: Expected, result: CallResult) -> Iterator[Difference]:
    if result.reply is None:
        return  # an unexpected reject is reported by the runner
    if wanted.raw is not None:
        yield from differences(Exactly(wanted.raw), result.reply)
        return
    try:
        values = reply_values(wanted.types, result.reply)
    except CandidError as error:
        yield Difference("", "a reply of the declared types", f"{error}: {result.reply[:64].hex()}")
        return
    if len(values) != len(wanted.patterns):
        yield Difference("", f"{len(wanted.patterns)} values", f"{len(values)}")
    single = len(wanted.patterns) == 1
    for place, (pattern, value) in enumerate(zip(wanted.patterns, values, strict=False)):
        yield from differences(pattern, value, "" if single else f"[{place}]")


def _same_as(node: Node, subject: Subject) -> Check:
    if not subject.replies:
        subject.node.wrong("this step has no reply; only call, query and update have")
    kept, types = subject.planner.kept, subject.results
    if node.text not in kept:
        node.wrong(f"no reply is kept as {node.text!r} by then{nearest(node.text, kept)}; there are: {_list(kept)}")
    return lambda stage, result: _kept_differences(stage.kept[node.text], types, result)


def _kept_differences(kept: list[Any], types: tuple[Type, ...] | None, result: CallResult) -> Iterator[Difference]:
    wanted = Expected(types, tuple(map(at_least, kept)))
    return _reply_differences(wanted, result)


def reply_values(types: tuple[Type, ...] | None, reply: bytes) -> list[Any]:
    """Return the values of a reply, by its own types if none are known; a `CandidError` if it is no such message."""
    return candid.decode_untyped(reply)[1] if types is None else candid.decode(types, reply)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _reject_code(node: Node) -> RejectCode:
    names = {code.name: code for code in RejectCode} | {str(int(code)): code for code in RejectCode}
    if node.form != "scalar" or node.text not in names:
        node.wrong(f"expected a reject code, {', '.join(names)}, not {node}{nearest(node.text, names)}")
    return names[node.text]


def _error_code(node: Node) -> ErrorCode:
    names = {str(code): code for code in ErrorCode} | {code.name: code for code in ErrorCode}
    if node.form != "scalar" or node.text not in names:
        node.wrong(f"expected an error code such as IC0503, not {node}{nearest(node.text, names)}")
    return names[node.text]


_REJECT = Table(
    "a reject",
    (
        Key("code", Form("a reject code", _reject_code), "Reject code: 1 to 6, or its name such as CANISTER_ERROR."),
        Key("error", Form("an error code", _error_code), "Error code, such as IC0503."),
        Key("text", TEXT, "A part of the message."),
    ),
)


def _reject(value: str | dict[str, Any], _: Subject) -> Check:
    wanted = {"text": value} if isinstance(value, str) else value
    return lambda _, result: _reject_differences(wanted, result.reject)


def _reject_differences(wanted: dict[str, Any], reject: Reject | None) -> Iterator[Difference]:
    if reject is None:
        yield Difference("", "a reject", "no reject")
        return
    if "code" in wanted and wanted["code"] is not reject.reject_code:
        yield Difference("code", wanted["code"].name, reject.reject_code.name)
    if "error" in wanted and wanted["error"] is not reject.error_code:
        yield Difference("error", str(wanted["error"]), str(reject.error_code))
    if "text" in wanted and wanted["text"] not in reject.message:
        yield Difference("text", f"a message with {wanted['text']!r}", repr(reject.message))


def _instructions(bound: Between, _: Subject) -> Check:
    return lambda _, result: differences(bound, result.instructions)


def _pages(name: str) -> Callable[[Between, Subject], Check]:
    def plan(bound: Between, subject: Subject) -> Check:
        canister = subject.named().name
        return lambda stage, _: differences(bound, getattr(stage.sizes()[canister], name))

    return plan


_SINCE = Table(
    "unchanged_since",
    (
        Key("label", Form("the label of a snapshot", lambda node: node), "Label of a snapshot.", required=True),
        Key("parts", listed(choice(PARTS), single=True), "The parts compared; all without."),
    ),
)


def _unchanged(value: Node | dict[str, Any], subject: Subject) -> Check:
    given: dict[str, Any] = {"label": value} if isinstance(value, Node) else value
    canister = subject.named()
    label = subject.planner.label(given["label"], canister)
    parts: Iterable[str] = given.get("parts", PARTS)
    return lambda stage, _: _changes(stage, canister.name, label, parts)


def _changes(stage: Stage, canister: str, label: str, parts: Iterable[str]) -> Iterator[Difference]:
    diff = stage.sandbox.snapshots.diff(stage.labels[label][canister], stage.canisters[canister])
    for part in parts:
        change = CHANGES[part](diff)
        if change:
            yield Difference(part, f"as in {label!r}", change)


def _memory_change(memory: MemoryDiff) -> str:
    if not memory:
        return ""
    counts = {
        name: sum(length for _, length in runs) // 4096
        for name, runs in (("changed", memory.changed), ("added", memory.added), ("removed", memory.removed))
    }
    pages = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    size = f"{memory.before:,} -> {memory.after:,} bytes" if memory.before != memory.after else ""
    return "; ".join(filter(None, (size, f"pages of 4 KiB: {pages}" if pages else "")))


def _field_change(diff: Diff, name: str) -> str:
    return next((f"{shown_bytes(f.before)} -> {shown_bytes(f.after)}" for f in diff.fields if f.name == name), "")


def shown_bytes(value: object) -> str:
    """Return bytes in hexadecimal."""
    return (value.hex() or "none") if isinstance(value, bytes) else str(value)


CHANGES: Final[dict[str, Callable[[Diff], str]]] = {
    "module": lambda diff: "another module" if diff.module else "",
    "globals": lambda diff: f"{len(diff.globals)} globals differ" if diff.globals else "",
    "heap": lambda diff: _memory_change(diff.heap),
    "stable": lambda diff: _memory_change(diff.stable),
    "certified": lambda diff: _field_change(diff, "certified_data"),
}
"""The differences of each part; empty if there are none."""


def _logs(texts: list[str], _: Subject) -> Check:
    def check(stage: Stage, _: CallResult) -> Iterator[Difference]:
        for text in texts:
            if not any(text in line for line in stage.logs):
                yield Difference("", f"a line with {text!r}", " | ".join(stage.logs) or "no lines")

    return check


def _state(predicates: list[Any], subject: Subject) -> Check:
    canister = subject.named().name
    return lambda stage, _: state_differences(stage, canister, predicates)


EXPECTATIONS: Final = (
    ExpectationKind("reply", VALUES, "The reply: Candid text, which must be equal, or a list of patterns.", _reply),
    ExpectationKind(
        "same_as",
        Form("the name of a kept reply", lambda node: node, {"type": "string"}),
        "The reply has everything that the reply kept under this name has; records may have more fields.",
        _same_as,
    ),
    ExpectationKind(
        "reject",
        either("a part of the message, or a mapping with code, error, text", TEXT, _REJECT.form),
        "The step is rejected: a part of the message, or a mapping with code, error and text.",
        _reject,
    ),
    ExpectationKind("instructions", BOUNDS, "Instructions of the step.", _instructions),
    ExpectationKind("heap_pages", BOUNDS, "Size of the heap afterwards, in pages of 64 KiB.", _pages("heap")),
    ExpectationKind("stable_pages", BOUNDS, "Size of stable memory afterwards, in pages of 64 KiB.", _pages("stable")),
    ExpectationKind(
        "unchanged_since",
        either("the label of a snapshot, or a mapping with label and parts", Form("", lambda n: n), _SINCE.form),
        f"The state is as in this snapshot, byte for byte; `parts` of it: {', '.join(PARTS)}.",
        _unchanged,
    ),
    ExpectationKind("logs", listed(TEXT, single=True), "Texts that canisters print during the step.", _logs),
    ExpectationKind(
        "state",
        PREDICATES,
        "Predicates of the decoded state: entries of a structure by key, their count, saved variables.",
        _state,
    ),
)
_KINDS: Final = {kind.name: kind for kind in EXPECTATIONS}
EXPECT: Final = Table("expect", tuple(Key(kind.name, kind.form, kind.doc) for kind in EXPECTATIONS))


def planned(node: Node | None, subject: Subject) -> tuple[Expectation, ...]:
    """Return the expectations in a mapping."""
    if node is None:
        return ()
    values = EXPECT.read(node)
    return tuple(
        Expectation(name.text, name.place, _KINDS[name.text].plan(values[name.text], subject)) for name, _ in node.pairs
    )

"""A release matrix in a YAML file, read by the forms of scenarios; every error has line and column."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

from sandbox import candid
from sandbox.errors import CandidError
from sandbox.proofs.calls import Line
from sandbox.proofs.findings import RULES
from sandbox.proofs.matrix.builds import Accepted, Build, CandidText, Matrix, MatrixError
from sandbox.proofs.scenario.forms import FILE, TEXT, Form, Key, Table, choice, either, listed, whole
from sandbox.proofs.scenario.source import Node, Problems, Wrong, nearest, read_yaml
from sandbox.state import InstructionLimits


def _line(node: Node) -> Line:
    line = Line(TEXT.read(node), str(node.place))
    if not line.method:
        node.expected('a call, such as greet("World")')
    return line


def _argument(node: Node) -> CandidText:
    return CandidText(TEXT.read(node), str(node.place))


def _did(node: Node) -> str:
    path: Path = FILE.read(node)
    try:
        text = path.read_text("utf-8")
        candid.parse_did(text)
    except (CandidError, OSError, UnicodeDecodeError) as error:
        node.wrong(f"{path} is no Candid interface: {error}")
    return text


_CALLS = listed(Form('a call, such as greet("World")', _line, {"type": "string"}))
_CANDID = Form("arguments in Candid, such as (5)", _argument, {"type": "string"})
_BUILD: Final = Table(
    "a build",
    (
        Key("path", FILE, "The module, raw or gzip.", required=True),
        Key("name", TEXT, "Its name, by default that of the file."),
        Key("arg", _CANDID, "The argument when it is installed over another build."),
        Key("init_arg", _CANDID, "The argument when it is the first one."),
        Key("did", Form("the path of a .did file", _did, {"type": "string"}), "Its interface, if it carries none."),
        Key("calls", _CALLS, "The calls that make its starting state, in place of those of the matrix."),
        Key("state", FILE, "What it begins with: an .icsnap file, a snapshot directory, an image of stable memory."),
    ),
)
_ID = choice(RULES)
_ACCEPTED: Final = Table(
    "an accepted finding",
    (
        Key("id", _ID, "The id of the finding.", required=True),
        Key("old", TEXT, "Only from this build."),
        Key("new", TEXT, "Only to this build."),
    ),
)
_LIMITS: Final = Table(
    "limits",
    tuple(Key(name, whole(1), f"Instructions of one message: {name}.") for name in ("update", "query", "install")),
)
_MATRIX: Final = Table(
    "a matrix",
    (
        Key(
            "builds",
            listed(either("the path of a module, or a mapping", FILE, _BUILD.form)),
            "The builds, the oldest first.",
            required=True,
        ),
        Key("calls", _CALLS, "Calls that make the starting state of each build."),
        Key("queries", _CALLS, "Queries asked before and after, besides those that take no argument."),
        Key("accept", listed(either("the id of a finding, or a mapping", _ID, _ACCEPTED.form)), "Accepted findings."),
        Key("limits", _LIMITS.form, "Other instruction limits than the platform's."),
    ),
)


def read_file(path: Path) -> Matrix:
    """Return the matrix in a YAML file; `ScenarioError` lists its errors with their places."""
    problems = Problems()
    document = problems.caught(partial(read_yaml, path, _MATRIX.what))
    matrix = None if document is None else problems.caught(partial(_matrix, document))
    problems.settle()
    assert matrix is not None
    return matrix


def _matrix(document: Node) -> Matrix:
    values = _MATRIX.read(document)
    node = document.get("builds")
    assert node is not None
    builds = tuple(_build(item, value) for item, value in zip(node.items, values["builds"], strict=True))
    names = [build.name for build in builds]
    for item, name in zip(node.items, names, strict=True):
        if names.count(name) > 1:
            item.wrong(f"two builds have the name {name!r}: give one a name of its own")
    limits = InstructionLimits(**values["limits"]) if "limits" in values else None
    try:
        return Matrix(
            builds,
            tuple(values.get("calls", ())),
            tuple(values.get("queries", ())),
            tuple(_accepted(document.get("accept"), values.get("accept", ()), names)),
            limits,
        )
    except MatrixError as error:
        raise Wrong(node.place, str(error)) from error


def _build(item: Node, value: Path | dict[str, Any]) -> Build:
    given: dict[str, Any] = {"path": value} if isinstance(value, Path) else dict(value)
    if "calls" in given:
        given["calls"] = tuple(given["calls"])
    path = given.pop("path")
    try:
        return Build.read(path, **given)
    except OSError as error:
        item.wrong(f"{path} cannot be read: {error.strerror or error}")


def _accepted(node: Node | None, values: list[str | dict[str, str]], names: list[str]) -> list[Accepted]:
    accepted_findings = []
    for item, value in zip(() if node is None else node.items, values, strict=True):
        accepted = Accepted(value) if isinstance(value, str) else Accepted(**value)
        for name in (accepted.old, accepted.new):
            if name is not None and name not in names:
                item.wrong(f"there is no build {name!r}{nearest(name, names)}; there are: {', '.join(names)}")
        accepted_findings.append(accepted)
    return accepted_findings

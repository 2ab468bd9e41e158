"""The reader of scenarios: the file, files that it uses, modules, every value of every case. Nothing is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

from sandbox.api.identity import identity
from sandbox.principal import Principal
from sandbox.proofs.scenario.canisters import CANISTER, declared
from sandbox.proofs.scenario.forms import FILE, NODE, SHARE, TEXT, Form, JsonSchema, Key, Table, choice, listed, whole
from sandbox.proofs.scenario.planner import Declared, Planner, Step
from sandbox.proofs.scenario.source import (
    Node,
    Place,
    Problems,
    Variables,
    Wrong,
    filled,
    parse_yaml,
    read_yaml,
)
from sandbox.proofs.scenario.stage import Rules
from sandbox.proofs.scenario.step_kinds import plan, step_schemas
from sandbox.state import InstructionLimits

BASELINE_PARTS: Final = ("reply", "instructions", "pages", "state")
"""The parts of a baseline entry: reply or reject, instructions, sizes of memories, hashes of the state."""
TOLERANCE: Final = 0.02
_MOST_CASES: Final = 10_000

_LIMITS = Table(
    "limits",
    tuple(Key(name, whole(1), f"Instructions of one message: {name}.") for name in ("update", "query", "install")),
)


def _later(expected: str, schema: JsonSchema) -> Form:
    """Return a form that is read once the parameters are known."""
    return Form(expected, lambda node: node, schema)


_LIST = "a list of steps"
DOCUMENT: Final = Table(
    "a scenario",
    (
        Key("scenario", TEXT, "What it is about, in words."),
        Key("uses", listed(FILE, single=True), "Other scenarios, whose canisters, parameters and steps come first."),
        Key(
            "canisters",
            _later("a mapping from names to canisters", {"type": "object", "additionalProperties": CANISTER.schema}),
            "The canisters, by name.",
        ),
        Key(
            "parameters",
            NODE,
            "Values for $name in all other places. A list makes a case for each value, several lists one for each "
            "combination.",
        ),
        Key("seed", listed(whole(0), single=True), "Seed of the sandbox; a list makes a case for each."),
        Key(
            "time",
            _later("nanoseconds since 1970", {"type": "integer"}),
            "Time at the start, nanoseconds since 1970 [of the newest snapshot].",
        ),
        Key("costs", choice(("free", "mainnet")), "Whether canisters pay fees."),
        Key("limits", _LIMITS.form, "The most instructions of a message; those of the platform without."),
        Key(
            "baseline",
            listed(choice(BASELINE_PARTS), single=True),
            "What the baseline keeps of each step; all without.",
        ),
        Key("tolerance", SHARE, "How many more instructions than in the baseline are accepted; 2 % without."),
        Key("steps", _later(_LIST, {"$ref": "#/$defs/steps"}), "What is done, in this order."),
    ),
)


@dataclass(frozen=True)
class Case:
    """One combination of parameters, ready to be run. `name`: `n=10, seed=2`, empty for the only one."""

    name: str
    rules: Rules
    canisters: Mapping[str, Declared]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Scenario:
    """A scenario file, ready to be run."""

    path: Path
    title: str
    cases: tuple[Case, ...]
    baseline: tuple[str, ...] = BASELINE_PARTS
    tolerance: float = TOLERANCE

    @property
    def baseline_path(self) -> Path:
        """The file of its baseline, beside it."""
        return self.path.with_name(f"{self.path.stem}.baseline.yaml")


@dataclass(frozen=True)
class Choices:
    """The choices of the command line. `parameters`: YAML text by name, in place of the file's; `seed`: in place of
    its."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None


def load(path: Path, choices: Choices | None = None) -> Scenario:
    """Return the scenario in a file; `ScenarioError` lists all its problems."""
    problems = Problems()
    document = problems.caught(partial(_document, path, ()))
    problems.settle()
    assert document is not None
    made = problems.caught(lambda: _scenario(path, document, choices or Choices(), problems))
    problems.settle()
    assert made is not None
    return made


@dataclass
class _Document:
    """A file together with those that it uses."""

    values: dict[str, Any] = field(default_factory=dict)
    canisters: list[tuple[Node, Node]] = field(default_factory=list)
    parameters: dict[str, Node] = field(default_factory=dict)
    steps: list[Node] = field(default_factory=list)

    def add(self, other: _Document) -> None:
        self.values |= other.values
        self.parameters |= other.parameters
        self.steps += other.steps
        for name, value in other.canisters:
            first = next((known for known, _ in self.canisters if known.text == name.text), None)
            if first is not None and first.place != name.place:
                name.wrong(f"the canister {name.text!r} is declared at {first.place} already")
            if first is None:
                self.canisters.append((name, value))


def _document(path: Path, inside: tuple[Path, ...]) -> _Document:
    """Return the file with those that it uses; `inside`: the files on the way to it."""
    node = read_yaml(path)
    values = DOCUMENT.read(node)
    whole_document = _Document()
    used = node.get("uses")
    if used is not None:
        for item in used.items if used.form == "seq" else (used,):
            target = FILE.read(item)
            way = [*inside, path]
            if target.resolve() in [file.resolve() for file in way]:
                item.wrong(f"a cycle in uses: {' -> '.join(str(file) for file in [*way, target])}")
            whole_document.add(_document(target, (*inside, path)))
    own = {name: values[name] for name in values.keys() - {"uses", "canisters", "parameters", "steps"}}
    canisters = _pairs(node.get("canisters"), "a mapping from names to canisters")
    for name, _ in canisters:
        _check_name(name)
    parameters = _pairs(node.get("parameters"), "a mapping from names to values")
    steps = node.get("steps")
    if steps is not None and steps.form != "seq":
        steps.expected(_LIST)
    if steps is None and used is None:
        node.wrong("a scenario needs the key 'steps': a list of steps")
    whole_document.add(
        _Document(
            own, list(canisters), {name.text: value for name, value in parameters}, list(steps.items if steps else ())
        )
    )
    return whole_document


def _pairs(node: Node | None, expected: str) -> Sequence[tuple[Node, Node]]:
    if node is None:
        return ()
    return node.pairs if node.form == "map" else node.expected(expected)


def _check_name(name: Node) -> None:
    if not name.text or "." in name.text or name.text != name.text.strip():
        name.wrong(f"expected the name of a canister, without dots and spaces around it, not {name}")


def _scenario(path: Path, document: _Document, choices: Choices, problems: Problems) -> Scenario:
    top = Place(path, 1, 1)
    unknown = [name for name in choices.parameters if name not in document.parameters]
    if unknown:
        known = ", ".join(document.parameters) or "none"
        raise Wrong(top, f"no parameter {unknown[0]!r} to be set; there are: {known}")
    given = {name: parse_yaml(text.encode(), Path(f"--param {name}")) for name, text in choices.parameters.items()}
    parameters = document.parameters | given
    seeds = [choices.seed] if choices.seed is not None else document.values.get("seed", [0])
    cases = []
    for name, variables, seed in _combinations(parameters, seeds, top):
        case = _case(name, document, variables, seed, problems)
        if case is not None:
            cases.append(case)
    return Scenario(
        path,
        document.values.get("scenario", path.stem),
        tuple(cases),
        tuple(document.values.get("baseline", BASELINE_PARTS)),
        document.values.get("tolerance", TOLERANCE),
    )


def _combinations(
    parameters: Mapping[str, Node], seeds: Sequence[int], place: Place
) -> Iterator[tuple[str, Variables, int]]:
    """Yield the name, the variables and the seed of each case."""
    axes: list[list[tuple[str, Node]]] = [
        [(name, value) for value in (node.items if node.form == "seq" else (node,))]
        for name, node in parameters.items()
    ]
    count = len(seeds)
    for axis in axes:
        count *= len(axis)
    if not 0 < count <= _MOST_CASES:
        raise Wrong(place, f"the parameters make {count:,} cases; expected 1 to {_MOST_CASES:,}")
    varied = {name for name, node in parameters.items() if node.form == "seq"}
    for chosen, seed in product(product(*axes), seeds):
        words = [f"{name}={value.text or value}" for name, value in chosen if name in varied]
        words += [f"seed={seed}"] if len(seeds) > 1 else []
        yield ", ".join(words), dict(chosen), seed


def _case(name: str, document: _Document, variables: Variables, seed: int, problems: Problems) -> Case | None:
    canisters = problems.caught(lambda: _canisters(document, variables))
    rules = problems.caught(lambda: _rules(document, variables, seed))
    if canisters is None or rules is None:
        return None
    ids = {f"canister.{key}": Node(_NOWHERE, "str", str(value.id)) for key, value in canisters.items()}
    planner = Planner(canisters, variables=_Users({**variables, **ids}))
    planner.current = {key: None if value.start is None else value.start.version for key, value in canisters.items()}
    steps = [problems.caught(partial(plan, node, planner)) for node in document.steps]
    if None in steps:
        return None
    return Case(name, rules, canisters, tuple(step for step in steps if step is not None))


_NOWHERE = Place(Path(), 1, 1)


class _Users(dict[str, Node]):
    """Variables, and `$user.NAME` for every name: the principal of that user."""

    def get(self, name: str, default: Any = None) -> Any:
        if name.startswith("user."):
            return Node(_NOWHERE, "str", str(identity(name.removeprefix("user."))))
        return super().get(name, default)


def _rules(document: _Document, variables: Variables, seed: int) -> Rules:
    time = document.values.get("time")
    return Rules(
        seed=seed,
        time=None if time is None else whole(0).read(filled(time, variables)),
        costs=document.values.get("costs", "free"),
        limits=replace(InstructionLimits(), **document.values.get("limits", {})),
    )


def _canisters(document: _Document, variables: Variables) -> dict[str, Declared]:
    made: dict[str, Declared] = {}
    for number, (name, node) in enumerate(document.canisters):
        made[name.text] = declared(name.text, Principal.from_index(number), filled(node, variables))
    ids: dict[Principal, str] = {}
    for (name, node), canister in zip(document.canisters, made.values(), strict=True):
        if canister.id in ids:
            node.wrong(f"the canisters {ids[canister.id]} and {name.text} have one id, {canister.id}")
        ids[canister.id] = name.text
    return made


def json_schema() -> JsonSchema:
    """Return the JSON Schema of scenario files, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "canister-sandbox scenario",
        **DOCUMENT.schema,
        "$defs": {"steps": {"type": "array", "items": {"anyOf": step_schemas()}}},
    }

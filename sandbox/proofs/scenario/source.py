"""YAML files as nodes that know their place, and the error that lists everything wrong with a file."""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

import yaml

from sandbox.errors import SandboxError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STANDARD = "tag:yaml.org,2002:"
_VARIABLE = re.compile(r"\$(?:(\$)|\{([^}]*)\}|((?:canister|user)\.\w+|[A-Za-z_]\w*))")
_TAGS = frozenset({"str", "int", "float", "bool", "null", "timestamp", "merge", "value", "seq", "map"}) | frozenset(
    {"!any", "!some", "!match", "!between", "!among", "!hex"}
)
"""The types of YAML that are read, and the tags of values and patterns."""
T = TypeVar("T")
_DEEPEST = 100
"""The most levels of a file."""


class Place(NamedTuple):
    """A place in a file; line and column begin at 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a file: its place and the expected content."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class ScenarioError(SandboxError):
    """A scenario or one of its files cannot be used; nothing was run. `problems`: all problems, by place."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class Wrong(Exception):
    """One problem, on its way to the list of a file's problems."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(place, text)


@dataclass(slots=True, eq=False)
class Node:
    """A value of a YAML file. `tag`: `str`, `int`, `float`, `bool`, `null`, `seq`, `map`, or the text of another tag
    such as `!any`. `text`: a scalar as written. `items`, `pairs`: of a list, of a mapping. `stays`: it has no `$`."""

    place: Place
    tag: str
    text: str = ""
    items: tuple[Node, ...] = ()
    pairs: tuple[tuple[Node, Node], ...] = ()
    form: str = "scalar"
    stays: bool = True

    def __str__(self) -> str:
        """Return a short text for an error."""
        if self.form != "scalar":
            return {"seq": "a list", "map": "a mapping"}[self.form]
        if self.tag == "null":
            return "nothing"
        shown = self.text if len(self.text) <= 40 else f"{self.text[:39]}…"
        return f"the text {shown!r}" if self.tag == "str" else shown

    def get(self, key: str) -> Node | None:
        """Return the value of a key of a mapping."""
        return next((value for name, value in self.pairs if name.text == key), None)

    def wrong(self, text: str) -> NoReturn:
        """Raise a problem at this place."""
        raise Wrong(self.place, text)

    def expected(self, what: str) -> NoReturn:
        """Raise the problem of an unexpected node."""
        self.wrong(f"expected {what}, not {self}")


@dataclass
class Problems:
    """The problems of a file and the files that it uses, gathered while it is read."""

    problems: list[Problem] = field(default_factory=list)

    def caught(self, read: Callable[[], T]) -> T | None:
        """Return the result of `read`; None if it raises a problem, which is recorded."""
        try:
            return read()
        except Wrong as wrong:
            if wrong.problem not in self.problems:
                self.problems.append(wrong.problem)
            return None

    def settle(self) -> None:
        """Raise `ScenarioError` if there is any problem."""
        if self.problems:
            raise ScenarioError(sorted(self.problems, key=lambda p: (str(p.place.file), p.place.line, p.place.column)))


def read_yaml(path: Path, what: str = "a scenario") -> Node:
    """Return the document in a file, which is named `what` if there is none; `Wrong` if it cannot be read, is no YAML,
    or has a key twice."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Wrong(Place(path, 1, 1), f"the file cannot be read: {error.strerror or error}") from None
    return parse_yaml(raw, path, what)


def parse_yaml(raw: bytes, path: Path, what: str = "a value") -> Node:
    """Return the document in `raw`, which is named `what` if there is none; its places are in `path`."""
    try:
        composed = yaml.compose(io.BytesIO(raw), _LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path, 1, 1)
        raise Wrong(place, f"this is no YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Wrong(Place(path, 1, 1), f"this is no YAML: {error}") from None
    if composed is None:
        raise Wrong(Place(path, 1, 1), f"the file is empty; expected {what}")
    return _Converter(path).node(composed, 0)


class _Converter:
    """Conversion of pyyaml's nodes to `Node`; anchors are followed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[int, Node | None] = {}

    def node(self, node: yaml.Node, depth: int) -> Node:
        mark = node.start_mark
        place = Place(self._path, mark.line + 1, mark.column + 1)
        tag = node.tag.removeprefix(_STANDARD)
        if tag not in _TAGS:
            raise Wrong(place, f"no tag {tag}; there are: {', '.join(sorted(t for t in _TAGS if t.startswith('!')))}")
        if isinstance(node, yaml.ScalarNode):
            return Node(place, tag, node.value, stays="$" not in node.value)
        if id(node) in self._known:
            known = self._known[id(node)]
            if known is None:
                raise Wrong(place, "an anchor that contains itself")
            return known
        if depth > _DEEPEST:
            raise Wrong(place, f"this is nested more than {_DEEPEST} levels")
        self._known[id(node)] = None
        made = self._known[id(node)] = self._made(node, place, tag, depth + 1)
        return made

    def _made(self, node: yaml.Node, place: Place, tag: str, depth: int) -> Node:
        """Return a list or a mapping."""
        if isinstance(node, yaml.SequenceNode):
            items = tuple(self.node(item, depth) for item in node.value)
            return Node(place, tag, items=items, form="seq", stays=all(item.stays for item in items))
        seen: set[str] = set()
        pairs = []
        for key, value in node.value:
            name = self.node(key, depth)
            if name.form != "scalar":
                name.expected("a key")
            if name.text in seen:
                name.wrong(f"the key {name.text!r} is given twice")
            seen.add(name.text)
            pairs.append((name, self.node(value, depth)))
        stays = all(value.stays for _, value in pairs)
        return Node(place, tag, pairs=tuple(pairs), form="map", stays=stays)


Variables = Mapping[str, Node]
"""The values of variables `$name`, by name."""


def filled(node: Node, variables: Variables) -> Node:
    """Return the node with the variables in its values replaced: a text that is nothing but `$name` by the whole value,
    one within a text by the value's text. `$$` is a dollar. `Wrong` for an unknown name."""
    if node.stays:
        return node
    if node.form == "seq":
        return Node(node.place, node.tag, "", tuple([filled(item, variables) for item in node.items]), (), "seq")
    if node.form == "map":
        pairs = [(key, filled(value, variables)) for key, value in node.pairs]
        return Node(node.place, node.tag, "", (), tuple(pairs), "map")
    whole = _VARIABLE.fullmatch(node.text)
    if whole and not whole[1] and node.tag == "str":
        return replace(_value(node, whole, variables), place=node.place)
    text = _VARIABLE.sub(lambda match: "$" if match[1] else _text(node, match, variables), node.text)
    return Node(node.place, node.tag, text)


def _value(node: Node, match: re.Match[str], variables: Variables) -> Node:
    name = match[2] if match[2] is not None else match[3]
    value = variables.get(name)
    if value is None:
        known = ", ".join(sorted(variables)) or "none"
        node.wrong(f"no parameter {name!r}{nearest(name, variables)}; there are: {known}; $$ is a dollar")
    return value


def _text(node: Node, match: re.Match[str], variables: Variables) -> str:
    value = _value(node, match, variables)
    if value.form != "scalar":
        node.wrong(f"{value} cannot be a part of a text")
    return value.text


def mentions(node: Node, name: str) -> bool:
    """Return whether `$name` occurs anywhere."""
    return any((match[2] or match[3]) == name for text in _texts(node) for match in _VARIABLE.finditer(text))


def _texts(node: Node) -> Iterator[str]:
    if node.stays:
        return
    yield node.text
    for item in (*node.items, *(part for pair in node.pairs for part in pair)):
        yield from _texts(item)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...?` if one of the known names is like this one."""
    close = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean {close[0]!r}?" if close else ""

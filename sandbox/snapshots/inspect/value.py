"""Values of Candid and of Motoko's stable variables, as trees cut to the parts to be shown, and their text.

Text is Candid's where Candid has a notation; otherwise Motoko's: `var` before a mutable value, and
`region 16 (6 pages)`. A mutable thing that occurs again is `#n`, and `#n = var ...` at its first occurrence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.candid.labels import name_text, number_text, quoted
from sandbox.candid.layout import Doc, alone, braced, render
from sandbox.candid.value_printer import blob_text, float_text
from sandbox.principal import Principal

_MAX_JSON_BITS = 8_192
"""The most bits of a JSON number; longer ones are texts, since readers of JSON may refuse them."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value without parts: bool, number, text, bytes, principal, None; `type` is its Candid type."""

    value: object
    type: str
    size: int = 0
    """Of a text or blob, in bytes; `value` holds at most the first of them."""


@dataclass(frozen=True, slots=True)
class Record:
    """Fields in the order of their ids; labels are numbers in a tuple."""

    fields: tuple[tuple[str | int, Node], ...]


@dataclass(frozen=True, slots=True)
class Vec:
    """The first items of a vector of `length`."""

    items: tuple[Node, ...]
    length: int


@dataclass(frozen=True, slots=True)
class Opt:
    value: Node


@dataclass(frozen=True, slots=True)
class Variant:
    tag: str | int
    value: Node


@dataclass(slots=True)
class Var:
    """A mutable thing: a field, an array or a region. `shared`: its number, if it is referred to elsewhere."""

    place: int
    value: Node = field(default_factory=lambda: Elided("..."))
    shared: int | None = None


@dataclass(frozen=True, slots=True)
class Same:
    """A reference to a mutable thing that came before."""

    var: Var | int
    """The thing, or its position if it was not kept."""


@dataclass(frozen=True, slots=True)
class Region:
    id: int
    pages: int
    blocks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Elided:
    """A value that was read but not kept."""

    text: str


@dataclass(frozen=True, slots=True)
class Packed:
    """An undecoded value: its bytes and its type. Equal ones are equal values; unequal ones may be equal, too."""

    raw: bytes
    kind: str
    read: Callable[[], Node] = field(compare=False, repr=False)


Node = Scalar | Record | Vec | Opt | Variant | Var | Same | Region | Elided | Packed

DEPTH = 64
"""The most levels of a value that are shown."""


def node_text(node: Node, width: int = 100) -> str:
    """Return the text of a value, as far as it is shown (`shortened`)."""
    return render(_doc(shortened(node)), width)


def shortened(node: Node, items: int | None = None, depth: int = DEPTH) -> Node:
    """Return the value cut to `depth` levels and at most `items` items of each vector (None: all)."""
    if depth <= 0 and not isinstance(node, Scalar | Same | Region):
        return Elided("...")
    match node:
        case Record():
            return Record(tuple((label, shortened(value, items, depth - 1)) for label, value in node.fields))
        case Vec():
            return Vec(tuple(shortened(item, items, depth - 1) for item in node.items[:items]), node.length)
        case Opt():
            return Opt(shortened(node.value, items, depth - 1))
        case Variant():
            return Variant(node.tag, shortened(node.value, items, depth - 1))
        case Var():
            return Var(node.place, shortened(node.value, items, depth - 1), node.shared)
        case Packed():
            return shortened(node.read(), items, depth)
    return node


def _doc(node: Node) -> Doc:
    match node:
        case Scalar():
            return _scalar(node)
        case Record():
            return ("record ", braced([_field(label, value) for label, value in node.fields]))
        case Vec():
            items = [_doc(item) for item in node.items]
            if node.length > len(items):
                items.append(f"... {node.length - len(items):,} more")
            return ("vec ", braced(items))
        case Opt():
            return ("opt ", _doc(node.value))
        case Variant():
            plain = node.value == Scalar(None, "null")
            return ("variant ", alone(_label(node.tag) if plain else _field(node.tag, node.value)))
        case Var():
            inner = _doc(node.value)
            word: Doc = inner if isinstance(node.value, Region) else ("var ", inner)
            return word if node.shared is None else (f"#{node.shared} = ", word)
        case Same():
            return f"#{node.var.shared}" if isinstance(node.var, Var) else f"(the same as at byte {node.var:#x})"
        case Region():
            return f"region {node.id} ({node.pages:,} pages)"
        case Elided() | Packed():
            return node.text if isinstance(node, Elided) else f"{len(node.raw):,} bytes"


def _label(label: str | int) -> str:
    return str(label) if isinstance(label, int) else name_text(label)


def _field(label: str | int, value: Node) -> Doc:
    return _doc(value) if isinstance(label, int) and label < 1 << 16 else (f"{_label(label)} = ", _doc(value))


def _scalar(node: Scalar) -> str:
    value = node.value
    more = f" (* {node.size:,} bytes *)" if isinstance(value, (str, bytes)) and node.size > len(_raw(value)) else ""
    match value:
        case None:
            return "null" if node.type == "null" else f"null : {node.type}"
        case bool():
            return "true" if value else "false"
        case int():
            return f"{number_text(value)} : {node.type}"
        case float():
            return f"{float_text(value)} : {node.type}"
        case str():
            return quoted(value) + more if node.type == "text" else value
        case bytes():
            return f'blob "{blob_text(value)}"{more}'
        case Principal():
            return f'principal "{value}"' if node.type == "principal" else f'service "{value}"'
    return str(value)


def _raw(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def node_json(node: Node) -> object:
    """Return the value as JSON values, as far as it is shown: records by name, tuples and vectors as lists, bytes in
    hexadecimal, numbers of thousands of digits as hexadecimal text, an option as null or the value in a list, a mutable
    thing as its value, `{"#": n}` where it occurs again."""
    return _json(shortened(node))


def _json(node: Node) -> object:
    match node:
        case Scalar():
            return _scalar_json(node.value)
        case Record():
            if all(isinstance(label, int) for label, _ in node.fields):
                return [_json(value) for _, value in node.fields]
            return {str(label): _json(value) for label, value in node.fields}
        case Vec():
            items = [_json(item) for item in node.items]
            return items if node.length == len(items) else {"items": items, "length": node.length}
        case Opt():
            return [_json(node.value)]
        case Variant():
            return {str(node.tag): _json(node.value)}
        case Var():
            inner = _json(node.value)
            return inner if node.shared is None else {"#": node.shared, "is": inner}
        case Same():
            return {"#": node.var.shared if isinstance(node.var, Var) else f"byte {node.var:#x}"}
        case Region():
            return {"region": node.id, "pages": node.pages}
        case Elided() | Packed():
            return {"elided": node.text if isinstance(node, Elided) else f"{len(node.raw):,} bytes"}


def _scalar_json(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case bool():
            return value
        case int():
            return value if value.bit_length() <= _MAX_JSON_BITS else number_text(value)
        case Principal():
            return str(value)
    return value

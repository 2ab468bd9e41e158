"""Typed clients: Python source with a class whose methods call those of a canister, annotated for type checkers.

Values are those of `sandbox.candid`: a record is a TypedDict, whose fields that may be null may be missing in
arguments; a variant is a union of TypedDicts with one key each, which `"tag" in value` tells apart. Types of the
interface keep their names as far as Python allows; those without one are named after the place where they occur first.
A name that Python does not allow, or that is taken, ends in `_`.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Iterator, Sequence

from sandbox.candid import (
    EMPTY,
    NAT8,
    Field,
    FuncType,
    Interface,
    NamedType,
    OptType,
    PrimType,
    RecordType,
    ServiceType,
    Type,
    VariantType,
    VecType,
)
from sandbox.candid.interface import environment

_WIDTH = 110
_PRIMITIVE = {
    "null": "None",
    "bool": "bool",
    "float32": "float",
    "float64": "float",
    "text": "str",
    "reserved": "Any",
    "empty": "Never",
    "principal": "Principal",
}
"""All other primitive types are numbers: `int`."""
_IMPORTS = {
    "typing": ("Any", "Never", "NotRequired", "TypeAlias", "TypedDict", "Union", "final"),
    "sandbox": ("Canister", "Principal"),
    "sandbox.candid": ("Func", "Service", "Some"),
}
_IMPORTED = frozenset(name for names in _IMPORTS.values() for name in names)
_BUILTINS = frozenset({"bool", "bytes", "float", "int", "list", "str", "tuple"})
"""Those that annotations use. Where a method has such a name, annotations say `builtins.list`."""
_WORD = re.compile(r"\w+")


def typed_client(interface: Interface, name: str, source: str) -> str:
    """The source of a module with the class `name`; `source` is what the interface was read from, for its docstring."""
    return "\n".join(_Client(interface, name, source).lines()) + "\n"


def class_name(file: str) -> str:
    """The name of a client class for a file: `people_v1.enhanced.wasm` gives `PeopleV1`."""
    return _identifier(_camel(file.rsplit("/", 1)[-1].split(".")[0]) or "Client")


class _Names:
    """Names that are taken."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def free(self, wanted: str) -> str:
        """The name if it is free, else with `_` at its end; it is taken from now on."""
        name = _identifier(wanted)
        while name in self._taken or keyword.iskeyword(name):
            name += "_"
        self._taken.add(name)
        return name


class _Client:
    """One module in the making. `definitions`: the source of each type, in the order in which they were met."""

    def __init__(self, interface: Interface, name: str, source: str) -> None:
        self.interface, self.source = interface, source
        self.name = _Names({*_IMPORTED, *dir(builtins)}).free(name)
        self.definitions: list[list[str]] = []
        attributes = _Names({"canister", *_IMPORTED})
        self.methods = {attributes.free(method): method for method in interface.methods}
        self._shadowed = _BUILTINS & self.methods.keys()
        self._free = _Names({self.name, "builtins", *_IMPORTED, *dir(builtins), *self.methods}).free
        env = environment(interface.types)
        self._names: dict[Type, str] = {NamedType(known, env): self._free(known) for known in interface.types}
        for named, known in list(self._names.items()):
            self._define(named, known)

    def lines(self) -> Iterator[str]:
        """The module, line by line."""
        methods = [line for name in self.methods for line in self._method(name)]
        body = [line for definition in self.definitions for line in ("", "", *definition)]
        body += ["", "", f"class {self.name}:", *_constructor(self.source), *methods]
        words = {word for line in body for word in _WORD.findall(line)}
        yield f'"""Typed client, made by `canister-sandbox stubs` from {_plain(self.source)}: do not edit it."""'
        yield from ("", "from __future__ import annotations", "")
        if self._shadowed:
            yield "import builtins"
        for module, imported in _IMPORTS.items():
            used = [name for name in imported if name in words]
            if used:
                yield from ("",) if module == "sandbox" else ()
                yield f"from {module} import {', '.join(used)}"
        yield from body

    # --- types

    def annotation(self, kind: Type, hint: str) -> str:
        """The annotation of a type; a record or variant without a name is defined under the name `hint`."""
        match kind:
            case PrimType(name):
                return _PRIMITIVE.get(name, "int")
            case OptType(inner):
                text = self.annotation(inner, hint)
                return f"Some[{text}] | None" if inner.nullable else f"{text} | None"
            case VecType(inner):
                return "bytes" if inner.resolve() == NAT8 else f"list[{self.annotation(inner, hint)}]"
            case RecordType(fields) if kind.is_tuple:
                return f"tuple[{', '.join(self.annotation(f.type, hint + str(f.id)) for f in fields)}]"
            case VariantType(()):
                return "Never"
            case NamedType() | RecordType() | VariantType():
                if kind not in self._names:
                    self._names[kind] = self._free(hint)
                    self._define(kind, self._names[kind])
                return self._names[kind]
            case FuncType():
                return "Func"
            case ServiceType():
                return "Service"
        return "Any"

    def _define(self, kind: Type, name: str) -> None:
        """Define a type under its name, which stands for it from now on."""
        text: list[str] = []
        self.definitions.append(text)
        kind = kind.env[kind.name] if isinstance(kind, NamedType) else kind
        match kind:
            case RecordType(fields) if not kind.is_tuple:
                self._names.setdefault(kind, name)
                text += _typed_dict(name, {f.key: self._member(f, name + _camel(f.key)) for f in fields})
            case VariantType(fields) if fields:
                self._names.setdefault(kind, name)
                cases = []
                for case in fields:
                    cases.append(self._free(name + _camel(case.key)))
                    value = self.annotation(case.type, f"{cases[-1]}Value")
                    self.definitions.append(_typed_dict(cases[-1], {case.key: value}, final=True))
                text += _alias(name, cases)
            case _:
                text += _alias(name, [self.annotation(kind, f"{name}Item")])

    def _member(self, part: Field, hint: str) -> str:
        """The annotation of a field. One that may be null may be missing in arguments; results always have it."""
        text = self.annotation(part.type, hint)
        return f"NotRequired[{text}]" if part.type.nullable else text

    # --- methods

    def _method(self, name: str) -> Iterator[str]:
        method = self.methods[name]
        function = self.interface.method(method)
        hint = _camel(method)
        arguments = list(self._parameters(function, hint))
        results = [self.annotation(kind, f"{hint}Result{number or ''}") for number, kind in enumerate(function.results)]
        result = "None" if not results else results[0] if len(results) == 1 else f"tuple[{', '.join(results)}]"
        parameters = ["self", *(text for _, text in arguments), "*", "sender: Principal | str | None = None"]
        yield ""
        yield from _signature(f"    def {name}", [self._in_class(text) for text in parameters], self._in_class(result))
        yield f'        """{"A query" if function.is_query else "An update"} call."""'
        call = ", ".join((_string(method), *(parameter for parameter, _ in arguments), "sender=sender"))
        if any(kind.resolve() in (EMPTY, VariantType(())) for kind in function.results):
            yield f"        self.canister.call({call})"
            yield '        raise AssertionError("no value has the type of the result")'
        elif results:
            yield f"        reply: {result} = self.canister.call({call})"
            yield "        return reply"
        else:
            yield f"        self.canister.call({call})"

    def _parameters(self, function: FuncType, hint: str) -> Iterator[tuple[str, str]]:
        """Name and text of each parameter. Those at the end that may be null may be left out."""
        free = _Names({"self", "sender", "reply"}).free
        count = len(function.args)
        needed = max((number + 1 for number, kind in enumerate(function.args) if not kind.nullable), default=0)
        for number, kind in enumerate(function.args):
            known = function.arg_names[number] if function.arg_names else None
            name = free(known or ("arg" if count == 1 else f"arg{number}"))
            annotation = self.annotation(kind, hint + (_camel(known or "") or f"Arg{number or ''}"))
            yield name, f"{name}: {annotation}" + (" = None" if number >= needed else "")

    def _in_class(self, text: str) -> str:
        """Annotations as they are within the class, where a method may have the name of a builtin."""
        return _WORD.sub(
            lambda word: (
                f"builtins.{word[0]}"
                if word[0] in self._shadowed and text[word.end() : word.end() + 1] != ":"
                else word[0]
            ),
            text,
        )


def _constructor(source: str) -> Iterator[str]:
    yield f'    """The methods of {_plain(source)}, with Python values; `sender` is anonymous if it is not given."""'
    yield from ("", "    def __init__(self, canister: Canister) -> None:", "        self.canister = canister")


def _signature(head: str, parameters: Sequence[str], result: str) -> Iterator[str]:
    line = f"{head}({', '.join(parameters)}) -> {result}:"
    if len(line) <= _WIDTH:
        yield line
        return
    yield f"{head}("
    yield from (f"        {parameter}," for parameter in parameters)
    yield f"    ) -> {result}:"


def _typed_dict(name: str, keys: dict[str, str], *, final: bool = False) -> list[str]:
    """A TypedDict as a class, or as a call where a key is no name, or would hide one that an annotation uses."""
    words = {word for annotation in keys.values() for word in _WORD.findall(annotation)}
    plain = all(key.isidentifier() and not keyword.iskeyword(key) and key[:2] != "__" for key in keys)
    if plain and words.isdisjoint(keys):
        members = [f"    {key}: {annotation}" for key, annotation in keys.items()] or ["    pass"]
        return [*(["@final"] if final else []), f"class {name}(TypedDict):", *members]
    members = [f'        {_string(key)}: "{annotation}",' for key, annotation in keys.items()]
    return [f"{name} = TypedDict(", f'    "{name}",', "    {", *members, "    },", ")"]


def _alias(name: str, union: Sequence[str]) -> list[str]:
    line = f'{name}: TypeAlias = "{" | ".join(union)}"'
    if len(line) <= _WIDTH or len(union) == 1:
        return [line]
    return [f"{name}: TypeAlias = Union[", *(f'    "{each}",' for each in union), "]"]


def _string(text: str) -> str:
    """A Python string literal."""
    return f'"{text}"' if text.isprintable() and not set(text) & set('"\\') else repr(text)


def _plain(text: str) -> str:
    """Text for a docstring."""
    return re.sub(r"[^\w ./:+-]", "_", text)


def _identifier(text: str) -> str:
    name = re.sub(r"^__+", "_", re.sub(r"\W", "_", text))
    return name if name.isidentifier() else f"_{name}"


def _camel(text: str) -> str:
    """Words put together, each with a capital: `get_edit-count` gives `GetEditCount`."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[\W_]+", text))

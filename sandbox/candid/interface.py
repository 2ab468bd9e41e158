"""Interface descriptions: `.did` text, its imports, and their definitions.

Spec: dfinity/candid `spec/Candid.md`, "Imports" and "Interfaces".
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from sandbox.candid.guard import bounded_nesting
from sandbox.candid.labels import name_text
from sandbox.candid.layout import Doc, render
from sandbox.candid.lexer import Source
from sandbox.candid.nesting import run
from sandbox.candid.parser import Parser
from sandbox.candid.type_base import Env, Type
from sandbox.candid.types import (
    FuncType,
    NamedType,
    OptType,
    RecordType,
    ServiceType,
    VariantType,
    VecType,
    arguments_laid_out,
)
from sandbox.errors import CandidSyntaxError, CandidTypeError

Resolve = Callable[[str], str]
"""Function from an import path, relative to the first file, to the text of that file."""


@dataclass(frozen=True, slots=True)
class Interface:
    """The type definitions of a `.did` file, its service, and the installation arguments of the service.

    `service` is None for a file without one; `init_args` is None where the service takes no arguments list at all.
    """

    types: Mapping[str, Type]
    service: ServiceType | None = None
    init_args: tuple[Type, ...] | None = None

    @property
    def methods(self) -> dict[str, FuncType]:
        """Every method of the service, resolved, by name."""
        return {name: _function(kind) for name, kind in self.service.methods} if self.service else {}

    def method(self, name: str) -> FuncType:
        """The type of one method; an unknown name is a CandidTypeError that lists the known ones."""
        for known, kind in self.service.methods if self.service else ():
            if known == name:
                return _function(kind)
        names = ", ".join(map(name_text, self.methods)) or "none"
        raise CandidTypeError(f"the service has no method {name_text(name)}; it has: {names}")

    def field_names(self) -> frozenset[str]:
        """Return all field and tag names of the interface: a table for reading messages without types."""
        roots: list[Type] = [*self.types.values(), *(self.init_args or ())]
        return field_names(roots + ([self.service] if self.service else []))

    def __str__(self) -> str:
        """The interface as `.did` text, without comments and imports."""
        lines: list[Doc] = [(f"type {name} = ", self.types[name].doc(), ";\n") for name in self.types]
        if self.service:
            init = () if self.init_args is None else (run(arguments_laid_out(self.init_args)), " -> ")
            lines.append(("service : ", init, run(self.service.body()), "\n"))
        return "".join(map(render, lines))


@bounded_nesting(CandidSyntaxError)
def parse_did(text: str, resolve: Resolve | None = None, *, file: str = "") -> Interface:
    """Parse `.did` text; `resolve` returns the texts of imported files, `file` is the name in errors."""
    return _Loader(resolve).load(text, posixpath.normpath(file) if file else "")


def load_did(path: Path | str) -> Interface:
    """Parse a `.did` file; imports are files relative to it."""
    path = Path(path)
    folder = path.parent
    return parse_did(path.read_text("utf-8"), lambda name: (folder / name).read_text("utf-8"), file=path.name)


@bounded_nesting(CandidSyntaxError)
def parse_type(text: str, env: Mapping[str, Type] | None = None) -> Type:
    """Parse one type; `env` (the `types` of an interface) defines the names in it."""
    parser = Parser(Source(text), environment(env))
    parsed = parser.type()
    parser.finish()
    parser.check_references()
    return parsed


def parse_types(text: str, env: Mapping[str, Type] | None = None) -> tuple[Type, ...]:
    """Parse an argument list such as `(nat, owner : text)`."""
    return _closed_types(text) if env is None else _types(text, env)


@lru_cache(maxsize=512)
def _closed_types(text: str) -> tuple[Type, ...]:
    return _types(text, None)


@bounded_nesting(CandidSyntaxError)
def _types(text: str, env: Mapping[str, Type] | None) -> tuple[Type, ...]:
    parser = Parser(Source(text), environment(env))
    types, _ = parser.types()
    parser.finish()
    parser.check_references()
    return types


def environment(types: Mapping[str, Type] | None) -> Env:
    if isinstance(types, Env):
        return types
    env = Env()
    for name, definition in (types or {}).items():
        env.define(name, definition)
    return env


def field_names(types: Iterable[Type]) -> frozenset[str]:
    """Return the field and tag names in these types and in all types inside them."""
    todo, seen, names = list(types), set[Type](), set[str]()
    while todo:
        candid_type = todo.pop()
        if candid_type in seen:
            continue
        seen.add(candid_type)
        match candid_type:
            case NamedType():
                todo.append(candid_type.resolve())
            case OptType(inner) | VecType(inner):
                todo.append(inner)
            case RecordType(fields) | VariantType(fields):
                names.update(f.name for f in fields if f.name is not None)
                todo.extend(f.type for f in fields)
            case FuncType(args, results):
                todo.extend(args + results)
            case ServiceType(methods):
                todo.extend(kind for _, kind in methods)
    return frozenset(names)


def _function(kind: Type) -> FuncType:
    resolved = kind.resolve()
    assert isinstance(resolved, FuncType)
    return resolved


class _Loader:
    """Loader of a file and its imports; each imported file is loaded once, before the file."""

    def __init__(self, resolve: Resolve | None) -> None:
        self.resolve = resolve
        self.env = Env()
        self.loaded: dict[str, Interface | None] = {}

    def load(self, text: str, path: str) -> Interface:
        self.loaded[path] = None
        parser = _FileParser(Source(text, path), self.env)
        parser.program()
        methods = [method for request in parser.imports for method in self._imported(parser, request)]
        for name, (definition, at) in parser.definitions.items():
            if name in self.env:
                parser.fail(f"the type {name} is defined twice", at)
            self.env.define(name, definition)
        parser.check_references()
        for name, (_, at) in parser.definitions.items():
            parser.check_productive(name, at)
        return Interface(self.env, parser.actor(methods), parser.init_args)

    def _imported(self, parser: _FileParser, request: _Import) -> tuple[tuple[str, Type], ...]:
        path, wants_service, at = request
        full = posixpath.normpath(posixpath.join(posixpath.dirname(parser.source.file), path))
        if full not in self.loaded:
            self.loaded[full] = self.load(self._text(parser, full, at), full)
        imported = self.loaded[full]
        if not wants_service:
            return ()
        if imported is None:
            parser.fail(f'"{path}" imports itself', at)
        if imported.service is None:
            parser.fail(f'"{path}" has no service to import', at)
        if imported.init_args is not None:
            parser.fail(f'the service of "{path}" takes arguments and cannot be imported', at)
        return imported.service.methods

    def _text(self, parser: _FileParser, path: str, at: int) -> str:
        if self.resolve is None:
            parser.fail(f'cannot import "{path}": this text was given without a place to look for files', at)
        try:
            return self.resolve(path)
        except (OSError, KeyError, UnicodeDecodeError) as error:
            parser.fail(f'cannot import "{path}": {error}', at)


class _Import(NamedTuple):
    path: str
    wants_service: bool
    at: int


class _FileParser(Parser):
    """Parser of the definitions and the service of one file."""

    def __init__(self, source: Source, env: Env) -> None:
        super().__init__(source, env)
        self.imports: list[_Import] = []
        self.definitions: dict[str, tuple[Type, int]] = {}
        self.main: Type | None = None
        self.init_args: tuple[Type, ...] | None = None
        self.service_at = 0

    def program(self) -> None:
        while self.sees("type", "import"):
            at = self.token.at
            if self.advance().text == "type":
                self._definition(at)
            else:
                wants_service = self.accept("service")
                self.imports.append(_Import(self.string(), wants_service, at))
            if not self.accept(";"):
                break
        if self.sees("service"):
            self._main_service()
        self.finish()

    def _definition(self, at: int) -> None:
        name = self.identifier()
        if name in self.definitions:
            self.fail(f"the type {name} is defined twice", at)
        self.expect("=")
        self.definitions[name] = (self.type(), at)

    def _main_service(self) -> None:
        self.service_at = self.advance().at
        if self.token.kind == "name" and not self.sees(":"):
            self.identifier()
        self.expect(":")
        if self.sees("("):
            self.init_args, _ = self.types()
            self.expect("->")
        if self.sees("{"):
            self.main = self.service()
        else:
            self.references.append(self.token)
            self.main = NamedType(self.identifier(), self.env)
        self.accept(";")

    def check_productive(self, name: str, at: int) -> None:
        token = self.token._replace(text=name, at=at)
        self._check_definition(token)

    def actor(self, imported: list[tuple[str, Type]]) -> ServiceType | None:
        """Return the service of the file, with the imported methods."""
        own = self.main.resolve() if self.main else None
        if own is not None and not isinstance(own, ServiceType):
            self.fail("the main service is not a service type", self.service_at)
        if own is None and not imported:
            return None
        try:
            return ServiceType((own.methods if own else ()) + tuple(imported))
        except CandidTypeError as error:
            raise self.source.error(str(error), self.service_at) from error

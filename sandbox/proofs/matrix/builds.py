"""The inputs of a release matrix: builds from the oldest to the newest, calls, queries, accepted findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sandbox import candid
from sandbox.api.typed import EMPTY_ARGUMENT, init_argument
from sandbox.candid import Interface
from sandbox.canister.module import facts_of
from sandbox.errors import CandidError, InvalidModule, SandboxError
from sandbox.proofs.calls import Call, Line, call_of
from sandbox.proofs.findings import RULES
from sandbox.state import InstructionLimits, WasmModule


class MatrixError(SandboxError):
    """Unusable inputs of a release matrix; nothing was run. The text begins with the place, where there is one."""


@dataclass(frozen=True, slots=True)
class CandidText:
    """An argument as Candid text. `where`: file, line and column."""

    text: str
    where: str = ""


@dataclass(frozen=True)
class Build:
    """One build. `wasm`: the module as submitted; `file`: where it is, if it is in a file.

    `arg`: the argument when it is installed over another build; `init_arg`: when it is the first one. Each is Candid
    bytes, `CandidText`, or values of the types that the module declares. `did`: the text of its interface, if the
    module carries none. Its starting state is `state` (an .icsnap file, a snapshot directory, an image of stable
    memory) or the canister just installed, and then `calls`; without `state`, by default those of the matrix.
    """

    name: str
    wasm: bytes
    file: Path | None = None
    arg: Any = None
    init_arg: Any = None
    did: str | None = None
    calls: tuple[Call | Line | str, ...] | None = None
    state: Path | None = None

    @classmethod
    def read(cls, path: str | Path, **options: Any) -> Build:
        """Return the build in a file, named as the file without `.wasm` or `.wasm.gz`."""
        file = Path(path)
        options.setdefault("name", file.name.removesuffix(".gz").removesuffix(".wasm"))
        return cls(wasm=file.read_bytes(), file=file, **options)

    @cached_property
    def code(self) -> WasmModule:
        return WasmModule.from_bytes(self.wasm)

    @cached_property
    def interface(self) -> Interface | None:
        """The interface, None if it is not known; nothing is compiled for it."""
        try:
            if self.did is not None:
                return candid.parse_did(self.did)
            facts = facts_of(self.code)
            text = {**facts.private_metadata, **facts.public_metadata}.get("candid:service")
            return None if text is None else candid.parse_did(text.decode())
        except (SandboxError, UnicodeDecodeError):
            return None

    def argument(self, value: Any) -> bytes:
        """Return an argument of its hooks as Candid bytes. `MatrixError` if it does not fit the module."""
        if value is None or isinstance(value, bytes):
            return EMPTY_ARGUMENT if value is None else value
        where = value.where if isinstance(value, CandidText) else f"the argument of {self.name}"
        try:
            if isinstance(value, CandidText):
                types = self.init_types()
                return candid.encode_text(value.text, types) if types is not None else candid.encode_text(value.text)
            return init_argument(self.code, value, self.did)
        except InvalidModule:
            return EMPTY_ARGUMENT  # the platform refuses the module with a reason
        except (CandidError, SandboxError) as error:
            raise MatrixError(f"{where}: {error}") from error

    def init_types(self) -> tuple[candid.Type, ...] | None:
        """Return the types of the argument; None if they are not known."""
        if self.did is None:
            facts = facts_of(self.code)
            text = {**facts.private_metadata, **facts.public_metadata}.get("candid:args")
            if text is not None:
                return candid.parse_types(text.decode())
        return None if self.interface is None else self.interface.init_args or ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted finding, which does not change a verdict. `old`, `new`: names of builds; None: all."""

    id: str
    old: str | None = None
    new: str | None = None

    def covers(self, finding: str, old: str, new: str) -> bool:
        """Whether the finding is accepted in the cell from build `old` to build `new`."""
        return self.id == finding and self.old in (None, old) and self.new in (None, new)


@dataclass(frozen=True)
class Matrix:
    """The builds, the oldest first, and what is common to all cells. `calls` make the starting state of each build;
    `queries` are asked before and after, besides those that take no argument; `limits`: other instruction limits than
    the platform's."""

    builds: tuple[Build, ...]
    calls: tuple[Call | Line | str, ...] = ()
    queries: tuple[Call | Line | str, ...] = ()
    accept: tuple[Accepted, ...] = ()
    limits: InstructionLimits | None = None

    def __post_init__(self) -> None:
        names = [build.name for build in self.builds]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise MatrixError(f"two builds have the name {twice!r}")
        if not names:
            raise MatrixError("there are no builds")
        for accepted in self.accept:
            if accepted.id not in RULES:
                raise MatrixError(f"there is no finding {accepted.id!r}; there are: {', '.join(RULES)}")
            for name in (accepted.old, accepted.new):
                if name is not None and name not in names:
                    raise MatrixError(f"there is no build {name!r}; there are: {', '.join(names)}")

    def calls_of(self, build: Build) -> tuple[Call, ...]:
        """Return the calls that make the starting state of a build."""
        given = self.calls if build.calls is None and build.state is None else build.calls or ()
        try:
            return tuple(call_of(call, build.interface, "calls") for call in given)
        except SandboxError as error:
            raise MatrixError(f"{error} (build {build.name})") from error

    def queries_of(self, build: Build) -> tuple[Call, ...]:
        """Return the queries that a build can be asked: those of methods that it lacks are left out."""
        asked = (call for call in self.queries if _has(build, call))
        try:
            return tuple(call_of(call, build.interface, "queries") for call in asked)
        except SandboxError as error:
            raise MatrixError(f"{error} (build {build.name})") from error

    def check_queries(self) -> None:
        """`MatrixError` if no build has the method of a query."""
        for call in self.queries:
            if not any(_has(build, call) for build in self.builds):
                where = call.where if isinstance(call, Line | Call) and call.where else "queries"
                raise MatrixError(f"{where}: no build has the method of {_text(call)[:80]}")


def _has(build: Build, call: Call | Line | str) -> bool:
    """Return whether a build has the method of a call; True for a text without a method, which parsing reports."""
    if build.interface is None:
        return True
    line = Line(call) if isinstance(call, str) else call
    return line.method in ("", *build.interface.methods)


def _text(call: Call | Line | str) -> str:
    return call if isinstance(call, str) else call.text


def accepted(ids: Iterable[str | Accepted]) -> tuple[Accepted, ...]:
    """Return accepted findings; an id alone is accepted in all cells."""
    return tuple(Accepted(each) if isinstance(each, str) else each for each in ids)

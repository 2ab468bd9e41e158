"""The state of a case while its steps are read: canisters, their versions at that step, labels of snapshots.

All references of a step are resolved here, before anything runs: methods, types of arguments, versions, labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from sandbox.api.identity import identity
from sandbox.api.typed import init_types, interface_of
from sandbox.candid import FuncType, Type
from sandbox.errors import InvalidModule, PrincipalError, SandboxError
from sandbox.execution import CallResult
from sandbox.principal import Principal
from sandbox.proofs.scenario.patterns import Difference
from sandbox.proofs.scenario.source import Node, Place, Variables, nearest
from sandbox.proofs.scenario.stage import Stage, Version
from sandbox.state import WasmModule

Action: TypeAlias = Callable[[Stage], CallResult]
Check: TypeAlias = Callable[[Stage, CallResult], Iterable[Difference]]


@dataclass(frozen=True)
class Start:
    """The initial content of a canister. `kind`: `snapshot` or `stable_image`."""

    kind: str
    path: Path
    version: Version | None
    arg: bytes = b""


@dataclass(frozen=True)
class Declared:
    """A canister of a scenario. `cycles`: None is the sandbox's own."""

    name: str
    id: Principal
    versions: Mapping[str, Version]
    controllers: tuple[Principal, ...]
    cycles: int | None = None
    start: Start | None = None


@dataclass(frozen=True)
class Expectation:
    """One expectation of a step, by the name of its kind."""

    name: str
    place: Place
    check: Check


@dataclass
class Step:
    """One step, ready to be run once it is planned. `results`: the types of the reply, None if it is no Candid of known
    types; `keep`: the name under which the reply is kept; `rejects`: whether a reject is expected; `tolerance`: the
    allowed growth of instructions over its baseline, None for the scenario's; `rounds`: of a repetition, the steps of
    each round."""

    place: Place
    title: str
    action: Action
    canister: str | None = None
    results: tuple[Type, ...] | None = None
    replies: bool = False
    keep: str | None = None
    rejects: bool = False
    expectations: tuple[Expectation, ...] = ()
    tolerance: float | None = None
    rounds: tuple[tuple[Step, ...], ...] = ()


@dataclass
class Planner:
    """The canisters of a case and their state at the step that is being read. `current`: their versions;
    `labels`: the versions in snapshots, by label and canister; `variables`: the values of `$name`; `kept`: names of
    replies; `refused`: whether the present step is expected to be rejected, so that it changes nothing."""

    canisters: Mapping[str, Declared]
    current: dict[str, Version | None] = field(default_factory=dict)
    labels: dict[str, dict[str, Version | None]] = field(default_factory=dict)
    variables: Variables = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    refused: bool = False

    def canister(self, node: Node) -> Declared:
        """Return the canister with this name."""
        canister = self.canisters.get(node.text) if node.form == "scalar" else None
        if canister is None:
            known = ", ".join(self.canisters) or "none"
            node.wrong(f"expected a canister, not {node}{nearest(node.text, self.canisters)}; there are: {known}")
        return canister

    def only(self, node: Node) -> Declared:
        """Return the canister if there is one alone."""
        if len(self.canisters) != 1:
            known = ", ".join(self.canisters) or "none"
            node.wrong(f"expected the name of a canister, of which there are several: {known}")
        return next(iter(self.canisters.values()))

    def split(self, node: Node, what: str) -> tuple[Declared, str]:
        """Return the canister and the rest of a text such as `people.add`, or `add` where there is one canister.
        `what`: the kind of the rest, for errors."""
        if node.form != "scalar" or node.tag == "null":
            node.expected(f"CANISTER.{what}")
        name, dot, rest = node.text.partition(".")
        if dot and name in self.canisters:
            return self.canisters[name], rest
        if len(self.canisters) != 1:
            known = ", ".join(self.canisters) or "none"
            hint = nearest(name, self.canisters)
            node.wrong(f"expected CANISTER.{what}, not {node}{hint}; canisters: {known}")
        return self.only(node), node.text

    def version(self, node: Node) -> tuple[Declared, Version]:
        """Return the canister and the version that a text such as `people.v2` names."""
        canister, name = self.split(node, "VERSION")
        version = canister.versions.get(name)
        if version is None:
            known = ", ".join(canister.versions) or "none"
            node.wrong(f"{canister.name} has no version {name!r}{nearest(name, canister.versions)}; it has: {known}")
        return canister, version

    def method(self, node: Node, canister: Declared, name: str) -> FuncType | None:
        """Return the type of a method; None if no interface is known, or a reject is expected."""
        version = self.current.get(canister.name)
        methods = None if version is None else _methods(version)
        if methods is None:
            return None
        if name not in methods and not self.refused:
            known = ", ".join(methods) or "none"
            node.wrong(f"{canister.name} has no method {name!r}{nearest(name, methods)}; it has: {known}")
        return methods.get(name)

    def put(self, canister: Declared, version: Version | None) -> None:
        """Record that the canister has this version from this step on."""
        if not self.refused:
            self.current[canister.name] = version

    def label(self, node: Node, canister: Declared) -> str:
        """Return a label under which a snapshot of the canister was taken."""
        taken = self.labels.get(node.text) if node.form == "scalar" else None
        if taken is None or canister.name not in taken:
            known = [label for label, owners in self.labels.items() if canister.name in owners]
            here = ", ".join(known) or "none"
            node.wrong(
                f"no snapshot of {canister.name} is labelled {node.text!r} by then{nearest(node.text, known)}; "
                f"there are: {here}"
            )
        return node.text


def user(node: Node) -> Principal:
    """Return the principal with this text, or that of the user with this name."""
    if node.form != "scalar" or not node.text.strip():
        node.expected("the name of a user, or a principal")
    try:
        return identity(node.text)
    except PrincipalError as error:
        node.wrong(str(error))


@lru_cache(maxsize=1024)
def _methods(version: Version) -> dict[str, FuncType] | None:
    try:
        return interface_of(version.code, version.did).methods
    except SandboxError:
        return None


@lru_cache(maxsize=1024)
def installation_types(version: Version) -> tuple[Type, ...] | None:
    """Return the types of a version's installation argument; None if no interface says them."""
    try:
        return init_types(version.code, version.did)
    except InvalidModule:
        return None


@lru_cache(maxsize=256)
def read_module(path: Path, changed: int) -> WasmModule:
    """Return the module in a file. `changed`: the time of its last change, which makes a new file another one."""
    return WasmModule.from_bytes(path.read_bytes())

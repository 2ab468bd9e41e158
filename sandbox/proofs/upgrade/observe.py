"""Observations of a canister at one moment: its decoded data, and its answers to queries. Nothing changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sandbox.api.canister import Canister
from sandbox.api.runtime import runtime_of
from sandbox.api.sandbox import Sandbox
from sandbox.candid import FuncType
from sandbox.canister.module import compile_module
from sandbox.errors import CallRejected
from sandbox.execution import CallResult
from sandbox.memory import Image
from sandbox.pagestore.hash_tree import Tree
from sandbox.pagestore.memory_trees import remember, tree
from sandbox.proofs.calls import Call
from sandbox.proofs.upgrade.start import Version, perform
from sandbox.snapshots.inspect import Decoded, InspectError, Part
from sandbox.snapshots.inspect.stable_structures.decode import LAYOUT
from sandbox.snapshots.inspect.target import InspectionTarget
from sandbox.state.messages import EMPTY_CANDID


@dataclass(frozen=True)
class Observation:
    """The state as pre_upgrade saves it, and the answer to each query by the text of its call.

    `data`: the state without running a hook if pre_upgrade fails, and `unsaved` is the reason. `unhooked`: the state
    before pre_upgrade.
    """

    data: InspectionTarget
    answers: Mapping[str, CallResult]
    unsaved: CallRejected | None
    unhooked: InspectionTarget

    @cached_property
    def decoded(self) -> Decoded:
        """The structures in stable memory; if even the outermost cannot be read, one part that says why."""
        return decode_data(self.data)

    @cached_property
    def overwritten(self) -> tuple[Part, ...]:
        """Stable structures with entries that pre_upgrade overwrites."""
        if self.decoded.layout == LAYOUT:
            return ()
        before = decode_data(self.unhooked)
        return tuple(part for part in before.parts if part.count) if before.layout == LAYOUT else ()


def observe(sandbox: Sandbox, canister: Canister, version: Version, queries: Iterable[Call]) -> Observation:
    """Look at a canister that runs `version`, by running hook and queries on copies."""
    data, unsaved = saved_data(sandbox, canister)
    answers = {call.text: perform(canister, version, call) for call in queries}
    return Observation(data, answers, unsaved, plain_data(sandbox, canister))


def plain_data(sandbox: Sandbox, canister: Canister) -> InspectionTarget:
    """Return the state as it is, without running a hook."""
    with sandbox.anchor():
        return sandbox.snapshots.inspect(canister.take_snapshot())


def saved_data(sandbox: Sandbox, canister: Canister) -> tuple[InspectionTarget, CallRejected | None]:
    """Return the state that pre_upgrade leaves in stable memory, or the plain state and the failure of pre_upgrade."""
    with sandbox.anchor():
        try:
            return sandbox.snapshots.inspect(canister.take_snapshot(via_hooks=True)), None
        except CallRejected as rejected:
            failed = rejected
    return plain_data(sandbox, canister), failed


def decode_data(data: InspectionTarget) -> Decoded:
    """Decode a state; if even its outermost structure cannot be read, it is one part that says why."""
    try:
        return data.decode()
    except InspectError as error:
        return Decoded("unreadable", (Part("stable memory", "unreadable", data.stable, problem=str(error)),))


def plain_queries(version: Version) -> tuple[Call, ...]:
    """Return a call of each query of the version that takes no argument, or only arguments that may be left out."""
    interface = version.interface
    if interface is None:
        return tuple(Call(name, EMPTY_CANDID, f"{name}()") for name, kind in version.methods.items() if kind == "query")
    return tuple(
        Call(name, EMPTY_CANDID, f"{name}()") for name, kind in interface.methods.items() if _asks_nothing(kind)
    )


def _asks_nothing(function: FuncType) -> bool:
    return bool({"query", "composite_query"} & set(function.modes)) and all(arg.nullable for arg in function.args)


@dataclass(frozen=True)
class Fingerprint:
    """Hashes of all state that a canister's code can observe: states with equal fingerprints answer every call in the
    same way. `trees`: of heap and stable memory; while they live, a later fingerprint costs the pages written since."""

    seen: tuple[object, ...]
    trees: tuple[tuple[Image, Tree], ...] = field(compare=False, repr=False)


def fingerprint(canister: Canister, since: Fingerprint | None = None) -> Fingerprint:
    """Return the fingerprint of a canister with a module. `since`: an earlier one, whose hashes of unchanged pages are
    reused."""
    for image, known in () if since is None else since.trees:
        remember(image, known)
    runtime = runtime_of(canister)
    state, subnet = runtime.state_of(canister.id), runtime.subnet
    assert state.code is not None
    trees = tuple((image, tree(image)) for image in (state.heap.image(), state.stable.image()))
    imports = {each.name for each in compile_module(state.code).facts.imports}
    seen = (
        state.id,
        state.code.hash,
        *((each.size, each.root) for _, each in trees),
        state.globals,
        state.certified_data,
        state.global_timer,
        state.low_memory_hook,
        state.cycles,
        state.status,
        state.settings,
        state.version if "canister_version" in imports else None,
        subnet.time,
    )
    return Fingerprint(seen, trees)

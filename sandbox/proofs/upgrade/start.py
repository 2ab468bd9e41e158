"""The starting point of an upgrade proof: a throw-away sandbox with the old version and its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sandbox.api.canister import Canister
from sandbox.api.identity import identity, principal_of
from sandbox.api.sandbox import Sandbox
from sandbox.api.typed import deployment_argument, interface_of, metadata
from sandbox.candid import Interface
from sandbox.canister.module import compile_module
from sandbox.errors import InvalidModule, SandboxError, SnapshotFileError
from sandbox.execution import CallResult
from sandbox.limits import ROUNDS
from sandbox.principal import Principal
from sandbox.proofs.calls import Call
from sandbox.snapshots import portable
from sandbox.state import InstructionLimits, WasmModule
from sandbox.wasm import decode_module

OWNER = identity("default")
"""The controller of the canister, and the caller of calls without a named caller."""
_SNAPSHOTS = 1_000
"""Limit on the snapshots of a canister in a proof."""


class ProofError(SandboxError):
    """An upgrade proof that cannot begin: its inputs contradict each other."""


@dataclass(frozen=True)
class Version:
    """One of the two versions: its `name` in the report, the module as submitted, the argument of its hooks (Candid
    bytes, or values of the types that the module declares), and its interface if the module carries none."""

    name: str
    wasm: bytes
    arg: Any = None
    did: str | Path | None = None

    @cached_property
    def code(self) -> WasmModule:
        return WasmModule.from_bytes(self.wasm)

    @cached_property
    def interface(self) -> Interface | None:
        """The interface, None if it is not known."""
        try:
            return interface_of(self.code, self.did)
        except SandboxError:
            return None

    @property
    def methods(self) -> Mapping[str, str]:
        """The exported methods, `update`, `query` or `composite_query` by name."""
        return compile_module(self.code).facts.methods

    @property
    def enhanced(self) -> bool:
        """Whether the module uses Motoko's enhanced orthogonal persistence."""
        return compile_module(self.code).facts.uses_enhanced_persistence

    @property
    def stable_types(self) -> str | None:
        """The section `motoko:stable-types`; None if the module is not of Motoko, or none at all."""
        try:
            section = metadata(self.code, "motoko:stable-types")
        except InvalidModule:
            return None
        return None if section is None else section.decode("utf-8", "replace")

    @cached_property
    def argument(self) -> bytes:
        return deployment_argument(self.arg, lambda: self.code, self.did)


@dataclass(frozen=True)
class Start:
    """The beginning of a proof. `state`: a snapshot file, a snapshot directory, or an image of stable memory; None: a
    canister after its installation. `calls`: calls of the old version that are made next. `limits`: other instruction
    limits than those of the platform."""

    state: Path | None = None
    calls: Sequence[Call] = ()
    limits: InstructionLimits | None = None

    def open(self, old: Version) -> tuple[Sandbox, Canister]:
        """Return a sandbox in memory with the canister at the starting point; the caller closes the sandbox."""
        sandbox = Sandbox(max_snapshots=_SNAPSHOTS, instruction_limits=self.limits)
        try:
            canister = self._canister(sandbox, old)
            canister.did = old.did
            for call in self.calls:
                perform(canister, old, call).or_raise()
        except BaseException:
            sandbox.close()
            raise
        return sandbox, canister

    def _canister(self, sandbox: Sandbox, old: Version) -> Canister:
        if self.state is None:
            canister = sandbox.create_canister([OWNER])
            canister.install(old.wasm, old.argument)
            return canister
        if _is_image(self.state):
            canister = sandbox.create_canister([OWNER])
            sandbox.snapshots.load_stable_image(canister, self.state, wasm=old.wasm, arg=old.argument)
            return canister
        with portable.opened(self.state) as content:
            about = content.fields
            _check_module(content.module.read(0, content.module.size), old, content.where)
        if not about.via_hooks:
            return sandbox.snapshots.create_canister(self.state, [OWNER], about.canister_id)
        canister = sandbox.create_canister([OWNER], about.canister_id)
        snapshot = sandbox.snapshots.upload(canister, self.state)
        canister.load_snapshot(snapshot, via_hooks=True, wasm=old.wasm, arg=old.argument)
        canister.delete_snapshot(snapshot)
        return canister


def _is_image(path: Path) -> bool:
    """Return whether a file is no snapshot and hence the bytes of a stable memory."""
    try:
        portable.opened(path).close()
    except SnapshotFileError:
        if path.is_dir() or path.suffix == portable.SUFFIX or not path.exists():
            raise
        return True
    return False


def _check_module(present: bytes, old: Version, where: str) -> None:
    if decode_module(present) != decode_module(old.wasm):
        actual = WasmModule.from_bytes(present).hash.hex()
        raise ProofError(
            f"{where} is a state of the module {actual[:12]}..., and the old version {old.name} is "
            f"{old.code.hash.hex()[:12]}...: give the module that wrote the state"
        )


def perform(canister: Canister, version: Version, call: Call, max_rounds: int = ROUNDS) -> CallResult:
    """Make a call, as a query if its method is one; the result says how it ended. `StillWaiting` if an update call has
    no answer after `max_rounds`."""
    sender = _principal(call.sender)
    runtime = canister._runtime
    if version.methods.get(call.method) in ("query", "composite_query"):
        return runtime.query(canister.id, call.method, call.arg, sender)
    return runtime.update(canister.id, call.method, call.arg, sender, max_rounds=max_rounds)


def _principal(sender: Principal | str | None) -> Principal:
    return OWNER if sender is None else principal_of(sender)

"""One canister of a sandbox, by its id: a handle without state of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

from sandbox.api import typed
from sandbox.api.attempt import whole
from sandbox.api.changes import Changes
from sandbox.api.creation import SettingsValues, setting_values
from sandbox.api.explain import explain_upgrade
from sandbox.api.gate import exclusive
from sandbox.api.identity import Sender, sender_principal
from sandbox.api.records import CanisterStatus, RawState, Snapshot, raw_state
from sandbox.api.recovery import accept_damage, recover
from sandbox.api.resolver import SnapshotLike, resolve_snapshot
from sandbox.api.runtime import SubnetRuntime
from sandbox.api.snapshot_lifecycle import SnapshotLifecycle
from sandbox.canister.module import compile_module
from sandbox.errors import CallRejected, StateCorrupt
from sandbox.execution import CallResult, UntilStopped
from sandbox.limits import ROUNDS
from sandbox.management import code, lifecycle, settings
from sandbox.management.commands import command
from sandbox.management.snapshot_rules import open_calls
from sandbox.management.status import canister_status, check_logs_visible
from sandbox.principal import Principal
from sandbox.state import CanisterState, LogRecord, OpenCall, Status, WasmModule

_BY_MODULE = "by module"
"""As `wasm_memory_persistence` of an upgrade: the heap is kept if the present module's survives upgrades."""


class Canister:
    """A canister. Management methods act as its first controller unless `sender` says who; calls as anonymous.

    `did`: its interface as text or as a `.did` file, where the module does not carry one: for calls, and for the
    arguments of installations, upgrades and loads via hooks.
    Every method that the platform rejects raises `CallRejected`, and then nothing but logs has changed.
    """

    def __init__(self, runtime: SubnetRuntime, canister_id: Principal, did: str | Path | None = None) -> None:
        self._runtime = runtime
        self.id = canister_id
        self.did = did

    def __repr__(self) -> str:
        try:
            name = self.name
        except StateCorrupt:
            name = None
        return f"Canister({self.id})" if name is None else f"Canister({self.id}, name={name!r})"

    @property
    def name(self) -> str | None:
        """The name that it was given when it was created, here or on the command line."""
        return self._runtime.names.of(self.id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Canister):
            return NotImplemented
        return (self.id, self._runtime) == (other.id, other._runtime)

    def __hash__(self) -> int:
        return hash(self.id)

    # --- code

    @whole
    def install(
        self,
        wasm: bytes | str | Path,
        arg: Any = None,
        mode: str = "install",
        sender: Sender = None,
        *,
        skip_pre_upgrade: bool = False,
        wasm_memory_persistence: str | None = None,
    ) -> CallResult:
        """Install, reinstall or upgrade to `wasm` (bytes or a file, gzip allowed).

        `arg`: Candid bytes, or a value (a tuple: several) of the types that the interface declares; `CandidTypeError`
        says what is expected where there is none. The result carries the instructions of all hooks, and what compiling
        counted for.
        """
        if mode not in ("install", "reinstall", "upgrade"):
            raise ValueError(f"mode is install, reinstall or upgrade, not {mode!r}")
        if wasm_memory_persistence not in (None, "keep", "replace"):
            raise ValueError(f"wasm_memory_persistence is keep or replace, not {wasm_memory_persistence!r}")
        module = typed.module_bytes(wasm)
        request = code.InstallCode(
            canister_id=self.id,
            module=module,
            arg=typed.deployment_argument(arg, lambda: WasmModule.from_bytes(module), self.did, mode),
            mode=mode,
            skip_pre_upgrade=skip_pre_upgrade,
            persistence=wasm_memory_persistence,
        )
        before = self._state.code
        try:
            done = self._runtime.manage(command(code.install_code, self._manager(sender), request))
        except CallRejected as error:
            if mode == "upgrade" and before is not None:
                explain_upgrade(error, before, WasmModule.from_bytes(module))
            raise
        return CallResult(
            self.id,
            "",
            reply=b"",
            instructions=done.instructions,
            logs=done.logs,
            hooks=done.hooks,
            compilation=done.compilation,
            profile=done.profile,
        )

    @whole
    def upgrade(
        self,
        wasm: bytes | str | Path,
        arg: Any = None,
        sender: Sender = None,
        *,
        skip_pre_upgrade: bool = False,
        wasm_memory_persistence: str | None = _BY_MODULE,
    ) -> CallResult:
        """`install(mode="upgrade")`. Without `wasm_memory_persistence`, the heap is kept if the present module uses
        enhanced orthogonal persistence."""
        if wasm_memory_persistence == _BY_MODULE:
            wasm_memory_persistence = "keep" if self.keeps_heap else None
        return self.install(
            wasm,
            arg,
            "upgrade",
            sender,
            skip_pre_upgrade=skip_pre_upgrade,
            wasm_memory_persistence=wasm_memory_persistence,
        )

    @property
    def keeps_heap(self) -> bool:
        """Whether the present module uses enhanced orthogonal persistence (its heap survives upgrades)."""
        present = self._state.code
        return present is not None and compile_module(present).facts.uses_enhanced_persistence

    @whole
    def uninstall(self, sender: Sender = None) -> None:
        """Make the canister empty; its snapshots, settings and cycles stay."""
        self._runtime.manage(command(lifecycle.uninstall_code, self._manager(sender), self.id))

    # --- calls

    @whole
    def call(self, method: str, *values: Any, sender: Sender = None, max_rounds: int = ROUNDS) -> Any:
        """Call with Python values by the canister's interface; a query method is called as a query.

        Returns None, the value, or a tuple, as the method has no, one or several results. A value that does not fit is
        a `CandidTypeError` that names the field. `max_rounds`: as for `Sandbox.update`.
        """
        function = typed.interface_of(self._state.code, self.did).method(method)
        if typed.is_query(function):
            return typed.answer(function, values, lambda arg: self.query_raw(method, arg, sender))
        return typed.answer(function, values, lambda arg: self.update(method, arg, sender, max_rounds=max_rounds))

    @whole
    def query(self, method: str, *values: Any, sender: Sender = None) -> Any:
        """Query with Python values, as `call`; the platform rejects it if the method is an update method."""
        function = typed.interface_of(self._state.code, self.did).method(method)
        return typed.answer(function, values, lambda arg: self.query_raw(method, arg, sender))

    @whole
    def update(
        self, method: str, arg: bytes = typed.EMPTY_ARGUMENT, sender: Sender = None, *, max_rounds: int = ROUNDS
    ) -> CallResult:
        """An update call with raw bytes; `CallRejected` carries the result if it is rejected, `RequestTooLarge` is a
        message of more than 2 MiB, and `StillWaiting` says who waits for whom if there is no answer within `max_rounds`
        (`Sandbox.update`)."""
        return self._runtime.update(self.id, method, arg, sender, max_rounds=max_rounds).or_raise()

    @whole
    def query_raw(self, method: str, arg: bytes = typed.EMPTY_ARGUMENT, sender: Sender = None) -> CallResult:
        """A query call with raw bytes, at most 4 MiB; whatever it changes is forgotten."""
        return self._runtime.query(self.id, method, arg, sender).or_raise()

    # --- lifecycle

    @whole
    def start(self, sender: Sender = None) -> None:
        """Let the canister take calls (again): it runs afterwards, whether it was stopped, stopping or running."""
        self._runtime.manage(command(lifecycle.start_canister, self._manager(sender), self.id))

    @whole
    def stop(self, sender: Sender = None, *, max_rounds: int = ROUNDS) -> None:
        """Stop the canister; as `dfx canister stop`, wait until its open calls have ended.

        Messages are executed for at most `max_rounds`. If calls are open then, or nothing is left that could end them,
        `StillWaiting` says who waits for whom. The canister is stopping: it takes no calls, and will be stopped when
        its last call ends, or run again after `start()`.
        """
        self._runtime.manage(command(lifecycle.stop_canister, self._manager(sender), self.id))
        if self._state.status is Status.STOPPING:
            self._runtime.perform(UntilStopped(self.id, max_rounds))

    @whole
    def delete(self, sender: Sender = None) -> None:
        """Remove a stopped canister and its snapshots for good."""
        self._runtime.manage(command(lifecycle.delete_canister, self._manager(sender), self.id))

    @whole
    def update_settings(self, sender: Sender = None, **values: Unpack[SettingsValues]) -> None:
        """Change the settings named; those not named stay. `controllers`: principals or names of users;
        `compute_allocation`: percent; `memory_allocation`, `wasm_memory_limit`, `wasm_memory_threshold`,
        `log_memory_limit`: bytes; `freezing_threshold`: seconds; `reserved_cycles_limit`,
        `minimum_incoming_canister_call_cycles`: cycles; `log_visibility`, `snapshot_visibility`, `status_visibility`:
        `controllers`, `public`, or the users that may see it too; `environment_variables`: texts by name."""
        self._runtime.manage(command(settings.update_settings, self._manager(sender), self.id, setting_values(values)))

    def status(self, sender: Sender = None) -> CanisterStatus:
        """The `canister_status` of the canister. `sender` must be allowed to see it (a controller, or whom
        `status_visibility` admits); without, it is shown as to a controller."""
        state = self._state
        context = self._runtime.management_context(self.id if sender is None else sender_principal(sender))
        record = canister_status(context, self.id).reply
        assert isinstance(record, dict)
        metrics = record["memory_metrics"]
        return CanisterStatus(
            canister_id=state.id,
            status=next(iter(record["status"])),
            version=record["version"],
            module_hash=record["module_hash"],
            settings=state.settings,
            heap_size=metrics["wasm_memory_size"],
            stable_size=metrics["stable_memory_size"],
            snapshots_size=metrics["snapshots_size"],
            cycles=record["cycles"],
            memory_size=record["memory_size"],
        )

    def logs(self, sender: Sender = None) -> tuple[LogRecord, ...]:
        """The canister's log, oldest first: at most 4 KiB of what it printed, and its traps. `sender` must be allowed
        to see it (a controller, or whom `log_visibility` admits)."""
        state = self._state
        if sender is not None:
            check_logs_visible(state, sender_principal(sender))
        return state.logs

    @property
    def open_calls(self) -> tuple[OpenCall, ...]:
        """Calls that it has not finished: what is loaded now gets the answers that they wait for."""
        return open_calls(self._runtime.management_context(self.id).subnet, self.id)

    def metadata(self, name: str) -> bytes | None:
        """A metadata section of the module, such as `candid:service`; None if there is none."""
        present = self._state.code
        return typed.metadata(present, name) if present is not None else None

    # --- snapshots

    @whole
    def take_snapshot(self, label: str | None = None, sender: Sender = None, *, via_hooks: bool = False) -> Snapshot:
        """Keep the present state; copies nothing. By default it replaces the canister's earlier snapshot.

        With `via_hooks`, what `canister_pre_upgrade` makes of it: see `SnapshotManager.take`.
        """
        return SnapshotLifecycle(self._runtime).take(self.id, label, self._manager(sender), via_hooks=via_hooks)

    @whole
    def load_snapshot(
        self,
        snapshot_id: SnapshotLike,
        sender: Sender = None,
        *,
        via_hooks: bool = False,
        wasm: bytes | str | Path | None = None,
        arg: Any = None,
        skip_pre_upgrade: bool = False,
        did: str | Path | None = None,
    ) -> CallResult:
        """Bring back module, globals, heap, stable memory and certified data.

        With `via_hooks`, an upgrade from the snapshot's stable memory, and only then `wasm`, `arg`, `did` (by default
        this canister's) and `skip_pre_upgrade`: see `SnapshotManager.load`.
        """
        return SnapshotLifecycle(self._runtime).load(
            snapshot_id,
            self.id,
            self._manager(sender),
            via_hooks=via_hooks,
            wasm=wasm,
            arg=arg,
            skip_pre_upgrade=skip_pre_upgrade,
            did=self.did if did is None and via_hooks else did,
        )

    def list_snapshots(self, sender: Sender = None) -> list[Snapshot]:
        """Return the canister's snapshots, oldest first. `sender` must be allowed to see them (a controller, or a
        principal that `snapshot_visibility` admits)."""
        return SnapshotLifecycle(self._runtime).list(self.id, sender=self._manager(sender))

    @whole
    def delete_snapshot(self, snapshot_id: SnapshotLike, sender: Sender = None) -> None:
        """Delete a snapshot for good; the canister itself stays as it is. Disk space is given back by
        `Sandbox.snapshots.prune` after the next save."""
        raw = resolve_snapshot(self._runtime, snapshot_id, self.id)
        SnapshotLifecycle(self._runtime).delete(raw, sender=self._manager(sender))

    # --- damage

    @property
    def damage(self) -> str | None:
        """Why the canister cannot run: its memory on disk is not what was saved; None if nothing is known of that."""
        return self._state.damage

    def recover(self, snapshot_id: SnapshotLike | None = None, sender: Sender = None) -> Snapshot:
        """Bring a damaged canister back from a snapshot, by default the newest that is intact; returns which.

        Every page of its memories is read first: `StateError` if it is not damaged, `StateCorrupt` if no snapshot is
        intact. What it did after the snapshot is lost.
        """
        return recover(self._runtime, self.id, snapshot_id, self._manager(sender))

    def accept_damage(self) -> tuple[str, ...]:
        """Go on with what is left of the memories of a damaged canister, zeros where nothing is; returns what was
        damaged, nothing if every page is what it was at the last save."""
        return accept_damage(self._runtime, self.id)

    def changes(self) -> Changes:
        """What is done within a `with` changes: `with canister.changes() as changes: canister.call(...)`, then
        `changes.diff`."""
        return Changes(self._runtime, self.id)

    @exclusive
    def raw_state(self) -> RawState:
        """The exact bytes of everything; as `Sandbox.raw_state`."""
        return raw_state(self._state)

    @property
    def _state(self) -> CanisterState:
        return self._runtime.state_of(self.id)

    def _manager(self, sender: Sender) -> Principal:
        return self._runtime.manager(self.id, sender)

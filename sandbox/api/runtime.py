"""`SubnetRuntime`: one subnet that runs, below the public face. `Sandbox`, `Canister` and the others delegate to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from sandbox.api.attempt import Attempts, whole
from sandbox.api.creation import canister_index
from sandbox.api.gate import Gate, exclusive
from sandbox.api.identity import Sender, identity, sender_principal
from sandbox.api.names import Names, problem_with
from sandbox.api.turn import Turn
from sandbox.canister.instances import InstanceCache
from sandbox.canister.profiling import Profiler
from sandbox.errors import CallRejected, StateError
from sandbox.execution import (
    CallResult,
    ExecutionEnvironment,
    Input,
    Managed,
    Query,
    Update,
    management,
    perform,
    query_snapshot,
)
from sandbox.execution.apply import check_rehearsal
from sandbox.execution.fees import FEE_SCHEDULES
from sandbox.ic0.weights import check_rules
from sandbox.limits import ROUNDS
from sandbox.management import hook_path, lifecycle
from sandbox.management.commands import Command, command
from sandbox.management.rejects import canister_not_found
from sandbox.management.transition import Hooks, Http, ManagementContext
from sandbox.management.upload_whole import NewCanister
from sandbox.memory import Memory, Pool
from sandbox.principal import Principal
from sandbox.profile import Profile
from sandbox.record import Watcher, watched
from sandbox.record.state_hash import StateHash
from sandbox.state import CanisterState, InstructionLimits, SnapshotState, Subnet, evolve
from sandbox.store import StateDirectory

GENESIS = 1_620_328_630_000_000_000
"""Time at which a new sandbox begins: 6 May 2021, 19:17:10 UTC, as in the platform's own test environments."""

_NO_HOOKS = Hooks()

OnLog = Callable[[Principal, str], None]
OnStep = Callable[[Input, ExecutionEnvironment], None]


class SubnetRuntime:
    """A subnet with everything that running it takes: instances of modules, state directory, record, gate.

    `directory`: where the subnet is kept; None if it is only in memory. `on_log`, `http`: as for `Sandbox`.
    Methods are as whole and as exclusive as those of the public interface (`attempt.whole`, `gate.exclusive`).
    """

    def __init__(
        self,
        pool: Pool,
        *,
        on_log: OnLog | None = None,
        http: Http | None = None,
        directory: StateDirectory | None = None,
    ) -> None:
        self.gate = Gate()
        self.on_log = on_log
        self.http = http
        self.on_step: OnStep | None = None
        """Called after every input, also one that failed, with the environment that carried it out."""
        self.instances = InstanceCache()
        self.turn: Turn | None = None
        """Shared with a thread that queries beside the one that is inside the gate; None if there is none."""
        self._beside = InstanceCache()
        self._deleted: frozenset[Principal] = frozenset()
        self.directory = directory
        self._state = Subnet(pool=pool, time=GENESIS)
        self._hash = StateHash()
        self.names = Names(None if directory is None else directory.path)
        self.attempts = Attempts(self._state, self.instances, self.names)
        self.attempts.directory = directory

    @property
    def _runtime(self) -> SubnetRuntime:
        return self

    @property
    def subnet(self) -> Subnet:
        """The subnet, after interrupted changes have been taken back. Beside a thread that is inside the gate, it may
        only be read, and for more than one field with the `turn`."""
        if not self.gate.used_elsewhere:
            self.attempts.settle()
        return self._state

    @property
    def pool(self) -> Pool:
        """The pool that holds all memories of the subnet."""
        return self.subnet.pool

    def configure(
        self,
        *,
        max_snapshots: int | None = None,
        instruction_limits: InstructionLimits | None = None,
        costs: str | None = None,
        metering: str | None = None,
        backtraces: bool | None = None,
        first_canister: Principal | str | None = None,
    ) -> None:
        """Set the rules of the subnet, as for `Sandbox`; None leaves a rule as it is, except that the instruction
        limits become the platform's: they are not kept with the state. `ValueError` for an impossible value."""
        subnet = self.subnet
        if max_snapshots is not None:
            if max_snapshots < 1:
                raise ValueError(f"max_snapshots is at least 1, not {max_snapshots}")
            subnet.max_snapshots = max_snapshots
        subnet.instruction_limits = instruction_limits or InstructionLimits()
        if costs is not None:
            if costs not in FEE_SCHEDULES:
                raise ValueError(f"costs is one of {', '.join(FEE_SCHEDULES)}, not {costs!r}")
            subnet.costs = costs
        if metering is not None:
            check_rules(metering)
            subnet.metering = metering
        if backtraces is not None:
            subnet.backtraces = backtraces
        if first_canister is not None and not (subnet.next_canister or subnet.canisters):
            subnet.next_canister = canister_index(first_canister)

    @property
    def read_only(self) -> bool:
        """Whether the state directory was opened read-only."""
        return self.directory is not None and self.directory.read_only

    def check_writable(self) -> None:
        """`StateError` if the state directory was opened read-only."""
        if self.directory is not None and self.directory.read_only:
            raise StateError(f"{self.directory.path} was opened read-only: nothing in it can be changed")

    @whole
    def save(self) -> None:
        """Make everything done so far permanent, all or nothing; nothing to do in memory."""
        if self.directory is not None:
            self.directory.save(self.subnet)
            if self.names.mark():
                self.names.prune(self.subnet.canisters)
            self.names.save()

    def close(self) -> None:
        """Free everything, without saving, and end the record. Does nothing in a forked child."""
        if self.gate.foreign or self.gate.is_shut:
            return
        with self.gate:
            if self.attempts.watcher is not None:
                self.attempts.watcher.close()
            self.instances.clear()
            self._beside.clear()
            self._state.canisters.clear()
            if self.directory is not None:
                self.directory.close()
        self.gate.shut()

    # --- inputs

    @whole
    def perform(self, step: Input) -> Any:
        """Carry out an input. Everything that changes the subnet comes through here, except the end of an anchor."""
        if not isinstance(step, Query):
            self.check_writable()
        env, watcher = self.environment(), self.attempts.watcher
        try:
            return self._profiled(lambda: perform(env, step) if watcher is None else watched(watcher, env, step))
        except Exception:
            self.attempts.passed_on = env.passed_on
            raise
        finally:
            if self.on_step is not None:
                self.on_step(step, env)

    @whole
    def manage(self, step: Command) -> Managed:
        """Carry out the decision of a management handler; a reject is raised."""
        managed: Managed = self.perform(step)
        return managed

    @exclusive
    def rehearse_via_hooks(self, source: SnapshotState | CanisterState, sender: Sender = None) -> SnapshotState:
        """What a canister, or a plain snapshot of one, is when taken via hooks; nothing changes. A trap is raised."""
        snapshot_id = source.id if isinstance(source, SnapshotState) else None
        target = source.canister_id if isinstance(source, SnapshotState) else source.id
        context = self.management_context(self.manager(target, sender))
        taken = hook_path.rehearse_via_hooks(context, target, snapshot_id)
        check_rehearsal(self.environment(), taken)
        assert isinstance(taken.reply, SnapshotState)
        return taken.reply

    @whole
    def create_canister(self, new: NewCanister, name: str | None = None) -> Principal:
        """Create an empty canister and return its id."""
        self.check_name(name)
        values = new.settings, new.specified_id, new.cycles
        created = self.manage(command(lifecycle.create_canister, identity("default"), *values))
        assert isinstance(created.reply, Principal)
        self.name_canister(created.reply, name)
        return created.reply

    def check_name(self, name: str | None) -> None:
        """`ValueError` if a new canister cannot have this name."""
        problem = None if name is None else problem_with(name)
        if problem is not None:
            raise ValueError(problem)
        owner = None if name is None else self.names.get(name)
        if owner in self.subnet.canisters:
            raise ValueError(f"there is a canister named {name!r} already: {owner}")

    def name_canister(self, canister_id: Principal, name: str | None) -> None:
        """Name a new canister; without a name, also one that an earlier canister with this id had is forgotten."""
        self.names.forget(canister_id)
        if name is not None:
            self.names.add(name, canister_id)

    def update(
        self, canister_id: Principal, method: str, arg: bytes, sender: Sender = None, *, max_rounds: int = ROUNDS
    ) -> CallResult:
        """Execute an update call to its answer: `Sandbox.update`. Calls nothing after `perform`: an exception that came
        there would find the call done."""
        result: CallResult = self.perform(Update(canister_id, method, arg, sender_principal(sender), max_rounds))
        return result

    def query(self, canister_id: Principal, method: str, arg: bytes, sender: Sender = None) -> CallResult:
        """Execute a query call: `Sandbox.query`; as `update`."""
        result: CallResult = self.perform(Query(canister_id, method, arg, sender_principal(sender)))
        return result

    def query_beside(self, call: Query) -> CallResult:
        """Execute a query call in a thread that holds the `turn`, while another one is inside the gate and executes a
        message. The query sees what was committed last, at the time of that, with instances of its own."""
        subnet = self._state
        if subnet.deleted is not self._deleted:
            self._beside.clear()
            self._deleted = subnet.deleted
        result: CallResult = perform(ExecutionEnvironment(subnet, self._beside, self.on_log), call)
        return result

    @whole
    def query_snapshot(self, snapshot: SnapshotState, method: str, arg: bytes, sender: Sender = None) -> CallResult:
        """Execute a query call on the state that a snapshot holds; nothing changes."""
        call = Query(snapshot.canister_id, method, arg, sender_principal(sender))
        result: CallResult = self._profiled(lambda: query_snapshot(self.environment(), snapshot, call))
        return result

    def _profiled(self, run: Callable[[], Any]) -> Any:
        """Return what `run` returns; if the sandbox is profiled, a result gets the profile of what was executed."""
        profiler = self.instances.profiler
        if profiler is None:
            return run()
        with profiler.collecting() as profile:
            try:
                result = run()
            except CallRejected as error:
                if error.result is not None:
                    error.result = replace(error.result, profile=profile)
                raise
        return replace(result, profile=profile) if isinstance(result, CallResult | Managed) else result

    @contextmanager
    def profile(self) -> Iterator[Profile]:
        """Profile everything executed within: `Sandbox.profile`."""
        instances = self.instances
        with self.gate:
            profiler = instances.profiler = instances.profiler or Profiler(self.names.of)
        try:
            with profiler.collecting() as profile:
                yield profile
        finally:
            if not profiler.profiles:
                instances.profiler = None

    def environment(self) -> ExecutionEnvironment:
        """The environment in which the subnet executes messages."""
        hooks = _NO_HOOKS if self.http is None else Hooks(http=self.http)
        given = None if self.turn is None else self.turn.given
        return ExecutionEnvironment(self.subnet, self.instances, self.on_log, hooks, given=given)

    @exclusive
    def management_context(self, caller: Principal) -> ManagementContext:
        """The subnet as a management handler sees it when `caller` calls."""
        state = self.subnet.canisters.get(caller)
        return management.management_context(
            self.environment(), caller, caller_version=None if state is None else state.version
        )

    # --- state

    @exclusive
    def state_of(self, canister_id: Principal) -> CanisterState:
        """The canister's present value; a reject if there is no such canister."""
        state = self.subnet.canisters.get(canister_id)
        if state is None:
            raise canister_not_found(canister_id)
        return state

    @exclusive
    def canister_ids(self) -> list[Principal]:
        """The ids of all canisters, sorted."""
        return sorted(self.subnet.canisters)

    def manager(self, canister_id: Principal, sender: Sender) -> Principal:
        """The principal that acts on a canister: `sender`, else its first controller, else the anonymous one."""
        if sender is not None:
            return sender_principal(sender)
        controllers = self.state_of(canister_id).settings.controllers
        return controllers[0] if controllers else Principal.anonymous()

    def drop_instance(self, canister_id: Principal) -> None:
        """Free the canister's instance; the next call makes a new one."""
        self.instances.drop(canister_id)

    def replace_memories(self, state: CanisterState, memories: Mapping[str, Memory]) -> None:
        """Give a canister other memories, by `heap` and `stable`."""
        self.subnet.canisters[state.id] = evolve(state, **memories)

    @exclusive
    def state_hash(self) -> str:
        """64 hexadecimal digits that cover the whole subnet: `Sandbox.state_hash`."""
        return self._hash.whole(self.subnet).hex()

    @contextmanager
    def anchor(self) -> Iterator[None]:
        """Undo at the end everything done within: `Sandbox.anchor`."""
        with self.gate:
            self.attempts.settle()
            anchor = self.attempts.begin_anchor()
        try:
            yield
        finally:
            self.attempts.ending = anchor  # no call: however this is interrupted, the anchor ends before anything else
            with self.gate:
                self.attempts.settle()

    # --- records

    def watch(self, watcher: Watcher) -> None:
        """Let `watcher` see every step from now on, until it is closed."""
        self.attempts.watcher = watcher
        watcher.on_close = self._unwatch

    def _unwatch(self) -> None:
        self.attempts.watcher = None


class OnRuntime(Protocol):
    """Anything that stands on a runtime: `Sandbox`, `Canister`, `SnapshotManager`, ..."""

    @property
    def _runtime(self) -> SubnetRuntime: ...


def runtime_of(face: OnRuntime) -> SubnetRuntime:
    """Return the runtime below an object of the public interface. For the command line, replays and tests; it is not
    part of the public interface, and may change in any version."""
    return face._runtime

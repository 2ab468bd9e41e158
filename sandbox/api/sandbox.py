"""`Sandbox`: one subnet, in memory or in a directory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.api.attempt import Attempts, whole
from sandbox.api.canister import Canister
from sandbox.api.creation import canister_index, new_canister
from sandbox.api.gate import Gate, exclusive
from sandbox.api.identity import identity
from sandbox.api.management import Management
from sandbox.api.records import RawState, raw_state
from sandbox.api.recovery import StateCheck
from sandbox.api.snapshots import SnapshotManager
from sandbox.api.typed import EMPTY_ARGUMENT
from sandbox.canister.instances import InstanceCache
from sandbox.engine import counting
from sandbox.errors import CallRejected, RecordError, StateError, StateWarning
from sandbox.execution import (
    Advance,
    CallResult,
    ExecutionEnvironment,
    Input,
    Managed,
    Query,
    Round,
    Submit,
    UntilIdle,
    Update,
    certificate,
    management,
    query_snapshot,
)
from sandbox.execution import perform as _perform
from sandbox.execution.fees import FEE_SCHEDULES
from sandbox.execution.ingress import NONCE, result_of
from sandbox.limits import ROUNDS
from sandbox.management import lifecycle
from sandbox.management.commands import Command, command
from sandbox.management.rejects import canister_not_found
from sandbox.management.transition import Hooks, Http, ManagementContext
from sandbox.memory import Memory, Pool
from sandbox.principal import Principal
from sandbox.record import Header, Recording, Watcher, watched
from sandbox.record.state_hash import StateHash, hashing
from sandbox.state import CanisterState, InstructionLimits, Policy, SnapshotState, Subnet, evolve
from sandbox.store import StateDirectory
from sandbox.store.audit import problems

GENESIS = 1_620_328_630_000_000_000
"""When a new sandbox begins: 6 May 2021, 19:17:10 UTC, as in the platform's own test environments."""

_RULES = ("time", "seed", "costs", "max_snapshots", "backtraces", "next_canister")
"""What a sandbox in which nothing was done can have other than every other: a record begins with it."""

Label = Principal | str | bytes
"""One step of a path in the state tree; text stands for its UTF-8."""

OnLog = Callable[[Principal, str], None]


class Sandbox:
    """A subnet of canisters in this process.

    `seed`: everything random derives from it. `on_log`: called with each text that a canister prints, as it happens.
    `max_snapshots`: per canister; with 1 a new one replaces the old. `instruction_limits`: what a message may
    execute. `costs`: `free`, or `mainnet` for the fees of a 13-node subnet. `strategy`: how written pages are found
    (`scan`, `pagemap`, `compare`; None: the best one here). `http`: answers the HTTP outcalls of canisters, a function
    from the request (`url`, `method`, `headers`, `body`, `max_response_bytes`) to `status`, `headers` and `body`;
    without it they are refused. `backtraces`: whether errors carry the Wasm backtrace to those who may read the
    canister's log; the log has it anyway. `first_canister`: the id of the first canister that is created without one of
    its own; those after it have the next ids.
    One thread at a time may use a sandbox, another one is refused (`SandboxError`); sandboxes are independent of each
    other. A sandbox belongs to the process that made it: a forked child makes or opens its own.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        on_log: OnLog | None = None,
        max_snapshots: int = 1,
        instruction_limits: InstructionLimits | None = None,
        costs: str = "free",
        strategy: str | None = None,
        http: Http | None = None,
        backtraces: bool = True,
        first_canister: Principal | str | None = None,
    ) -> None:
        self._set_up(Pool(strategy=strategy), on_log, http)
        self._subnet.seed = seed
        self._configure(max_snapshots, instruction_limits, costs, backtraces, first_canister)

    def _set_up(self, pool: Pool, on_log: OnLog | None, http: Http | None) -> None:
        self.gate = Gate()
        self.on_log = on_log
        self.http = http
        self._state = Subnet(pool=pool, time=GENESIS)
        self._machines = InstanceCache()
        self.attempts = Attempts(self._state, self._machines)
        self._directory: StateDirectory | None = None
        self._read_only = False
        self._hash = StateHash()
        self.snapshots = SnapshotManager(self)

    def _configure(
        self,
        max_snapshots: int | None,
        instruction_limits: InstructionLimits | None,
        costs: str | None,
        backtraces: bool | None,
        first_canister: Principal | str | None,
    ) -> None:
        if max_snapshots is not None:
            if max_snapshots < 1:
                raise ValueError(f"max_snapshots is at least 1, not {max_snapshots}")
            self._subnet.max_snapshots = max_snapshots
        self._subnet.instruction_limits = instruction_limits or InstructionLimits()
        if costs is not None:
            if costs not in FEE_SCHEDULES:
                raise ValueError(f"costs is one of {', '.join(FEE_SCHEDULES)}, not {costs!r}")
            self._subnet.costs = costs
        if backtraces is not None:
            self._subnet.backtraces = backtraces
        if first_canister is not None and not (self._subnet.next_canister or self._subnet.canisters):
            self._subnet.next_canister = canister_index(first_canister)

    @property
    def _sandbox(self) -> Sandbox:
        return self

    @property
    def _subnet(self) -> Subnet:
        """The subnet, after what was interrupted has been taken back."""
        self.attempts.settle()
        return self._state

    # --- on disk

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        on_log: OnLog | None = None,
        max_snapshots: int | None = None,
        instruction_limits: InstructionLimits | None = None,
        costs: str | None = None,
        strategy: str | None = None,
        lock_timeout: float = 10.0,
        http: Http | None = None,
        backtraces: bool | None = None,
        first_canister: Principal | str | None = None,
        read_only: bool = False,
    ) -> Sandbox:
        """The sandbox kept in directory `path`, made if absent; use it in a `with`.

        `save()` and the end of the `with` make what was done permanent; if the process dies before, or an exception
        leaves the `with`, the directory is what it was at the last save. Another process that opens it meanwhile waits
        `lock_timeout` seconds, then gets `StateLocked`. Time, seed, `max_snapshots`, `costs` and `backtraces` are kept
        with the state; `first_canister` counts while there are no canisters.

        With `read_only` nothing is written there, so a full disk, or one that may only be read, will do, and others may
        open it so at the same time. Queries work, and all that reads snapshots; what would change the sandbox, and
        `save`, are a `StateError`. `StateWarning` says so where a damaged file has been replaced by its copy.
        """
        directory = StateDirectory(Path(path), lock_timeout, strategy, read_only=read_only)
        self = cls.__new__(cls)
        try:
            if directory.warning is not None:
                warnings.warn(directory.warning, StateWarning, stacklevel=2)
            self._set_up(directory.pool, on_log, http)
            directory.load(self._subnet)
            self._configure(max_snapshots, instruction_limits, costs, backtraces, first_canister)
        except BaseException:
            directory.close()
            raise
        self._directory = self.attempts.directory = directory
        self._read_only = read_only
        return self

    @whole
    def save(self) -> None:
        """Make everything done so far permanent, all or nothing; a sandbox in memory has nothing to do."""
        if self._directory is not None:
            self._directory.save(self._subnet)

    def check(self, *, deep: bool = False) -> StateCheck:
        """What is damaged in the state directory, as it was saved last: see `sandbox.store.audit.problems`. `deep`
        reads every byte."""
        directory = self._directory
        if directory is None:
            return StateCheck(deep, (), 0)
        live = [memory for state in self._subnet.canisters.values() for memory in (state.heap, state.stable)]
        unchecked = sum(not (memory.closed or directory.checks.has(memory)) for memory in live)
        return StateCheck(deep, tuple(problems(directory, self._subnet, deep=deep)), unchecked)

    def close(self) -> None:
        """Free everything, without saving; a record of the sandbox ends. Does nothing in a forked child."""
        if self.gate.foreign:
            return
        with self.gate:
            if self.attempts.watcher is not None:
                self.attempts.watcher.close()
            self._machines.clear()
            self._state.canisters.clear()
            if self._directory is not None:
                self._directory.close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and not self._read_only:
                self.save()
        finally:
            self.close()

    # --- who and what

    def identity(self, name: str) -> Principal:
        """The principal of user `name`: always the same."""
        return identity(name)

    def who(self, value: Principal | str | None) -> Principal:
        """A principal from a principal or its text; None is anonymous."""
        return Principal.anonymous() if value is None else Principal.of(value)

    @property
    def time(self) -> int:
        """Nanoseconds since 1970; moves only when told to."""
        return self._subnet.time

    @property
    def root_key(self) -> bytes:
        """The public key (DER, 133 bytes) that proves this sandbox's certificates; follows from the seed."""
        return self._subnet.key.public_key

    @property
    def subnet_id(self) -> Principal:
        """The id of the only subnet; follows from the root key."""
        return self._subnet.key.subnet_id

    @exclusive
    def certificate(self, paths: Iterable[Sequence[Label]]) -> bytes:
        """A certificate (CBOR) of paths of the state tree, such as `("canister", id, "module_hash")`, and of `/time`.

        A path to a subtree reveals all of it, one to nothing proves that there is nothing. There is
        `/canister/<id>/` with `module_hash`, `controllers`, `certified_data`, `metadata/<name>` and more, `/subnet` and
        `/canister_ranges`, and `/request_status/<request id>/` with `status` and the answer for what was submitted.
        Nothing is refused here: `certified_data` and private metadata are not for every client to read.
        """
        return certificate(self._subnet, [[_label(label) for label in path] for path in paths])

    @whole
    def create_canister(
        self,
        controllers: Iterable[Principal | str] | None = None,
        canister_id: Principal | str | None = None,
        cycles: int | None = None,
        settings: dict[str, Any] | None = None,
    ) -> Canister:
        """A new empty canister; controlled by user `default` unless `controllers` are given."""
        how = new_canister(controllers, canister_id, cycles, settings)
        values = how.settings, how.specified_id, how.cycles
        created = self.manage(command(lifecycle.create_canister, identity("default"), *values))
        assert isinstance(created.reply, Principal)
        return Canister(self, created.reply)

    def canister(self, canister_id: Principal | str, did: str | Path | None = None) -> Canister:
        """The canister with this id; a reject if there is none."""
        principal = Principal.of(canister_id)
        self.state_of(principal)
        return Canister(self, principal, did)

    @exclusive
    def canisters(self) -> list[Canister]:
        """All canisters, by id."""
        return [Canister(self, canister_id) for canister_id in sorted(self._subnet.canisters)]

    @property
    def management(self) -> Management:
        """The management canister `aaaaa-aa`, by its Candid methods."""
        return Management(self)

    # --- calls

    @whole
    def update(
        self,
        canister_id: Principal,
        method: str,
        arg: bytes,
        sender: Principal | str | None = None,
        *,
        max_rounds: int = ROUNDS,
    ) -> CallResult:
        """An update call; the result says how it ended. `RequestTooLarge` if the message has more than 2 MiB.

        `StillWaiting` if it has no answer within `max_rounds` or nothing is left that could answer it. What was done
        stays, and the call goes on with the next rounds (`tick`) as if it had been submitted, under the error's
        `request_id`.
        """
        result: CallResult = self.perform(Update(canister_id, method, arg, self.who(sender), max_rounds))
        return result

    @whole
    def query(
        self, canister_id: Principal, method: str, arg: bytes, sender: Principal | str | None = None
    ) -> CallResult:
        """A query call; the result says how it ended. `RequestTooLarge` if the message has more than 4 MiB."""
        result: CallResult = self.perform(Query(canister_id, method, arg, self.who(sender)))
        return result

    @whole
    def query_snapshot(
        self, snapshot: SnapshotState, method: str, arg: bytes, sender: Principal | str | None = None
    ) -> CallResult:
        """A query call of what a canister was; the result says how it ended."""
        return query_snapshot(self._kernel(), snapshot, Query(snapshot.canister_id, method, arg, self.who(sender)))

    @whole
    def submit(
        self,
        canister: Canister | Principal | str,
        method: str,
        arg: bytes = EMPTY_ARGUMENT,
        sender: Principal | str | None = None,
        *,
        nonce: bytes | None = None,
        ingress_expiry: int | None = None,
    ) -> bytes:
        """Let a user's update call in without executing it; its request id, for `ingress_status` and certificates.

        The same content, `nonce` (at most 32 bytes) and `ingress_expiry` (nanoseconds since 1970) included, is the same
        call, and is not executed again. It must begin before it expires, and is refused (`RequestExpired`) if that is
        not within the next five minutes. Without `ingress_expiry` it never expires, and without both it is a call of
        its own. Its status is forgotten five minutes after its answer.
        """
        if nonce is not None and len(nonce) > NONCE:
            raise ValueError(f"a nonce has at most {NONCE} bytes, not {len(nonce)}")
        if ingress_expiry is not None and not 0 < ingress_expiry < 1 << 64:
            raise ValueError(f"an expiry is a time of 64 bits, not {ingress_expiry}")
        given = Submit(_id(canister), method, arg, self.who(sender), nonce, ingress_expiry)
        return self._subnet.submissions.ids[self.perform(given)]

    @exclusive
    def ingress_status(self, request_id: bytes) -> CallResult | CallRejected | None:
        """The answer to a submitted call, None while there is none or when it is forgotten."""
        result = result_of(self._subnet, request_id)
        if result is None or result.reject is None:
            return result
        return CallRejected(result.reject, result)

    @whole
    def advance_time(self, seconds: float = 0, nanoseconds: int = 0) -> None:
        """Let time pass. Nothing runs by itself: `tick()` runs what is due then."""
        self.perform(Advance(round(seconds * 1_000_000_000) + nanoseconds))

    @whole
    def set_time(self, nanoseconds: int) -> None:
        """Let time pass until `nanoseconds` since 1970."""
        self.advance_time(nanoseconds=nanoseconds - self._subnet.time)

    @whole
    def tick(self, rounds: int = 1) -> None:
        """Rounds: due timers and heartbeats, then messages."""
        for _ in range(rounds):
            self.perform(Round())

    @whole
    def run_until_idle(self, max_rounds: int = ROUNDS) -> int:
        """Rounds until no message and no due timer is left; how many it took. `StillWaiting`, which says who waits for
        whom, if `max_rounds` are not enough; what was done stays."""
        rounds: int = self.perform(UntilIdle(max_rounds))
        return rounds

    @property
    def directory(self) -> StateDirectory | None:
        """Where the sandbox is kept; None if it is only in memory."""
        return self._directory

    @property
    def policies(self) -> Mapping[Principal, Policy]:
        """By which rules snapshots are taken, by canister; those of the management canister hold for all others."""
        return self._subnet.policies

    @property
    def pool(self) -> Pool:
        """Where all memories of this sandbox are."""
        return self._subnet.pool

    @exclusive
    def world(self, caller: Principal) -> ManagementContext:
        """The subnet as a management handler sees it."""
        state = self._subnet.canisters.get(caller)
        return management.world(self._kernel(), caller, caller_version=None if state is None else state.version)

    @whole
    def manage(self, command: Command) -> Managed:
        """Carry out what a management handler decides; a reject is raised."""
        managed: Managed = self.perform(command)
        return managed

    @whole
    def perform(self, given: Input) -> Any:
        """Carry out an input. Everything that changes the subnet comes through here, but the end of an anchor."""
        if self._read_only and not isinstance(given, Query):
            self.check_writable()
        env, watcher = self._kernel(), self.attempts.watcher
        try:
            return _perform(env, given) if watcher is None else watched(watcher, env, given)
        except Exception:
            self.attempts.passed_on = env.passed_on
            raise

    def check_writable(self) -> None:
        """`StateError` if the sandbox was opened read-only."""
        if self._directory is not None and self._directory.read_only:
            raise StateError(f"{self._directory.path} was opened read-only: nothing in it can be changed")

    def _kernel(self) -> ExecutionEnvironment:
        return ExecutionEnvironment(self._subnet, self._machines, self.on_log, Hooks(http=self.http))

    # --- state

    @exclusive
    def state_of(self, canister_id: Principal) -> CanisterState:
        """The canister's present value; a reject if there is no such canister."""
        state = self._subnet.canisters.get(canister_id)
        if state is None:
            raise canister_not_found(canister_id)
        return state

    def drop_instance(self, canister_id: Principal) -> None:
        """Free what runs the canister; the next call makes it anew."""
        self._machines.drop(canister_id)

    def replace_memories(self, state: CanisterState, memories: Mapping[str, Memory]) -> None:
        """Let a canister live in other memories, by `heap` and `stable`."""
        self._subnet.canisters[state.id] = evolve(state, **memories)

    def first_controller(self, canister_id: Principal) -> Principal:
        """The canister's first controller, or anonymous."""
        controllers = self.state_of(canister_id).settings.controllers
        return controllers[0] if controllers else Principal.anonymous()

    @exclusive
    def raw_state(self, canister: Canister | Principal | str) -> RawState:
        """The exact bytes of everything that a canister is made of; `StateError` if a memory has more than 4 GiB, zeros
        that were never written included: that is for `snapshots.diff` and `snapshots.download`."""
        return raw_state(self.state_of(_id(canister)))

    @contextmanager
    def anchor(self) -> Iterator[None]:
        """Everything done within is undone at the end; costs what was changed. Anchors nest."""
        with self.gate:
            self.attempts.settle()
            anchor = self.attempts.begin_anchor()
        try:
            yield
        finally:
            self.attempts.ending = anchor  # no call: however this is interrupted, the anchor ends before anything else
            with self.gate:
                self.attempts.settle()

    @exclusive
    def state_hash(self) -> str:
        """64 hexadecimal digits that cover everything a canister could observe, now or later: all canisters with every
        byte and their snapshots, open calls, messages, time, seed, rules. Costs what changed since the last time."""
        return self._hash.whole(self._subnet).hex()

    # --- records

    @exclusive
    def record(self, path: str | Path) -> Recording:
        """Write every input from now on, and what comes of it, to the new file `path`, until the recording is closed.

        `canister-sandbox replay` has the same again. Only a sandbox in which nothing was done yet (but that time may
        have passed) can be recorded: a record begins from nothing. `RecordError` otherwise, or if the file exists.
        """
        subnet = self._subnet
        if self.attempts.watcher is not None:
            raise RecordError("the sandbox is being recorded already")
        rules = {name: getattr(subnet, name) for name in _RULES}
        kept = {name: getattr(subnet, name) for name in ("pool", "instruction_limits", "certified")}
        if subnet != Subnet(**kept, **rules):
            raise RecordError("only a sandbox in which nothing was done yet can be recorded: record() comes first")
        header = Header(counting(), hashing(), **rules, instruction_limits=asdict(subnet.instruction_limits))
        recording = Recording(Path(path), header)
        self.watch(recording)
        return recording

    def watch(self, watcher: Watcher) -> None:
        """Let `watcher` see every step from now on, until it is closed."""
        self.attempts.watcher = watcher
        watcher.on_close = self._unwatch

    def _unwatch(self) -> None:
        self.attempts.watcher = None


def _label(label: Label) -> bytes:
    return label.encode() if isinstance(label, str) else bytes(label)


def _id(canister: Canister | Principal | str) -> Principal:
    return canister.id if isinstance(canister, Canister) else Principal.of(canister)

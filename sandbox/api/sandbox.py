"""`Sandbox`: one subnet, in memory or in a directory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path

from sandbox.api.attempt import whole
from sandbox.api.canister import Canister
from sandbox.api.creation import SettingsValues, new_canister
from sandbox.api.gate import exclusive
from sandbox.api.identity import Sender, identity, sender_principal
from sandbox.api.management import Management
from sandbox.api.records import RawState, raw_state
from sandbox.api.recovery import StateCheck
from sandbox.api.resolver import CanisterLike, resolve_canister
from sandbox.api.runtime import OnLog, SubnetRuntime
from sandbox.api.snapshots import SnapshotManager
from sandbox.api.typed import EMPTY_ARGUMENT
from sandbox.engine import counting
from sandbox.errors import CallRejected, RecordError, StateWarning
from sandbox.execution import (
    Advance,
    CallResult,
    Round,
    Submit,
    UntilIdle,
    certificate,
    next_due,
)
from sandbox.execution.ingress import NONCE, result_of
from sandbox.limits import ROUNDS
from sandbox.management.transition import Http
from sandbox.memory import Pool
from sandbox.principal import Principal
from sandbox.profile import Coverage, Profile
from sandbox.record import Header, Recording
from sandbox.record.state_hash import hashing
from sandbox.snapshots.portable import Progress
from sandbox.state import InstructionLimits, Subnet
from sandbox.store import StateDirectory
from sandbox.store.audit import problems

_RULES = ("time", "seed", "costs", "metering", "max_snapshots", "backtraces", "next_canister")
"""What a sandbox in which nothing was done can have other than every other: a record begins with it."""

Label = Principal | str | bytes
"""One step of a path in the state tree; text stands for its UTF-8."""


class Sandbox:
    """A subnet of canisters in this process.

    `seed`: everything random derives from it. `on_log`: called with each text that a canister prints, as it happens.
    `max_snapshots`: per canister; with 1 a new one replaces the old. `instruction_limits`: what a message may execute.
    `costs`: `free`, or `mainnet` for the fees of a 13-node subnet. `metering`: the rules by which instructions count,
    `classic` (the platform's until July 2026; its newer ones, `2026`, are not supported). `strategy`: how written pages
    are found (`protect`, `scan`, `pagemap`, `compare`; None: the best one here). `http`: answers the HTTP outcalls of
    canisters, a function from the request (`url`, `method`, `headers`, `body`, `max_response_bytes`) to `status`,
    `headers` and `body`; without it they are refused. `backtraces`: whether errors carry the Wasm backtrace to those
    who may read the canister's log; the log has it anyway. `first_canister`: the id of the first canister that is
    created without one of its own; those after it have the next ids. One thread at a time may use a sandbox, another
    one is refused (`SandboxError`); sandboxes are independent of each other. A sandbox belongs to the process that made
    it: a forked child makes or opens its own.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        on_log: OnLog | None = None,
        max_snapshots: int = 1,
        instruction_limits: InstructionLimits | None = None,
        costs: str = "free",
        metering: str = "classic",
        strategy: str | None = None,
        http: Http | None = None,
        backtraces: bool = True,
        first_canister: Principal | str | None = None,
    ) -> None:
        runtime = SubnetRuntime(Pool(strategy=strategy), on_log=on_log, http=http)
        runtime.subnet.seed = seed
        runtime.configure(
            max_snapshots=max_snapshots,
            instruction_limits=instruction_limits,
            costs=costs,
            metering=metering,
            backtraces=backtraces,
            first_canister=first_canister,
        )
        self._stand_on(runtime)

    def _stand_on(self, runtime: SubnetRuntime) -> None:
        self._runtime = runtime
        self.snapshots = SnapshotManager(runtime)

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
        metering: str | None = None,
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
        `lock_timeout` seconds, then gets `StateLocked`. Time, seed, `max_snapshots`, `costs`, `metering` and
        `backtraces` are kept with the state; `first_canister` counts while there are no canisters.

        With `read_only` nothing is written there, so a full disk, or one that may only be read, will do, and others may
        open it so at the same time. Queries work, and all that reads snapshots; what would change the sandbox, and
        `save`, are a `StateError`. `StateWarning` says so where a damaged file has been replaced by its copy.
        """
        directory = StateDirectory(Path(path), lock_timeout, strategy, read_only=read_only)
        try:
            if directory.warning is not None:
                warnings.warn(directory.warning, StateWarning, stacklevel=2)
            runtime = SubnetRuntime(directory.pool, on_log=on_log, http=http, directory=directory)
            directory.load(runtime.subnet)
            runtime.configure(
                max_snapshots=max_snapshots,
                instruction_limits=instruction_limits,
                costs=costs,
                metering=metering,
                backtraces=backtraces,
                first_canister=first_canister,
            )
        except BaseException:
            directory.close()
            raise
        self = cls.__new__(cls)
        self._stand_on(runtime)
        return self

    def save(self) -> None:
        """Make everything done so far permanent, all or nothing; a sandbox in memory has nothing to do."""
        self._runtime.save()

    def check(self, *, deep: bool = False) -> StateCheck:
        """What is damaged in the state directory, as it was saved last: see `sandbox.store.audit.problems`. `deep`
        reads every byte."""
        subnet, directory = self._runtime.subnet, self._runtime.directory
        if directory is None:
            return StateCheck(deep, (), 0)
        live = [memory for state in subnet.canisters.values() for memory in (state.heap, state.stable)]
        unchecked = sum(not (memory.closed or directory.checks.has(memory)) for memory in live)
        return StateCheck(deep, tuple(problems(directory, subnet, deep=deep)), unchecked)

    def close(self) -> None:
        """Free everything, without saving; a record of the sandbox ends. Does nothing in a forked child."""
        self._runtime.close()

    def __repr__(self) -> str:
        runtime = self._runtime
        where = "in memory" if runtime.directory is None else repr(str(runtime.directory.path))
        return (
            f"Sandbox({where}, {len(runtime.subnet.canisters)} canisters{', read-only' if runtime.read_only else ''})"
        )

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and not (self._runtime.read_only or self._runtime.gate.is_shut):
                self.save()
        finally:
            self.close()

    @property
    def on_log(self) -> OnLog | None:
        """The function that is called with each text that a canister prints; may be set at any time."""
        return self._runtime.on_log

    @on_log.setter
    def on_log(self, function: OnLog | None) -> None:
        self._runtime.on_log = function

    @property
    def http(self) -> Http | None:
        """The function that answers HTTP outcalls; may be set at any time. None refuses them."""
        return self._runtime.http

    @http.setter
    def http(self, function: Http | None) -> None:
        self._runtime.http = function

    # --- who and what

    def identity(self, name: str) -> Principal:
        """The principal of user `name`: always the same; the text of a principal is that principal."""
        return identity(name)

    @property
    def time(self) -> int:
        """Nanoseconds since 1970; moves only by `advance_time` and `set_time`."""
        return self._runtime.subnet.time

    @property
    def root_key(self) -> bytes:
        """The public key (DER, 133 bytes) that proves this sandbox's certificates; follows from the seed."""
        return self._runtime.subnet.key.public_key

    @property
    def subnet_id(self) -> Principal:
        """The id of the only subnet; follows from the root key."""
        return self._runtime.subnet.key.subnet_id

    @exclusive
    def certificate(self, paths: Iterable[Sequence[Label]]) -> bytes:
        """A certificate (CBOR) of paths of the state tree, such as `("canister", id, "module_hash")`, and of `/time`.

        A path to a subtree reveals all of it, one to nothing proves that there is nothing. There is
        `/canister/<id>/` with `module_hash`, `controllers`, `certified_data`, `metadata/<name>` and more, `/subnet` and
        `/canister_ranges`, and `/request_status/<request id>/` with `status` and the answer for what was submitted.
        Nothing is refused here: `certified_data` and private metadata are not for every client to read.
        """
        return certificate(self._runtime.subnet, [[_label(label) for label in path] for path in paths])

    @whole
    def create_canister(
        self,
        controllers: Iterable[Principal | str] | None = None,
        canister_id: Principal | str | None = None,
        cycles: int | None = None,
        settings: SettingsValues | None = None,
        name: str | None = None,
    ) -> Canister:
        """A new empty canister; controlled by user `default` unless `controllers` are given.

        `name`: text by which it can be given from now on, in Python and on the command line. Names are kept in the
        state directory at the next save, and are taken back with an anchor; `ValueError` if another canister has it.
        """
        created = self._runtime.create_canister(new_canister(controllers, canister_id, cycles, settings), name)
        return Canister(self._runtime, created)

    def canister(self, canister_id: CanisterLike, did: str | Path | None = None) -> Canister:
        """The canister with this id or name; a reject if there is none with the id."""
        principal = resolve_canister(self._runtime, canister_id)
        self._runtime.state_of(principal)
        return Canister(self._runtime, principal, did)

    def canisters(self) -> list[Canister]:
        """All canisters, by id."""
        return [Canister(self._runtime, canister_id) for canister_id in self._runtime.canister_ids()]

    @property
    def management(self) -> Management:
        """The management canister `aaaaa-aa`, by its Candid methods."""
        return Management(self._runtime)

    # --- calls

    def update(
        self,
        canister_id: CanisterLike,
        method: str,
        arg: bytes,
        sender: Sender = None,
        *,
        max_rounds: int = ROUNDS,
    ) -> CallResult:
        """An update call; the result says how it ended. `RequestTooLarge` if the message has more than 2 MiB.

        `StillWaiting` if it has no answer within `max_rounds` or nothing is left that could answer it. What was done
        stays, and the call goes on with the next rounds (`tick`) as if it had been submitted, under the error's
        `request_id`.
        """
        return self._runtime.update(
            resolve_canister(self._runtime, canister_id), method, arg, sender, max_rounds=max_rounds
        )

    def query(self, canister_id: CanisterLike, method: str, arg: bytes, sender: Sender = None) -> CallResult:
        """A query call; the result says how it ended. `RequestTooLarge` if the message has more than 4 MiB."""
        return self._runtime.query(resolve_canister(self._runtime, canister_id), method, arg, sender)

    @whole
    def submit(
        self,
        canister: CanisterLike,
        method: str,
        arg: bytes = EMPTY_ARGUMENT,
        sender: Sender = None,
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
        given = Submit(
            resolve_canister(self._runtime, canister), method, arg, sender_principal(sender), nonce, ingress_expiry
        )
        return self._runtime.subnet.submissions.ids[self._runtime.perform(given)]

    @exclusive
    def ingress_status(self, request_id: bytes) -> CallResult | CallRejected | None:
        """The answer to a submitted call, None while there is none or when it is forgotten."""
        result = result_of(self._runtime.subnet, request_id)
        if result is None or result.reject is None:
            return result
        return CallRejected(result.reject, result)

    @whole
    def advance_time(self, seconds: float = 0, nanoseconds: int = 0) -> None:
        """Let time pass. Nothing runs by itself: `tick()` runs what is due then."""
        self._runtime.perform(Advance(round(seconds * 1_000_000_000) + nanoseconds))

    @whole
    def set_time(self, nanoseconds: int) -> None:
        """Let time pass until `nanoseconds` since 1970."""
        self.advance_time(nanoseconds=nanoseconds - self._runtime.subnet.time)

    @whole
    def tick(self, rounds: int = 1) -> None:
        """Rounds: due timers and heartbeats, then messages."""
        for _ in range(rounds):
            self._runtime.perform(Round())

    @whole
    def run_until_idle(self, max_rounds: int = ROUNDS) -> int:
        """Rounds until no message and no due timer is left; how many it took. `StillWaiting`, which says who waits for
        whom, if `max_rounds` are not enough; what was done stays."""
        rounds: int = self._runtime.perform(UntilIdle(max_rounds))
        return rounds

    @property
    @exclusive
    def next_due(self) -> int | None:
        """The time, perhaps past, at which the next timer or the next snapshot of a policy is due; None: none is."""
        return next_due(self._runtime.environment())

    @whole
    def run_for(
        self,
        seconds: float = 0,
        nanoseconds: int = 0,
        *,
        step: float | None = None,
        max_rounds: int = ROUNDS,
        progress: Progress | None = None,
    ) -> int:
        """Let time pass, and run what is due at its own time: timers, messages, policies; how many rounds it took.

        Time moves from one of them to the next, and at most `step` seconds at once where that is given: heartbeats run
        in each round only. `StillWaiting` if messages are left after `max_rounds` at one time; what was done stays.
        `progress` is called with the nanoseconds that have passed and those in all.
        """
        span = round(seconds * 1_000_000_000) + nanoseconds
        most = span if step is None else round(step * 1_000_000_000)
        if span < 0 or most < 0 or (span and not most):
            raise ValueError("time never goes back, and a step is longer than nothing")
        begun, rounds = self.time, self.run_until_idle(max_rounds)
        while self.time < begun + span:
            present, due = self.time, self.next_due
            soonest = begun + span if due is None else max(due, present + 1)
            self.set_time(min(soonest, present + most, begun + span))
            rounds += self.run_until_idle(max_rounds)
            if progress is not None:
                progress(self.time - begun, span)
        return rounds

    # --- state

    @exclusive
    def raw_state(self, canister: CanisterLike) -> RawState:
        """The exact bytes of everything that a canister is made of; `StateError` if a memory has more than 4 GiB, zeros
        that were never written included: that is for `snapshots.diff` and `snapshots.download`."""
        return raw_state(self._runtime.state_of(resolve_canister(self._runtime, canister)))

    def anchor(self) -> AbstractContextManager[None]:
        """Everything done within is undone at the end; costs what was changed. Anchors nest."""
        return self._runtime.anchor()

    def profile(self) -> AbstractContextManager[Profile]:
        """Collect the instructions of everything executed within, by function and by call path; profiles nest.

        Results within have a `profile` of their own. Replies, states and instructions are those without a profile; what
        is executed takes several times as long. The frames on a canister's stack are a little larger: a recursion that
        comes close to the end of the stack may overflow.
        """
        return self._runtime.profile()

    @contextmanager
    def coverage(self) -> Iterator[Coverage]:
        """Collect which functions of the modules are executed within."""
        with self._runtime.profile() as profile:
            yield Coverage(profile)

    def state_hash(self) -> str:
        """64 hexadecimal digits that cover everything a canister could observe, now or later: all canisters with every
        byte and their snapshots, open calls, messages, time, seed, rules. Costs what changed since the last time."""
        return self._runtime.state_hash()

    # --- records

    @exclusive
    def record(self, path: str | Path) -> Recording:
        """Write every input from now on, and what comes of it, to the new file `path`, until the recording is closed.

        `canister-sandbox replay` has the same again. Only a sandbox in which nothing was done yet (but that time may
        have passed) can be recorded: a record begins from nothing. `RecordError` otherwise, or if the file exists.
        """
        subnet = self._runtime.subnet
        if self._runtime.attempts.watcher is not None:
            raise RecordError("the sandbox is being recorded already")
        rules = {name: getattr(subnet, name) for name in _RULES}
        kept = {name: getattr(subnet, name) for name in ("pool", "instruction_limits", "certified")}
        if subnet != Subnet(**kept, **rules):
            raise RecordError("only a sandbox in which nothing was done yet can be recorded: record() comes first")
        header = Header(
            counting(subnet.metering), hashing(), **rules, instruction_limits=asdict(subnet.instruction_limits)
        )
        recording = Recording(Path(path), header)
        self._runtime.watch(recording)
        return recording


def _label(label: Label) -> bytes:
    return label.encode() if isinstance(label, str) else bytes(label)

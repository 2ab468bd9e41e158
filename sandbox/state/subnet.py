"""The subnet: all canisters, the messages between them, the time, and the user's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from sandbox import limits
from sandbox.certify.key import NodeKey, RootKey
from sandbox.memory import Pool
from sandbox.principal import Principal
from sandbox.state.canisters import Canisters
from sandbox.state.certified import Certified
from sandbox.state.messages import Callback, CallContext, Message
from sandbox.state.policy import Policy
from sandbox.state.savepoint import RevertibleDict, RevertibleQueue, RevertibleSet, Savepoint, Savepoints
from sandbox.state.submissions import Submissions


@dataclass(frozen=True, slots=True)
class InstructionLimits:
    """Instructions that one message may execute, by kind; the defaults are those of application subnets."""

    update: int = limits.INSTRUCTIONS_UPDATE
    query: int = limits.INSTRUCTIONS_QUERY
    install: int = limits.INSTRUCTIONS_INSTALL
    inspect: int = limits.INSTRUCTIONS_INSPECT


@dataclass(slots=True)
class Subnet:
    """The one record that changes in place; only `execution` writes it. The values in its fields are immutable."""

    pool: Pool
    time: int
    """Nanoseconds since 1970; changes only by `execution.advance`."""
    seed: int = 0
    next_canister: int = 0
    """Index of the next canister id."""
    deleted: frozenset[Principal] = frozenset()
    """Ids of deleted canisters, which are never used again."""
    instruction_limits: InstructionLimits = InstructionLimits()
    max_snapshots: int = 1
    """Snapshots that a canister may have, automatic ones not counted. With a limit of 1, a new snapshot replaces the
    only existing one; in all other cases a snapshot beyond the limit is rejected."""
    policies: Mapping[Principal, Policy] = field(default_factory=lambda: MappingProxyType({}))
    """Policies by canister; that of the management canister applies to all without one of their own. Never changed in
    place."""
    savepoints: Savepoints = field(default_factory=Savepoints, init=False, compare=False, repr=False)
    """Savepoints of the containers below."""
    canisters: Canisters = field(init=False)
    queue: RevertibleQueue[Message] = field(init=False)
    """Messages to be executed, in this order."""
    later: RevertibleQueue[Message] = field(init=False)
    """Messages that wait for the next round."""
    contexts: RevertibleDict[int, CallContext] = field(init=False)
    callbacks: RevertibleDict[int, Callback] = field(init=False)
    slots: RevertibleDict[Principal, Mapping[Principal, int]] = field(init=False)
    """Calls of a canister to a canister that have no answer yet; the mappings are never changed in place."""
    stops: RevertibleDict[Principal, tuple[CallContext, ...]] = field(init=False)
    """Calls of `stop_canister` that wait for the canister to be stopped."""
    results: RevertibleDict[int, Any] = field(init=False)
    """Answers to users' calls (`CallResult`) that were not fetched yet, by message number."""
    submissions: Submissions = field(init=False)
    """Submitted calls, by request id."""
    next_id: int = 0
    """The next number of a message, context or callback."""
    costs: str = "free"
    """The name of the fee schedule: `free` or `mainnet`."""
    metering: str = "classic"
    """The name of the rules by which instructions count (`ic0.weights`)."""
    backtraces: bool = True
    """Whether errors carry the backtrace to those who may read the canister's logs."""
    random_draws: int = 0
    """How often randomness was drawn from the seed."""
    certified: Certified | None = None
    """The last certified state; a cache."""

    def __post_init__(self) -> None:
        savepoints = self.savepoints
        self.canisters, self.submissions = Canisters(savepoints), Submissions(savepoints)
        self.queue, self.later = RevertibleQueue(savepoints), RevertibleQueue(savepoints)
        self.contexts, self.callbacks = RevertibleDict(savepoints), RevertibleDict(savepoints)
        self.slots, self.stops, self.results = (
            RevertibleDict(savepoints),
            RevertibleDict(savepoints),
            RevertibleDict(savepoints),
        )

    @property
    def key(self) -> RootKey:
        """The key that signs the subnet's state; follows from the seed."""
        return _root_key(self.seed)

    @property
    def node_key(self) -> NodeKey:
        """The key of the subnet's only node, which signs answers to queries; follows from the seed."""
        return NodeKey.from_seed(str(self.seed).encode())


@lru_cache(maxsize=64)
def _root_key(seed: int) -> RootKey:
    return RootKey.from_seed(str(seed).encode())


@dataclass(frozen=True, slots=True)
class Moment:
    """An earlier moment of a subnet: the old values of its fields and containers that have changed since."""

    savepoint: Savepoint
    values: tuple[Any, ...]
    changed: tuple[RevertibleSet[Principal], RevertibleSet[bytes]]


_VALUES = tuple(field.name for field in fields(Subnet) if field.init and field.name != "pool")
_values = attrgetter(*_VALUES)


def moment(subnet: Subnet) -> Moment:
    """Mark the present moment for `return_to`; costs only what changes from now on."""
    values, changed = _values(subnet), (subnet.canisters.changed, subnet.submissions.changed)
    return Moment(subnet.savepoints.begin(), values, changed)


def release(subnet: Subnet, earlier: Moment) -> None:
    """Keep the changes since a moment; they become changes since the enclosing moment."""
    subnet.savepoints.release(earlier.savepoint.outer)


def return_to(subnet: Subnet, earlier: Moment) -> None:
    """Restore the subnet, except for the bytes of memories. May be repeated until it returns."""
    subnet.savepoints.return_to(earlier.savepoint)
    for name, value in zip(_VALUES, earlier.values, strict=True):
        setattr(subnet, name, value)
    subnet.canisters.changed, subnet.submissions.changed = earlier.changed

"""The subnet: all canisters, the messages between them, the time, and the rules that the user chose."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
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
    """The one record that changes in place; only `execution` writes it. What its fields hold is immutable."""

    pool: Pool
    time: int
    """Nanoseconds since 1970; moves only when told to."""
    seed: int = 0
    canisters: Canisters = field(default_factory=Canisters)
    next_canister: int = 0
    """Index of the next canister id."""
    deleted: frozenset[Principal] = frozenset()
    """Ids that are never used again."""
    instruction_limits: InstructionLimits = InstructionLimits()
    max_snapshots: int = 1
    """Snapshots that a canister may have; a new one replaces the oldest when there are as many."""
    policies: Mapping[Principal, Policy] = field(default_factory=lambda: MappingProxyType({}))
    """Of canisters; that of the management canister holds for all that have none of their own. Never changed in place.
    """
    queue: deque[Message] = field(default_factory=deque)
    """Messages to be executed, in this order."""
    later: deque[Message] = field(default_factory=deque)
    """Messages that wait for the next round."""
    contexts: dict[int, CallContext] = field(default_factory=dict)
    callbacks: dict[int, Callback] = field(default_factory=dict)
    slots: dict[Principal, dict[Principal, int]] = field(default_factory=dict)
    """Calls of a canister to a canister that have no answer yet."""
    stops: dict[Principal, tuple[CallContext, ...]] = field(default_factory=dict)
    """Calls of `stop_canister` that wait for the canister to be stopped."""
    results: dict[int, Any] = field(default_factory=dict)
    """Answers to users' calls (`CallResult`) that nobody has taken yet, by message number."""
    submissions: Submissions = field(default_factory=Submissions)
    """Users' calls that are asked for later, by request id."""
    next_id: int = 0
    """The next number of a message, context or callback."""
    costs: str = "free"
    """The fee model: `free` or `mainnet`."""
    backtraces: bool = True
    """Whether errors carry the backtrace to those who may read the canister's logs."""
    random_draws: int = 0
    """How often randomness was drawn from the seed."""
    certified: Certified | None = None
    """What was certified last; kept for the sake of speed alone."""

    @property
    def key(self) -> RootKey:
        """With which the subnet signs its state; follows from the seed."""
        return _root_key(self.seed)

    @property
    def node_key(self) -> NodeKey:
        """With which the subnet's only node signs the answers to queries; follows from the seed."""
        return NodeKey.from_seed(_text(self.seed))


@lru_cache(maxsize=64)
def _root_key(seed: int) -> RootKey:
    return RootKey.from_seed(_text(seed))


def _text(seed: int) -> bytes:
    return str(seed).encode()


def copied(subnet: Subnet) -> Subnet:
    """The same value in a record of its own; costs the number of canisters and open calls, not what they hold."""
    twin = copy.copy(subnet)
    twin.canisters = subnet.canisters.copied()
    twin.queue, twin.later = deque(subnet.queue), deque(subnet.later)
    twin.contexts = dict(subnet.contexts)
    twin.callbacks = dict(subnet.callbacks)
    twin.slots = {caller: dict(counts) for caller, counts in subnet.slots.items()}
    twin.stops = dict(subnet.stops)
    twin.results = dict(subnet.results)
    twin.submissions = subnet.submissions.copied()
    return twin

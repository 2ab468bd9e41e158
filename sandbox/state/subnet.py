"""The subnet: all canisters, the time, and the rules that the user chose for this sandbox."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox import limits
from sandbox.memory import Pool
from sandbox.principal import Principal
from sandbox.state.canister import CanisterState


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
    canisters: dict[Principal, CanisterState] = field(default_factory=dict)
    next_canister: int = 0
    """Index of the next canister id."""
    deleted: frozenset[Principal] = frozenset()
    """Ids that are never used again."""
    instruction_limits: InstructionLimits = InstructionLimits()
    max_snapshots: int = 1
    """Snapshots that a canister may have; a new one replaces the oldest when there are as many."""

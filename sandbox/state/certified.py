"""What was certified last: interface specification, "The system state tree"."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.certify.certificate import SignedTree
from sandbox.certify.state_tree import StateTree
from sandbox.principal import Principal


@dataclass(frozen=True, slots=True)
class Certified:
    """A state tree, the same as a signed hash tree, and the data certificates that were cut from it so far."""

    state: StateTree
    signed: SignedTree
    data: dict[Principal, bytes] = field(default_factory=dict)

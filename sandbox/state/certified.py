"""The last certified state: interface specification, "The system state tree"."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.certify.certificate import SignedTree
from sandbox.certify.state_tree import StateTree
from sandbox.principal import Principal


@dataclass(frozen=True, slots=True)
class Certified:
    """A state tree, the same as a signed hash tree, and the data certificates made of it so far."""

    state: StateTree
    signed: SignedTree
    data: dict[Principal, bytes] = field(default_factory=dict)

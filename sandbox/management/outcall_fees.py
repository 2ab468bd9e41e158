"""Pay-as-you-go prices of HTTP outcalls (pricing version 2) on a subnet of 13 nodes.

Source: `dfinity/ic` `rs/https_outcalls/pricing/src/fees.rs` (September 2026). A base fee is due in advance; what the
nodes use and what consensus costs comes out of the other cycles of the call. Here an outcall takes no time and a
transform function's instructions are not charged; `quote`, which a canister asks in advance, counts both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sandbox.candid import Type, decode
from sandbox.errors import CandidError
from sandbox.limits import KIB, NODES

_QUORUM: Final = NODES - (NODES - 1) // 3
_REJECT: Final = KIB
"""Bytes that consensus and gossip reserve at least: those of a reject in place of a response."""
_OVERHEAD: Final = 181
"""Bytes of a flexible response besides its content."""


@dataclass(frozen=True, slots=True)
class Replication:
    """How many nodes make an outcall, and how many answers are needed and delivered.

    `agreed`: the answers must be equal, and one is delivered. `flexible`: each answer is delivered.
    """

    requests: int
    least: int
    most: int
    agreed: bool = False
    flexible: bool = True


REPLICATED: Final = Replication(NODES, _QUORUM, NODES, agreed=True, flexible=False)
SINGLE: Final = Replication(1, 1, 1, flexible=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one node uses: bytes downloaded, bytes of the transformed response, time, instructions of the transform."""

    raw: int
    transformed: int
    milliseconds: int = 0
    instructions: int = 0

    @property
    def fee(self) -> int:
        return 50 * self.raw + 300 * self.milliseconds + self.instructions // 13


def replication_of(counts: dict[str, int] | None) -> Replication | None:
    """The replication of a flexible outcall; by default all nodes ask and two thirds must answer. None if invalid."""
    if counts is None:
        return Replication(NODES, 2 * NODES // 3 + 1, NODES)
    asked = Replication(counts["total_requests"], counts["min_responses"], counts["max_responses"])
    valid = 1 <= asked.requests <= NODES and asked.least <= asked.most <= asked.requests
    return asked if valid else None


def base_fee(request: int, replication: Replication) -> int:
    """The fee in advance, for a request of that size in bytes."""
    fee = 1_000_000 + 50 * request
    if replication.agreed:
        return NODES * (fee + 140_000 * NODES + 800 * NODES * NODES)
    return NODES * (fee + 90_000 * NODES + (2_000 * NODES + 100_000) * replication.least)


def used(replication: Replication, responses: list[Usage]) -> int:
    """What an outcall with these delivered responses costs beyond its base fee."""
    fee = sum(usage.fee + (0 if replication.agreed else _gossip(usage.transformed)) for usage in responses)
    if not replication.flexible:
        return fee + _consensus(responses[0].transformed)
    size = sum(_OVERHEAD + usage.transformed for usage in responses)
    return fee + _consensus(size) + _extra(len(responses) - replication.least)


def quote(request: int, usage: Usage, replication: Replication) -> int:
    """Cycles that suffice for an outcall in which every node uses `usage`."""
    nodes, size = replication.requests, max(usage.transformed, _REJECT)
    if replication.agreed:
        reserved = -(-_consensus(size) // _QUORUM) * nodes
    elif not replication.flexible:
        reserved = _consensus(size)
    elif replication.most == 0:
        reserved = 0
    else:
        reserved = _consensus(nodes * (_OVERHEAD + size)) + _extra(nodes - replication.least)
    each = usage.fee + (0 if replication.agreed else _gossip(size))
    return base_fee(request, replication) + nodes * (each + -(-reserved // nodes))


def quote_of(params: bytes, kind: Type) -> int | None:
    """The answer of `ic0.cost_http_request_v2` to Candid of type `kind`; None if it does not decode."""
    try:
        [given] = decode([kind], params)
    except CandidError:
        return None
    assert isinstance(given, dict)
    replication = _of_type(given["outcall_type"])
    if replication is None:
        return None
    usage = Usage(
        given["raw_response_bytes"],
        given["transformed_response_bytes"],
        given["http_roundtrip_time_ms"],
        given["transform_instructions"],
    )
    return quote(given["request_bytes"], usage, replication)


def _of_type(outcall: dict[str, Any] | None) -> Replication | None:
    if outcall is None or "fully_replicated" in outcall:
        return REPLICATED
    return SINGLE if "non_replicated" in outcall else replication_of(outcall["flexible"])


def _gossip(size: int) -> int:
    return 50 * size * NODES


def _consensus(size: int) -> int:
    return NODES * (10 * NODES + 600) * size


def _extra(responses: int) -> int:
    return max(responses, 0) * NODES * (2_000 * NODES + 100_000)

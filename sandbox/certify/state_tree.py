"""The system state tree: interface specification, "The system state tree". Shapes and encodings: `dfinity/ic`
`rs/canonical_state` (`lazy_tree_conversion.rs`).

A `StateTree` is a persistent value: changing the time, one canister or one request makes a few dozen new nodes,
however many canisters there are, and the root hash depends on the content alone.

    /time                                              nanoseconds, LEB128
    /canister/<id>/controllers                         tagged CBOR array of blobs, sorted
    /canister/<id>/canister_creation_timestamp, last_install_timestamp
    /canister/<id>/module_hash, certified_data, metadata/<name>     only where a module is installed
    /request_status/<id>/status, reply, reject_code, reject_message, error_code
    /subnet/<id>/public_key, type, canister_ranges, metrics, node/<id>/public_key
    /canister_ranges/<subnet id>/<first id of the shard>     at most five ranges each
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from sandbox.certify import cbor
from sandbox.certify.forest import Content, build, put, remove
from sandbox.certify.hash_tree import Empty, HashTree
from sandbox.codec.leb128 import encode_unsigned
from sandbox.principal import Principal

RANGES_PER_SHARD = 5  # MAX_RANGES_PER_ROUTING_TABLE_LEAF

CanisterRange = tuple[Principal, Principal]  # both ends belong to it


@dataclass(frozen=True, slots=True)
class CanisterFacts:
    """The certified fields of one canister; times in nanoseconds. Without a module, only the first two exist."""

    controllers: tuple[Principal, ...] = ()
    created_at: int | None = None
    installed_at: int | None = None
    module_hash: bytes | None = None
    certified_data: bytes = b""
    metadata: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The certified fields of one request; `error_code` as text, such as `IC0503`."""

    status: str
    reply: bytes | None = None
    reject_code: int | None = None
    reject_message: str | None = None
    error_code: str | None = None

    @classmethod
    def replied(cls, reply: bytes) -> RequestFacts:
        return cls("replied", reply)

    @classmethod
    def rejected(cls, reject_code: int, reject_message: str, error_code: str | None = None) -> RequestFacts:
        return cls("rejected", None, reject_code, reject_message, error_code)


@dataclass(frozen=True, slots=True)
class SubnetFacts:
    """The certified fields of one subnet; keys in DER, `nodes` from node id to key, `metrics` as CBOR."""

    subnet_id: Principal
    public_key: bytes
    canister_ranges: tuple[CanisterRange, ...] = ()
    nodes: tuple[tuple[Principal, bytes], ...] = ()
    kind: str = "application"
    metrics: bytes | None = None


@dataclass(frozen=True, slots=True)
class StateTree:
    """The state of a subnet as the parts of a hash tree; `tree()` joins them."""

    time: int
    canisters: HashTree = Empty()  # noqa: RUF009 - frozen
    requests: HashTree = Empty()  # noqa: RUF009 - frozen
    subnets: HashTree = Empty()  # noqa: RUF009 - frozen
    ranges: HashTree = Empty()  # noqa: RUF009 - frozen

    @classmethod
    def of(
        cls,
        time: int,
        canisters: Mapping[Principal, CanisterFacts],
        requests: Mapping[bytes, RequestFacts],
        *subnets: SubnetFacts,
    ) -> StateTree:
        """Return the state tree of these facts: of one subnet, or of all that a delegation covers."""
        return cls(
            time,
            build({bytes(canister_id): canister_tree(facts) for canister_id, facts in canisters.items()}),
            build({request_id: request_tree(facts) for request_id, facts in requests.items()}),
            build({bytes(subnet.subnet_id): subnet_tree(subnet) for subnet in subnets}),
            build({bytes(subnet.subnet_id): ranges_tree(subnet.canister_ranges) for subnet in subnets}),
        )

    def at(self, time: int) -> StateTree:
        """Return the same state at another time."""
        return replace(self, time=time)

    def with_canister(self, canister_id: Principal, facts: CanisterFacts | None) -> StateTree:
        """Return the state with these facts about a canister; None removes the canister."""
        below = None if facts is None else canister_tree(facts)
        return replace(self, canisters=_put(self.canisters, bytes(canister_id), below))

    def with_request(self, request_id: bytes, facts: RequestFacts | None) -> StateTree:
        """Return the state with this status of a request; None removes the request."""
        below = None if facts is None else request_tree(facts)
        return replace(self, requests=_put(self.requests, request_id, below))

    def with_subnet(self, subnet: SubnetFacts) -> StateTree:
        """Return the state with these facts about a subnet."""
        label = bytes(subnet.subnet_id)
        ranges = ranges_tree(subnet.canister_ranges)
        return replace(
            self, subnets=put(self.subnets, label, subnet_tree(subnet)), ranges=put(self.ranges, label, ranges)
        )

    def tree(self) -> HashTree:
        """Return the hash tree, to be signed and pruned to witnesses."""
        return build(
            {
                b"time": encode_unsigned(self.time),
                b"canister": self.canisters,
                b"request_status": self.requests,
                b"subnet": self.subnets,
                b"canister_ranges": self.ranges,
            }
        )


def _put(tree: HashTree, label: bytes, below: HashTree | None) -> HashTree:
    return remove(tree, label) if below is None else put(tree, label, below)


def canister_tree(facts: CanisterFacts) -> HashTree:
    """Return the tree of `/canister/<id>`."""
    content: dict[bytes, Content] = {b"controllers": cbor.dump_tagged(sorted(map(bytes, facts.controllers)))}
    if facts.created_at is not None:
        content[b"canister_creation_timestamp"] = encode_unsigned(facts.created_at)
    if facts.module_hash is not None:
        content[b"module_hash"] = facts.module_hash
        content[b"certified_data"] = facts.certified_data
        content[b"metadata"] = _metadata_tree(facts.metadata)
        if facts.installed_at is not None:
            content[b"last_install_timestamp"] = encode_unsigned(facts.installed_at)
    return build(content)


@lru_cache(maxsize=64)
def _metadata_tree(metadata: tuple[tuple[str, bytes], ...]) -> HashTree:
    """Return the tree of the metadata; canisters with the same module share it."""
    return build({name.encode(): section for name, section in metadata})


def request_tree(facts: RequestFacts) -> HashTree:
    """Return the tree of `/request_status/<id>`."""
    content: dict[bytes, Content] = {b"status": facts.status.encode()}
    if facts.reply is not None:
        content[b"reply"] = facts.reply
    if facts.reject_code is not None:
        content[b"reject_code"] = encode_unsigned(facts.reject_code)
    if facts.reject_message is not None:
        content[b"reject_message"] = facts.reject_message.encode()
    if facts.error_code is not None:
        content[b"error_code"] = facts.error_code.encode()
    return build(content)


def subnet_tree(facts: SubnetFacts) -> HashTree:
    """Return the tree of `/subnet/<id>`."""
    nodes: dict[bytes, Content] = {bytes(node_id): {b"public_key": key} for node_id, key in facts.nodes}
    content: dict[bytes, Content] = {
        b"public_key": facts.public_key,
        b"type": facts.kind.encode(),
        b"canister_ranges": _encoded(facts.canister_ranges),
        b"node": nodes,
    }
    if facts.metrics is not None:
        content[b"metrics"] = facts.metrics
    return build(content)


def ranges_tree(ranges: tuple[CanisterRange, ...]) -> HashTree:
    """Return the tree of `/canister_ranges/<subnet id>`."""
    ordered = sorted(ranges)
    shards = (ordered[start : start + RANGES_PER_SHARD] for start in range(0, len(ordered), RANGES_PER_SHARD))
    return build({bytes(shard[0][0]): _encoded(shard) for shard in shards})


def _encoded(ranges: tuple[CanisterRange, ...] | list[CanisterRange]) -> bytes:
    return cbor.dump_tagged([[bytes(first), bytes(last)] for first, last in sorted(ranges)])

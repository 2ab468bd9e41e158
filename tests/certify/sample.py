"""Sample values that the tests of certificates share: one subnet, two canisters, two requests."""

from __future__ import annotations

import hashlib

from sandbox.certify.certificate import Delegation, certificate
from sandbox.certify.key import NodeKey, RootKey
from sandbox.certify.state_tree import CanisterFacts, RequestFacts, StateTree, SubnetFacts
from sandbox.principal import Principal

TIME = 1_750_000_000_123_000_000
KEY, NODE = RootKey.from_seed(b"golden"), NodeKey.from_seed(b"golden")
SUBNET = bytes(KEY.subnet_id)
FIRST, EMPTY_ONE, LAST = Principal.from_index(0), Principal.from_index(1), Principal.from_index(0xFFFFF)
FAR = (Principal.from_index(0xFFFFFFFFFFE00000), Principal.from_index(0xFFFFFFFFFFEFFFFF))
ALICE = Principal.self_authenticating(b"alice")
HASH = hashlib.sha256(b"module").digest()
REPLIED, REJECTED = hashlib.sha256(b"one").digest(), hashlib.sha256(b"two").digest()

FACTS = CanisterFacts(
    (ALICE, Principal.anonymous()), TIME - 2, TIME - 1, HASH, b"data", (("candid:service", b"service : {}"),)
)
CANISTERS = {FIRST: FACTS, EMPTY_ONE: CanisterFacts((), TIME - 3)}
REQUESTS = {REPLIED: RequestFacts.replied(b"DIDL\0\0"), REJECTED: RequestFacts.rejected(5, "no", "IC0503")}
SUBNET_FACTS = SubnetFacts(
    KEY.subnet_id, KEY.public_key, ((FIRST, LAST), FAR), ((NODE.node_id, NODE.public_key),), "system"
)
STATE = StateTree.of(TIME, CANISTERS, REQUESTS, SUBNET_FACTS)

CHILD = RootKey.from_seed(b"child")


def delegation(*paths: tuple[bytes, ...]) -> Delegation:
    """The root subnet's word for the child subnet, which has the range of `FAR`."""
    child = SubnetFacts(CHILD.subnet_id, CHILD.public_key, (FAR,))
    tree = StateTree.of(TIME, {}, {}, SUBNET_FACTS, child).tree()
    return Delegation(CHILD.subnet_id, certificate(tree, paths, KEY))


CHILD_KEY = (b"subnet", bytes(CHILD.subnet_id), b"public_key")
CHILD_FLAT = (b"subnet", bytes(CHILD.subnet_id), b"canister_ranges")
CHILD_SHARDS = (b"canister_ranges", bytes(CHILD.subnet_id))

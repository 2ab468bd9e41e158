"""Certificates of the present state: interface specification, "Certification", "Certified data".

The tree is made for the first certificate. Later ones rebuild only the parts that have changed since the one before;
their cost does not depend on the number of canisters.

The one subnet is the root subnet: its certificates have no delegation. It has every canister id, and one node.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.canister.module import facts_of
from sandbox.certify.certificate import sign_tree
from sandbox.certify.hash_tree import Path
from sandbox.certify.state_tree import CanisterFacts, StateTree, SubnetFacts
from sandbox.execution.ingress import facts
from sandbox.principal import Principal
from sandbox.state import CanisterState, Certified, Subnet
from sandbox.state.savepoint import RevertibleSet

_ALL_IDS = (Principal.from_index(0), Principal.from_index((1 << 64) - 1))


def certificate(subnet: Subnet, paths: Iterable[Path]) -> bytes:
    """A certificate (CBOR) of these paths of the present state tree and of `/time`.

    A path to a subtree reveals all of it; a path to nothing proves its absence. All of the tree can be certified: the
    interface to clients decides which paths a client may read.
    """
    return _certified(subnet).signed.certificate(paths)


def data_certificate(subnet: Subnet, canister_id: Principal) -> bytes:
    """The certificate that `ic0.data_certificate_copy` copies: of `/canister/<id>/certified_data` and `/time`."""
    certified = _certified(subnet)
    known = certified.data.get(canister_id)
    if known is None:
        known = certified.data[canister_id] = certified.signed.data_certificate(canister_id)
    return known


def _certified(subnet: Subnet) -> Certified:
    """The present state, signed."""
    known, changed = subnet.certified, subnet.canisters.changed
    requests = subnet.submissions
    if known is not None and not changed and not requests.changed and known.state.time == subnet.time:
        return known
    if known is None:
        tree = _from_scratch(subnet)
    else:
        tree = known.state.at(subnet.time)
        for canister_id in changed:
            state = subnet.canisters.get(canister_id)
            tree = tree.with_canister(canister_id, None if state is None else _canister(state))
        for name in requests.changed:
            tree = tree.with_request(name, facts(requests.get(name)))
    certified = subnet.certified = Certified(tree, sign_tree(tree.tree(), subnet.key))
    subnet.canisters.changed, requests.changed = RevertibleSet(subnet.savepoints), RevertibleSet(subnet.savepoints)
    return certified


def _from_scratch(subnet: Subnet) -> StateTree:
    canisters = {canister_id: _canister(state) for canister_id, state in subnet.canisters.items()}
    statuses = ((name, facts(submission)) for name, submission in subnet.submissions.items())
    requests = {name: status for name, status in statuses if status is not None}
    return StateTree.of(subnet.time, canisters, requests, _subnet(subnet))


def _canister(state: CanisterState) -> CanisterFacts:
    """The fields of a canister in the tree; `Canisters` must notice a change of each of them."""
    if state.code is None:
        return CanisterFacts(state.settings.controllers, state.created_at)
    facts = facts_of(state.code)
    return CanisterFacts(
        controllers=state.settings.controllers,
        created_at=state.created_at,
        installed_at=state.last_installed_at,
        module_hash=state.code.hash,
        certified_data=state.certified_data,
        metadata=(*facts.public_metadata.items(), *facts.private_metadata.items()),
    )


def _subnet(subnet: Subnet) -> SubnetFacts:
    key, node = subnet.key, subnet.node_key
    return SubnetFacts(key.subnet_id, key.public_key, (_ALL_IDS,), ((node.node_id, node.public_key),))

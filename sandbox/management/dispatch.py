"""From a method name and bytes to a transition, and from its reply to bytes: who may call what, in which order refused.

Ingress rules: interface specification, "The IC management canister" (SPECIFICATION 5). `sender_canister_version`: "IC
method create_canister"; the replica rejects the call (`validate_sender_canister_version`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.candid import decode, encode
from sandbox.errors import CandidError
from sandbox.management import rejects
from sandbox.management.table import METHODS, PROPOSAL, QUERIES, Method, interface, signature
from sandbox.management.transition import ManagementContext, Transition
from sandbox.management.unsupported import NOT_INGRESS, UNSUPPORTED


def call(context: ManagementContext, name: str, arg: bytes) -> Transition:
    """Execute an update call by the caller of the context; a `CallRejected` says why it was refused."""
    method = _method(context, name)
    argument = _argument(method, arg)
    claimed = argument.get("sender_canister_version")
    if claimed is not None and context.caller_version is not None and claimed != context.caller_version:
        raise rejects.wrong_sender_version(claimed, context.caller_version)
    return method.function(replace(context, sender_version=claimed), argument)


def query(context: ManagementContext, name: str, arg: bytes) -> bytes:
    """The answer to a query call, of a user or of a composite query; `CallRejected` says why it was refused."""
    method = QUERIES.get(name)
    if method is None:
        if name in UNSUPPORTED:
            raise rejects.unsupported(name, UNSUPPORTED[name])
        raise rejects.unknown_query(name)
    return reply(name, method.function(context, _argument(method, arg)))


def reply(name: str, transition: Transition) -> bytes:
    """The bytes of a transition's reply."""
    results = signature(name).results
    return encode(results, [transition.reply] if results else [])


def _method(context: ManagementContext, name: str) -> Method:
    method = METHODS.get(name) or PROPOSAL.get(name)
    hidden = not method.ingress if method is not None else name in NOT_INGRESS
    if hidden and not context.by_canister:
        raise rejects.not_by_ingress(name)
    if method is not None:
        return method
    if name in UNSUPPORTED:
        raise rejects.unsupported(name, UNSUPPORTED[name])
    raise rejects.unknown_method(name, context.by_canister)


def _argument(method: Method, arg: bytes) -> dict[str, Any]:
    """The fields of the only record, or several arguments by their names in the interface."""
    try:
        values = decode(interface(method.did).method(method.name).args, arg)
    except CandidError as error:
        raise rejects.invalid_payload(f"Error decoding candid: {error}") from error
    if len(values) == 1 and isinstance(values[0], dict):
        return values[0]
    return dict(zip(_POSITIONAL.get(method.name, ()), values, strict=True))


_POSITIONAL = {
    "take_snapshot": ("canister_id", "label"),
    "load_snapshot": ("snapshot_id", "canister_id"),
    "list_snapshots": ("canister_id",),
    "delete_snapshot": ("snapshot_id",),
}
"""Candid gives the names of positional arguments no meaning: they are those of `proposal.did`."""

"""The methods of `aaaaa-aa`: one row each. Types are those of `ic.did` and `proposal.did` beside this file.

A row's function takes the context and the decoded arguments (of a single record its fields) and returns a transition
whose `reply` is the value to encode (None for methods without a result).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sandbox.candid import FuncType, Interface, ServiceType, parse_did
from sandbox.management import (
    chunks,
    lifecycle,
    outcalls,
    proposal,
    settings,
    signatures,
    snapshot_rules,
    snapshot_slices,
    status,
    subnet,
)
from sandbox.management.code import InstallCode, install_code
from sandbox.management.transition import ManagementContext, Transition
from sandbox.principal import Principal
from sandbox.state import SnapshotState

Argument = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Method:
    """`ingress`: whether users may call it, not only canisters. `query`: whether it answers query calls too."""

    name: str
    function: Callable[[ManagementContext, Argument], Transition]
    ingress: bool = True
    query: bool = False
    did: str = "ic.did"


@cache
def interface(did: str = "ic.did") -> Interface:
    """The management canister's interface; with `proposal.did` that of the community proposal of 2023."""
    return parse_did(files("sandbox.management").joinpath(did).read_text())


@cache
def whole() -> Interface:
    """Both interfaces in one: all methods that users and canisters may call."""
    parts = interface(), interface("proposal.did")
    types = {name: kind for part in parts for name, kind in part.types.items()}
    methods = (method for part in parts if part.service is not None for method in part.service.methods)
    return Interface(types, ServiceType(tuple(methods)))


def signature(name: str) -> FuncType:
    """Argument and result types of a method of either table; `KeyError` if there is none."""
    return interface((METHODS.get(name) or PROPOSAL[name]).did).method(name)


def _install(arg: Argument, canister_id: Principal, module: bytes) -> InstallCode:
    [(mode, options)] = arg["mode"].items()
    options = options or {}
    persistence = options.get("wasm_memory_persistence")
    return InstallCode(
        canister_id=canister_id,
        module=module,
        arg=arg["arg"],
        mode=mode,
        skip_pre_upgrade=bool(options.get("skip_pre_upgrade")),
        persistence=next(iter(persistence)) if persistence else None,
    )


def _install_code(context: ManagementContext, arg: Argument) -> Transition:
    return install_code(context, _install(arg, arg["canister_id"], arg["wasm_module"]))


def _install_chunked(context: ManagementContext, arg: Argument) -> Transition:
    target = arg["target_canister"]
    parts = tuple(item["hash"] for item in arg["chunk_hashes_list"])
    assembly = chunks.Assembly(arg["store_canister"] or target, parts, arg["wasm_module_hash"])
    return chunks.install_chunked_code(context, _install(arg, target, b""), assembly)


def _create(context: ManagementContext, arg: Argument) -> Transition:
    return _created(lifecycle.create_for_cycles(context, settings.from_candid(arg["settings"])))


def _provisional_create(context: ManagementContext, arg: Argument) -> Transition:
    given = settings.from_candid(arg["settings"])
    return _created(subnet.provisional_create(context, given, arg["specified_id"], arg["amount"]))


def _created(transition: Transition) -> Transition:
    return transition.replying({"canister_id": transition.reply})


def _update_settings(context: ManagementContext, arg: Argument) -> Transition:
    return settings.update_settings(context, arg["canister_id"], settings.from_candid(arg["settings"]))


def _take(context: ManagementContext, arg: Argument) -> Transition:
    how = snapshot_rules.Take(
        replace_id=arg["replace_snapshot"], uninstall=bool(arg["uninstall_code"]), limit=snapshot_rules.PLATFORM.limit
    )
    taken = snapshot_rules.take(context, arg["canister_id"], how)
    assert isinstance(taken.reply, SnapshotState)
    return taken.replying(snapshot_rules.record(taken.reply))


def _list(context: ManagementContext, arg: Argument) -> Transition:
    return Transition(
        reply=[snapshot_rules.record(s) for s in snapshot_rules.list_snapshots(context, arg["canister_id"])]
    )


def _http_request(context: ManagementContext, arg: Argument) -> Transition:
    return outcalls.http_request(context, arg, _transform_type())


def _flexible_http_request(context: ManagementContext, arg: Argument) -> Transition:
    return outcalls.flexible_http_request(context, arg, _transform_type())


@cache
def _transform_type() -> FuncType:
    transform = interface().types["http_transform"]
    assert isinstance(transform, FuncType)
    return transform


def _on(function: Callable[..., Transition], *fields: str) -> Callable[[ManagementContext, Argument], Transition]:
    """A row's function for a handler that takes the canister's id and these fields of the argument."""
    return lambda context, arg: function(context, arg["canister_id"], *(arg[field] for field in fields))


def _table(*methods: Method) -> dict[str, Method]:
    return {method.name: method for method in methods}


METHODS: dict[str, Method] = _table(
    Method("create_canister", _create, ingress=False),
    Method("update_settings", _update_settings),
    Method("upload_chunk", _on(chunks.upload_chunk, "chunk")),
    Method("clear_chunk_store", _on(chunks.clear_chunk_store)),
    Method("stored_chunks", _on(chunks.stored_chunks)),
    Method("install_code", _install_code),
    Method("install_chunked_code", _install_chunked),
    Method("uninstall_code", _on(lifecycle.uninstall_code)),
    Method("start_canister", _on(lifecycle.start_canister)),
    Method("stop_canister", _on(lifecycle.stop_canister)),
    Method("canister_status", _on(status.canister_status), query=True),
    Method("delete_canister", _on(lifecycle.delete_canister)),
    Method("deposit_cycles", _on(subnet.deposit_cycles), ingress=False),
    Method("raw_rand", lambda context, _: subnet.raw_rand(context), ingress=False),
    Method("http_request", _http_request, ingress=False),
    Method("flexible_http_request", _flexible_http_request, ingress=False),
    Method("canister_info", _on(status.canister_info, "num_requested_changes"), ingress=False, query=True),
    Method("canister_metadata", _on(status.canister_metadata, "name"), ingress=False),
    Method("ecdsa_public_key", lambda w, arg: signatures.public_key(w, "ecdsa_public_key", arg), ingress=False),
    Method("sign_with_ecdsa", signatures.sign_with_ecdsa, ingress=False),
    Method("schnorr_public_key", lambda w, arg: signatures.public_key(w, "schnorr_public_key", arg), ingress=False),
    Method("sign_with_schnorr", signatures.sign_with_schnorr, ingress=False),
    Method("vetkd_public_key", signatures.vetkd_public_key, ingress=False),
    Method("vetkd_derive_key", signatures.vetkd_derive_key, ingress=False),
    Method("subnet_info", lambda context, arg: subnet.subnet_info(context, arg["subnet_id"]), ingress=False),
    Method("provisional_create_canister_with_cycles", _provisional_create),
    Method("provisional_top_up_canister", _on(subnet.provisional_top_up, "amount")),
    Method("take_canister_snapshot", _take),
    Method("load_canister_snapshot", _on(snapshot_rules.load_snapshot, "snapshot_id")),
    Method("read_canister_snapshot_metadata", _on(snapshot_slices.read_metadata, "snapshot_id")),
    Method("read_canister_snapshot_data", _on(snapshot_slices.read_data, "snapshot_id", "kind")),
    Method(
        "upload_canister_snapshot_metadata", lambda w, arg: snapshot_slices.upload_metadata(w, arg["canister_id"], arg)
    ),
    Method(
        "upload_canister_snapshot_data",
        lambda w, arg: snapshot_slices.upload_data(w, arg["canister_id"], arg["snapshot_id"], arg),
    ),
    Method("list_canister_snapshots", _list),
    Method("delete_canister_snapshot", _on(snapshot_rules.delete_snapshot, "snapshot_id")),
    Method("fetch_canister_logs", _on(status.fetch_canister_logs, "filter"), ingress=False, query=True),
)

PROPOSAL: dict[str, Method] = _table(
    Method("take_snapshot", proposal.take_snapshot, did="proposal.did"),
    Method("load_snapshot", proposal.load_snapshot, did="proposal.did"),
    Method("list_snapshots", proposal.list_snapshots, did="proposal.did"),
    Method("delete_snapshot", proposal.delete_snapshot, did="proposal.did"),
)
"""The methods of the community proposal of 2023, beside those of the platform."""

QUERIES: dict[str, Method] = {name: method for name, method in METHODS.items() if method.query}
"""Methods that answer query calls, of users and of composite queries."""

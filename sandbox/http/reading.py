"""Which paths of the state tree a user may read: interface specification, "Request: Read state". Order, codes, texts:
`dfinity/ic` `rs/http_endpoints/public/src/read_state/` (`canister.rs`, `subnet.rs`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.canister.module import facts_of
from sandbox.certify.hash_tree import Path
from sandbox.errors import PrincipalError
from sandbox.http.answer import Refused
from sandbox.http.authentication import Targets
from sandbox.principal import Principal
from sandbox.state import CanisterState, Submission

_CANISTER = (b"controllers", b"module_hash", b"canister_creation_timestamp", b"last_install_timestamp")
_REQUEST = (b"status", b"reply", b"reject_code", b"reject_message", b"error_code")
_SUBNET = (b"public_key", b"canister_ranges", b"type", b"node")
_ID = 32


@dataclass(frozen=True, slots=True)
class Owners:
    """Who may read what: the canisters and the submitted calls of a subnet."""

    canisters: Mapping[Principal, CanisterState]
    submissions: Mapping[bytes, Submission]


@dataclass(frozen=True, slots=True)
class Reader:
    """The sender of a `read_state` request, and the canister or subnet in its URL."""

    sender: Principal
    targets: Targets
    effective_id: Principal
    owners: Owners


def check_paths(reader: Reader, paths: tuple[Path, ...], *, subnet: bool) -> None:
    """Refuse the request unless its sender may read all paths; `subnet`: whether the URL names a subnet."""
    named = {path[1] for path in paths if path[:1] == (b"request_status",) and len(path) > 1}
    for path in paths:
        _check(reader, path, subnet)
    if len(named) > 1:
        first, second = sorted(name.hex() for name in named)[:2]
        text = f"More than one non-unique request ID exists in request_status paths: {first} and {second}."
        raise Refused(400, text)


def _check(reader: Reader, path: Path, subnet: bool) -> None:
    match path:
        case (b"time",) | (b"subnet",) | (b"canister_ranges",) | (b"api_boundary_nodes", *_):
            return
        case (b"subnet", _) | (b"canister_ranges", _) | (b"canister_ranges", _, _):
            return
        case (b"subnet", _, b"node", _) | (b"subnet", _, b"node", _, b"public_key"):
            return
        case (b"subnet", _, field) if field in _SUBNET:
            return
        case (b"subnet", subnet_id, b"metrics") if subnet:
            _same(subnet_id, reader.effective_id)
        case (b"canister", canister_id, field) if field in _CANISTER and not subnet:
            _same(canister_id, reader.effective_id)
        case (b"canister", canister_id, b"metadata", name) if not subnet:
            _same(canister_id, reader.effective_id)
            _check_metadata(reader, name)
        case (b"request_status", name) if not subnet:
            _check_request(reader, name)
        case (b"request_status", name, field) if field in _REQUEST and not subnet:
            _check_request(reader, name)
        case _:
            raise Refused(404, "Invalid path requested.")


def _same(label: bytes, effective_id: Principal) -> None:
    try:
        asked = Principal(label)
    except PrincipalError as error:
        raise Refused(400, f"Could not parse principal ID: {error}.") from error
    if asked != effective_id:
        text = f"Effective principal id in URL {effective_id} does not match requested principal id: {asked}."
        raise Refused(400, text)


def _check_metadata(reader: Reader, label: bytes) -> None:
    try:
        name = label.decode()
    except UnicodeDecodeError as error:
        raise Refused(400, f"Could not parse the custom section name: {error}.") from error
    state = reader.owners.canisters.get(reader.effective_id)
    if state is None or state.code is None or reader.sender in state.settings.controllers:
        return
    if name in facts_of(state.code).private_metadata:
        raise Refused(403, f"Custom section {name[:100]} can only be requested by the controllers of the canister.")


def _check_request(reader: Reader, name: bytes) -> None:
    if len(name) != _ID:
        text = f"Invalid request id in paths. Maybe the request ID is not of {_ID} bytes in length?!"
        raise Refused(400, text)
    submission = reader.owners.submissions.get(name)
    if submission is None:
        return
    if submission.sender != reader.sender:
        raise Refused(403, "The user tries to access Request ID not signed by the caller.")
    if reader.targets is not None and submission.canister_id not in reader.targets:
        raise Refused(
            403,
            "The user tries to access request IDs for canisters not belonging to sender delegation targets.",
        )

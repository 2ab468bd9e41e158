"""From method, path and body of an HTTP request to checked work: interface specification, "HTTPS interface".

    GET  /api/v2/status
    POST /api/{v2,v3,v4}/canister/<id>/call        v2 does not wait for the answer
    POST /api/{v2,v3}/canister/<id>/query
    POST /api/{v2,v3}/canister/<id>/read_state
    POST /api/{v2,v3}/subnet/<id>/read_state
    POST /api/v4/subnet/<id>/call, /api/v3/subnet/<id>/query       create_canister and list_canisters only

The versions of an endpoint differ in the delegation of their certificates, and there is none here: the only subnet is
the root subnet.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.candid import decode, parse_type
from sandbox.errors import CandidError, PrincipalError
from sandbox.http.answer import Refused
from sandbox.http.authentication import Targets, authenticate, check_target
from sandbox.http.request import Call, Envelope, ReadState, read_envelope
from sandbox.principal import Principal


@dataclass(frozen=True, slots=True)
class Trust:
    """What a request is checked against: the time (nanoseconds since 1970), the root key in DER, the subnet's id."""

    now: int
    root_key: bytes
    subnet_id: Principal


@dataclass(frozen=True, slots=True)
class StatusWork:
    """A request for the status."""


@dataclass(frozen=True, slots=True)
class CallWork:
    """An update call; `waits`: whether its sender waits for the answer."""

    call: Call
    envelope: Envelope
    waits: bool


@dataclass(frozen=True, slots=True)
class QueryWork:
    """A query call."""

    call: Call
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class ReadWork:
    """A `read_state` request; `subnet`: whether the URL names a subnet."""

    read: ReadState
    envelope: Envelope
    targets: Targets
    effective_id: Principal
    subnet: bool


Work = StatusWork | CallWork | QueryWork | ReadWork
_ENDPOINTS = {
    ("canister", "call"): ("v2", "v3", "v4"),
    ("canister", "query"): ("v2", "v3"),
    ("canister", "read_state"): ("v2", "v3"),
    ("subnet", "call"): ("v4",),
    ("subnet", "query"): ("v3",),
    ("subnet", "read_state"): ("v2", "v3"),
}
_OF_SUBNET = ("create_canister", "list_canisters")
_NAMES_CANISTER = parse_type("record { canister_id : opt principal; target_canister : opt principal }")


def prepare(method: str, path: str, body: bytes, trust: Trust) -> Work:
    """Read and check a request; `Refused` if it is answered with an error. Touches no sandbox."""
    match path.strip("/").split("/"):
        case ["api", "v2", "status"]:
            _check_method(method, "GET")
            return StatusWork()
        case ["api", version, place, text, endpoint] if version in _ENDPOINTS.get((place, endpoint), ()):
            _check_method(method, "POST")
            effective_id = _principal(text)
            if place == "subnet" and effective_id != trust.subnet_id:
                raise Refused(400, f"Subnet {effective_id} is not here; the only one is {trust.subnet_id}.")
            envelope = read_envelope(body, endpoint)
            targets = authenticate(envelope, trust.now, trust.root_key, update=endpoint == "call")
            return _work(envelope, targets, effective_id, (version, place, endpoint))
    raise Refused(404, f"There is no endpoint {path[:200]}.")


def _work(envelope: Envelope, targets: Targets, effective_id: Principal, route: tuple[str, str, str]) -> Work:
    version, place, endpoint = route
    content = envelope.content
    if isinstance(content, ReadState):
        return ReadWork(content, envelope, targets, effective_id, place == "subnet")
    check_target(targets, content.canister_id)
    if place == "subnet":
        _check_of_subnet(content)
    else:
        _check_effective(content, effective_id)
    return CallWork(content, envelope, version != "v2") if endpoint == "call" else QueryWork(content, envelope)


def _check_method(method: str, wanted: str) -> None:
    if method != wanted:
        raise Refused(405, f"This endpoint takes {wanted} requests.")


def _principal(text: str) -> Principal:
    try:
        return Principal.from_text(text)
    except PrincipalError as error:
        raise Refused(400, f"Invalid URL: {error}") from error


def _check_of_subnet(call: Call) -> None:
    if call.canister_id != Principal.management() or call.method not in _OF_SUBNET:
        raise Refused(400, f"At a subnet, only {' and '.join(_OF_SUBNET)} of the management canister may be called.")


def _check_effective(call: Call, effective_id: Principal) -> None:
    """400 unless the URL names the canister that the call is about: interface specification, "Effective canister id".
    Arguments that do not decode are left to the management canister."""
    about = call.canister_id
    if about == Principal.management():
        about = _managed(call.arg) or effective_id
    if about != effective_id:
        raise Refused(400, f"Specified CanisterId {about} does not match effective canister id in URL {effective_id}")


def _managed(arg: bytes) -> Principal | None:
    """The canister that a call of the management canister is about; None if its argument names none."""
    try:
        [value] = decode([_NAMES_CANISTER], arg)
    except CandidError:
        return None
    about = value["target_canister"] or value["canister_id"]
    assert about is None or isinstance(about, Principal)
    return about

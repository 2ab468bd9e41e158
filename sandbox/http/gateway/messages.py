"""Requests and responses in Candid: HTTP gateway protocol specification, "Canister HTTP interface"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sandbox.candid import Func, OptType, RecordType, Type, VariantType, decode, decode_untyped, encode, parse_type
from sandbox.errors import CandidError
from sandbox.http.gateway.web import Headers, WebRequest
from sandbox.principal import Principal

VERSION: Final = 2
"""The newest version of certification that is asked for and verified."""
_FIELDS = "method : text; url : text; headers : vec record { text; text }; body : blob;"
_QUERY = parse_type(f"record {{ {_FIELDS} certificate_version : opt nat16 }}")
_UPDATE = parse_type(f"record {{ {_FIELDS} }}")
_RESPONSE = parse_type(
    "record { status_code : nat16; headers : vec record { text; text }; body : blob; upgrade : opt bool }"
)
_PIECE = parse_type("opt record { body : blob }")
_NAMES = ("streaming_strategy", "Callback", "callback", "token")
_NOT_PASSED = "x-request-id"
_ENCODINGS, _PLAIN = "accept-encoding", "identity"


class BadResponse(Exception):
    """What a canister answered is no HTTP response; the text says why."""


@dataclass(frozen=True, slots=True)
class Callback:
    """Where the next piece of a body comes from; `token` is the argument, as a Candid message."""

    canister_id: Principal
    method: str
    token: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What a canister answered; `upgrade`: it wants to be asked again by an update call."""

    status: int
    headers: Headers
    body: bytes
    upgrade: bool = False
    callback: Callback | None = None


def query_argument(request: WebRequest) -> bytes:
    """The argument of `http_request`."""
    return encode([_QUERY], [{**_fields(request), "certificate_version": VERSION}])


def update_argument(request: WebRequest) -> bytes:
    """The argument of `http_request_update`."""
    return encode([_UPDATE], [_fields(request)])


def read_response(reply: bytes) -> Response:
    """Read the reply of `http_request` or `http_request_update`."""
    try:
        [value] = decode([_RESPONSE], reply)
        callback = _callback(reply)
    except CandidError as error:
        raise BadResponse(f"its reply is not a response of the HTTP gateway protocol: {error}") from error
    headers = tuple((str(name), str(text)) for name, text in value["headers"])
    return Response(value["status_code"], headers, value["body"], value["upgrade"] is True, callback)


def read_piece(reply: bytes, callback: Callback) -> tuple[bytes, Callback | None]:
    """Read the reply of a callback: bytes, and where those after them come from."""
    try:
        [value] = decode([_PIECE], reply)
        types, values = decode_untyped(reply, _NAMES)
        token = _token(types[0], values[0])
    except CandidError as error:
        raise BadResponse(f"a piece of its body is not as the HTTP gateway protocol wants it: {error}") from error
    if value is None:
        return b"", None
    return value["body"], None if token is None else Callback(callback.canister_id, callback.method, token)


def _fields(request: WebRequest) -> dict[str, Any]:
    headers = [(name, _accepting(value) if name == _ENCODINGS else value) for name, value in request.headers]
    passed = [(name, value) for name, value in headers if name != _NOT_PASSED]
    return {"method": request.method, "url": request.url, "headers": passed, "body": request.body}


def _accepting(value: str) -> str:
    """The encodings that a browser accepts, and none at all: a canister may have a file in one form only."""
    encodings = [encoding.strip() for encoding in value.split(",")]
    return ", ".join(encodings if _PLAIN in map(str.lower, encodings) else [*encodings, _PLAIN])


def _callback(reply: bytes) -> Callback | None:
    types, values = decode_untyped(reply, _NAMES)
    strategy = values[0].get("streaming_strategy")
    if not isinstance(strategy, dict) or "Callback" not in strategy:
        return None
    place = _part(_part(types[0], "streaming_strategy"), "Callback")
    value = strategy["Callback"]
    token = _token(place, value)
    if not isinstance(value, dict) or not isinstance(value.get("callback"), Func) or token is None:
        raise BadResponse("the streaming strategy in its reply has no callback or no token")
    return Callback(value["callback"].principal, value["callback"].method, token)


def _token(place: Type, value: Any) -> bytes | None:
    """The message with the token in a record, at the type that the canister gave it; None if there is none."""
    if not isinstance(value, dict) or value.get("token") is None:
        return None
    return encode([_bare(_part(place, "token"))], [value["token"]])


def _part(place: Type, name: str) -> Type:
    """The type of a field; options around the record are looked through."""
    kind = _bare(place)
    fields = kind.fields if isinstance(kind, RecordType | VariantType) else ()
    return next((field.type for field in fields if field.name == name), kind)


def _bare(place: Type) -> Type:
    kind = place.resolve()
    return _bare(kind.inner) if isinstance(kind, OptType) else kind

"""The largest size of a user's request. Measured is the CBOR envelope as an agent sends it: with public key and
signature (Ed25519), except for the anonymous user and a canister as sender.

A call: `dfinity/ic` `rs/http_endpoints/public/src/call.rs` (HTTP 413); what counts is the envelope and its id
(`rs/types/types/src/messages/ingress_messages.rs`, `CountBytes`), the limit is that of application subnets
(`rs/limits/src/lib.rs`). A query: the API boundary nodes (`rs/boundary_node/ic_boundary/src/core.rs` and `errors.rs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sandbox.certify import cbor
from sandbox.certify.request_id import request_id
from sandbox.errors import RequestTooLarge
from sandbox.limits import INGRESS_PAYLOAD, QUERY_REQUEST
from sandbox.principal import Principal

_ID: Final = 32
_SIGNED: Final = {"sender_pubkey": bytes(44), "sender_sig": bytes(64)}
_SELF_AUTHENTICATING: Final = 2
"""The last byte of the principals of keys."""
_REST: Final = 4_096
"""An upper bound for everything in an envelope except method and argument."""


def large(method: str, arg: bytes) -> bool:
    """Check whether a request could be too large; the functions below measure it."""
    return len(arg) + 4 * len(method) + _REST > INGRESS_PAYLOAD


def check_call(content: Mapping[str, Any]) -> None:
    """`RequestTooLarge` if a call with this content would not be taken in."""
    size = _envelope(content) + _ID
    if size > INGRESS_PAYLOAD:
        raise RequestTooLarge(
            f"Request 0x{request_id(content).hex()} is too large. Message byte size {size} is larger than the max "
            f"allowed {INGRESS_PAYLOAD}."
        )


def check_query(content: Mapping[str, Any]) -> None:
    """`RequestTooLarge` if a query call with this content would not be passed on."""
    if _envelope(content) > QUERY_REQUEST:
        raise RequestTooLarge(f"error: payload_too_large\ndetails: maximum body size is {QUERY_REQUEST} bytes")


def _envelope(content: Mapping[str, Any]) -> int:
    """Bytes of the envelope with this content; copies no argument. A byte string has a head of the same size as the
    number that is its length."""
    argument: bytes = content["arg"]
    short = {name: _plain(value) for name, value in content.items() if value is not None} | {"arg": b""}
    signed = _SIGNED if bytes(content["sender"])[-1:] == bytes([_SELF_AUTHENTICATING]) else {}
    frame = len(cbor.dump_tagged({"content": short, **signed})) - len(cbor.dump(0))
    return frame + len(cbor.dump(len(argument))) + len(argument)


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, Principal) else value

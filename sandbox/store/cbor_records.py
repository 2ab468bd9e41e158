"""Open calls, callbacks and queued messages as CBOR: every record is a tag, its class and its fields by name.

One of four codecs of dataclasses: `store.records` writes canisters and the subnet field by field, this module the
dataclasses inside, `record.values` the inputs of a recording, and `record.state_hash` writes only, to hash. Each is a
format of its own and must not change with another.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import cbor2

from sandbox.errors import ErrorCode, Reject, RejectCode
from sandbox.principal import Principal
from sandbox.state import (
    Callback,
    CallContext,
    CanisterOrigin,
    Ingress,
    Keep,
    Policy,
    Request,
    Response,
    SenderInfo,
    Submission,
    SystemOrigin,
    Task,
    UserOrigin,
)

_PRINCIPAL, _RECORD, _CODE = 64_001, 64_002, 64_003
_CLASSES = {
    kind.__name__: kind
    for kind in (
        Callback,
        CallContext,
        CanisterOrigin,
        Ingress,
        Keep,
        Policy,
        Reject,
        Request,
        Response,
        SenderInfo,
        Submission,
        SystemOrigin,
        Task,
        UserOrigin,
    )
}


def to_cbor(value: Any) -> Any:
    """Return a value that CBOR can hold, from which `from_cbor` makes the same value."""
    if isinstance(value, Principal):
        return cbor2.CBORTag(_PRINCIPAL, bytes(value))
    if isinstance(value, ErrorCode | RejectCode):
        return cbor2.CBORTag(_CODE, [type(value).__name__, value.value])
    if is_dataclass(value) and not isinstance(value, type):
        content = [[field.name, to_cbor(getattr(value, field.name))] for field in fields(value)]
        return cbor2.CBORTag(_RECORD, [type(value).__name__, content])
    if isinstance(value, tuple | list):
        return [to_cbor(item) for item in value]
    return value


def from_cbor(value: Any) -> Any:
    """Return the value that `to_cbor` was given; sequences become tuples. `KeyError` for an unknown class."""
    if isinstance(value, cbor2.CBORTag):
        if value.tag == _PRINCIPAL:
            return Principal(value.value)
        name, content = value.value
        if value.tag == _CODE:
            return (ErrorCode if name == "ErrorCode" else RejectCode)(content)
        return _CLASSES[name](**{field: from_cbor(item) for field, item in content})
    if isinstance(value, tuple | list):
        return tuple(from_cbor(item) for item in value)
    return value

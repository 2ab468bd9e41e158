"""Candid, the interface language of the Internet Computer: types, text, binary codec, subtyping.

    interface = parse_did('service : { greet : (record { name : text }) -> (variant { ok : text }) query }')
    greet = interface.method("greet")
    request = encode(greet.args, [{"name": "World"}])
    [reply] = decode(greet.results, answer)  # {"ok": "Hello, World"}

Python values, the same in both directions, so that `decode(t, encode(t, v)) == v`:

| Candid                | decoded                      | also accepted when encoding                    |
|-----------------------|------------------------------|------------------------------------------------|
| null, reserved        | None                         | anything for reserved                          |
| bool, text            | bool, str                    |                                                |
| nat…, int…            | int                          |                                                |
| float32, float64      | float                        | int                                            |
| principal             | Principal                    | its text                                       |
| blob, vec nat8        | bytes                        | bytearray, memoryview, list or tuple of int    |
| vec t                 | list                         | tuple                                          |
| opt t                 | None or the value            | `Some(value)`                                  |
| opt t, t may be null  | None or `Some(value)`        | the value, unless it is None                   |
| record                | dict                         | no key where the field may be null; list, tuple|
| record { t; u }       | tuple                        | list, dict                                     |
| variant               | `{"tag": value}`             | `Variant("tag", value)`; `"tag"` for null      |
| func                  | `Func(principal, method)`    | a pair of principal and method name            |
| service               | `Service(principal)`         | Principal or its text                          |

`t may be null` where t is null, reserved or an option itself. A field or tag without a known name has the key
`_1224700491_`, and so has one whose name looks like that (`_1_` is always the field 1). Encoding accepts the name, the
number and `_number_` for every field. Unknown keys are errors.

All errors are `CandidError`s: `CandidSyntaxError` (text; says line and column), `CandidTypeError` (a value or type does
not fit; says the path), `CandidDecodeError` (bytes; says the offset). No input makes it hang or exhaust the stack:
values of messages are nested at most 100,000 levels, in both directions, whatever the caller has on the stack. Python's
own `==` and `repr` recurse and fail for values of more than some hundred levels.

Spec: dfinity/candid `spec/Candid.md`. This package knows no canister; it imports only errors and principals.
"""

from __future__ import annotations

from sandbox.candid.codec import decode, decode_to_text, decode_untyped, encode, encode_text, parse_values, values_text
from sandbox.candid.equality import same_type
from sandbox.candid.interface import Interface, field_names, load_did, parse_did, parse_type, parse_types
from sandbox.candid.labels import field_id
from sandbox.candid.subtyping import Verdict, explain_subtype, service_compatible, subtype
from sandbox.candid.type_base import Env, Field, Type
from sandbox.candid.types import (
    BLOB,
    BOOL,
    EMPTY,
    FLOAT32,
    FLOAT64,
    INT,
    INT8,
    INT16,
    INT32,
    INT64,
    NAT,
    NAT8,
    NAT16,
    NAT32,
    NAT64,
    NULL,
    PRINCIPAL,
    RESERVED,
    TEXT,
    FuncType,
    FutureType,
    NamedType,
    OptType,
    PrimType,
    RecordType,
    ServiceType,
    VariantType,
    VecType,
)
from sandbox.candid.values import Func, Service, Some, Variant

__all__ = [
    "BLOB",
    "BOOL",
    "EMPTY",
    "FLOAT32",
    "FLOAT64",
    "INT",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "NAT",
    "NAT8",
    "NAT16",
    "NAT32",
    "NAT64",
    "NULL",
    "PRINCIPAL",
    "RESERVED",
    "TEXT",
    "Env",
    "Field",
    "Func",
    "FuncType",
    "FutureType",
    "Interface",
    "NamedType",
    "OptType",
    "PrimType",
    "RecordType",
    "Service",
    "ServiceType",
    "Some",
    "Type",
    "Variant",
    "VariantType",
    "VecType",
    "Verdict",
    "decode",
    "decode_to_text",
    "decode_untyped",
    "encode",
    "encode_text",
    "explain_subtype",
    "field_id",
    "field_names",
    "load_did",
    "parse_did",
    "parse_type",
    "parse_types",
    "parse_values",
    "same_type",
    "service_compatible",
    "subtype",
    "values_text",
]

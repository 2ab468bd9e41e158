"""Users' messages have at most 2 MiB, queries 4 MiB: as a whole, in the envelope that an agent sends.

Sources: `dfinity/ic` `rs/http_endpoints/public/src/call.rs`, `rs/limits/src/lib.rs`,
`rs/types/types/src/messages/ingress_messages.rs` (`CountBytes`), `rs/boundary_node/ic_boundary/src/core.rs`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox import Canister, Principal, Sandbox
from sandbox.api.identity import private_key
from sandbox.certify.request_id import request_id
from sandbox.errors import RequestTooLarge
from tests.conftest import guest, number, with_section

MIB = 1 << 20
FIVE_MINUTES = 300_000_000_000
SIZE = """
(func (export "canister_update x") (call $reply64 (i64.extend_i32_u (call $msg_arg_data_size))))
(func (export "canister_query x") (call $reply64 (i64.extend_i32_u (call $msg_arg_data_size))))
"""
UPDATES = guest(SIZE.replace('"canister_query x"', '"canister_query q"'))
Install = Callable[..., Canister]


@pytest.fixture
def canister(install: Install) -> Canister:
    return install(UPDATES)


def envelope(sandbox: Sandbox, canister: Canister, user: str, **more: Any) -> tuple[dict[str, Any], bytes]:
    """The content of a call without an argument, and what an agent sends for it."""
    content = {
        "request_type": "call",
        "canister_id": bytes(canister.id),
        "method_name": "x",
        "arg": b"",
        "sender": bytes(sandbox.identity(user)),
        "ingress_expiry": sandbox.time + FIVE_MINUTES,
        **more,
    }
    whole: dict[str, Any] = {"content": content}
    if user != "anonymous":
        key = private_key(user)
        whole["sender_pubkey"] = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        whole["sender_sig"] = key.sign(b"\x0aic-request" + request_id(content))
    return content, cbor2.dumps(cbor2.CBORTag(55_799, whole))


def most(limit: int, frame: bytes) -> int:
    """The longest argument: its head takes 5 bytes, where none has 1."""
    return limit - len(frame) - 4


@pytest.mark.parametrize("user", ["anonymous", "alice"])
def test_an_update_call_has_two_mebibytes_with_its_id(user: str, canister: Canister, sandbox: Sandbox) -> None:
    sender = sandbox.identity(user)
    content, frame = envelope(sandbox, canister, user)
    longest = most(2 * MIB - 32, frame)
    assert number(canister.update("x", bytes(longest), sender).reply) == longest
    before = sandbox.state_hash()
    with pytest.raises(RequestTooLarge) as refused:
        canister.update("x", bytes(longest + 1), sender)
    name = request_id(content | {"arg": bytes(longest + 1)})
    assert str(refused.value) == (
        f"Request 0x{name.hex()} is too large. Message byte size 2097153 is larger than the max allowed 2097152."
    )
    assert sandbox.state_hash() == before


def test_a_call_that_is_submitted_with_its_nonce(canister: Canister, sandbox: Sandbox) -> None:
    how: dict[str, Any] = {"nonce": bytes(32), "ingress_expiry": sandbox.time + 1_000_000_000}
    _, frame = envelope(sandbox, canister, "anonymous", **how)
    longest = most(2 * MIB - 32, frame)
    before = sandbox.state_hash()
    with pytest.raises(RequestTooLarge, match="larger than the max allowed 2097152"):
        sandbox.submit(canister, "x", bytes(longest + 1), **how)
    assert sandbox.state_hash() == before
    sandbox.submit(canister, "x", bytes(longest), **how)


def test_the_method_counts_too(canister: Canister) -> None:
    with pytest.raises(RequestTooLarge):
        canister.update("\u00e9" * MIB)


@pytest.mark.parametrize("user", ["anonymous", "alice"])
def test_a_query_call_has_four_mebibytes(user: str, canister: Canister, sandbox: Sandbox) -> None:
    sender = sandbox.identity(user)
    _, frame = envelope(sandbox, canister, user, request_type="query", method_name="q")
    longest = most(4 * MIB, frame)
    assert number(canister.query_raw("q", bytes(longest), sender).reply) == longest
    with pytest.raises(RequestTooLarge, match="maximum body size is 4194304 bytes"):
        canister.query_raw("q", bytes(longest + 1), sender)


def test_calls_of_the_management_canister(canister: Canister, sandbox: Sandbox) -> None:
    owner = sandbox.identity("default")
    large = _large_module()
    arg = {"mode": {"reinstall": None}, "canister_id": canister.id, "wasm_module": large, "arg": b""}
    with pytest.raises(RequestTooLarge):
        sandbox.management.call("install_code", arg, sender=owner)
    with pytest.raises(RequestTooLarge):
        sandbox.management.query_raw("canister_status", bytes(5 * MIB))


def test_installing_takes_modules_of_any_size(canister: Canister) -> None:
    """As tools do it, by way of the chunk store."""
    canister.install(_large_module(), mode="reinstall")
    assert number(canister.update("x", b"123").reply) == 3


def test_canisters_send_each_other_more() -> None:
    sandbox = Sandbox()
    sender, canister = sandbox.create_canister(), sandbox.create_canister()
    sender.install(guest(SENDER))
    canister.install(UPDATES)
    assert number(sender.update("send", bytes(canister.id)).reply) == 5 * MIB


SENDER = """
(table funcref (elem $answered))
(data (i32.const 100) "x")
(func $answered (param i32) (call $msg_arg_data_copy (i32.const 200) (i32.const 0) (i32.const 8))
  (call $reply (i32.const 200) (i32.const 8)))
(func (export "canister_update send") (local $at i32)
  (drop (memory.grow (i32.const 90)))
  (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 10))
  (call $call_new (i32.const 0) (i32.const 10) (i32.const 100) (i32.const 1)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
  (call $call_data_append (i32.const 65536) (i32.const 5242880))
  (drop (call $call_perform)))
"""


def _large_module() -> bytes:
    """A module of 3 MiB: with sections that nobody reads."""
    module = UPDATES
    for index in range(220):
        module = with_section(module, f"pad{index}", bytes(16_000))
    assert len(module) > 3 * MIB
    return module


def test_a_canister_as_sender_signs_nothing(canister: Canister, sandbox: Sandbox) -> None:
    """It never calls by ingress on the platform; here it may, with an envelope like that of the anonymous user."""
    _, frame = envelope(sandbox, canister, "anonymous", sender=bytes(canister.id))
    longest = most(2 * MIB - 32, frame)
    sender = Principal(bytes(canister.id))
    assert number(canister.update("x", bytes(longest), sender).reply) == longest
    with pytest.raises(RequestTooLarge):
        canister.update("x", bytes(longest + 1), sender)

"""Claims about who sent a request: interface specification, "Authentication", "Signatures"."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import cbor2
import pytest

from sandbox import Canister, Principal, Sandbox
from sandbox.candid import decode, parse_type
from sandbox.certify.certificate import data_path
from sandbox.certify.forest import build
from sandbox.certify.hash_tree import to_plain
from tests.certify.guests import CERTIFIED
from tests.conftest import fixture, guest
from tests.http.client import MINUTE, Client
from tests.http.users import (
    ANONYMOUS,
    CANISTER,
    User,
    body,
    ed25519_user,
    p256_user,
    secp256k1_user,
    webauthn_ed25519_user,
    webauthn_p256_user,
    webauthn_rsa_user,
    wrapped,
)

SCHEMES = [ed25519_user, p256_user, secp256k1_user, webauthn_p256_user, webauthn_ed25519_user, webauthn_rsa_user]


class Asked(Client):
    """A client of a counter, which knows who calls it."""

    def __init__(self) -> None:
        super().__init__()
        counter = self.sandbox.create_canister()
        counter.install(fixture("counter.enhanced"))
        self.counter = counter.id

    def whoami(self, user: User) -> Principal | tuple[int, str]:
        """Who the canister says that `user` is, or the refusal."""
        return self.ask("query", user.envelope(self.content("query", self.counter, "whoami", user)))

    def ask(self, kind: str, envelope: dict[str, Any]) -> Principal | tuple[int, str]:
        answer = self.send(f"/api/v3/canister/{self.counter}/{kind}", body(envelope))
        if answer.status != 200:
            return answer.status, answer.body.decode()
        if kind == "call":
            reply = self.outcome(answer, envelope["content"])["reply"]
        else:
            reply = cbor2.loads(answer.body)["reply"]["arg"]
        [caller] = decode([parse_type("principal")], reply)
        assert isinstance(caller, Principal)
        return caller


@pytest.fixture(scope="module")
def asked() -> Asked:
    return Asked()


def refused(said: Principal | tuple[int, str]) -> str:
    assert isinstance(said, tuple)
    status, text = said
    assert status == 400
    return text


def test_a_request_without_a_signature_is_the_anonymous_users(asked: Asked) -> None:
    assert asked.whoami(ANONYMOUS) == Principal.anonymous()


@pytest.mark.parametrize("make", SCHEMES, ids=lambda make: make.__name__)
def test_a_signature_of_every_scheme_proves_the_sender(asked: Asked, make: Callable[[], User]) -> None:
    user = make()
    content = asked.content("call", asked.counter, "whoami", user)
    assert asked.ask("call", user.envelope(content)) == user.principal


@pytest.mark.parametrize("make", SCHEMES, ids=lambda make: make.__name__)
def test_a_signature_of_another_content_is_refused(asked: Asked, make: Callable[[], User]) -> None:
    user = make()
    envelope = user.envelope(asked.content("query", asked.counter, "whoami", user))
    envelope["content"]["arg"] += b"\0"
    assert refused(asked.ask("query", envelope)).startswith("Invalid signature")


@pytest.mark.parametrize("make", SCHEMES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("field", ["sender_pubkey", "sender_sig"])
def test_no_damaged_key_or_signature_is_accepted(asked: Asked, make: Callable[[], User], field: str) -> None:
    user = make()
    envelope = user.envelope(asked.content("query", asked.counter, "whoami", user))
    whole = envelope[field]
    for damaged in (b"", whole[:-1], bytes([whole[0] ^ 1]) + whole[1:], whole[:-1] + bytes([whole[-1] ^ 1])):
        envelope[field] = damaged
        if field == "sender_pubkey":
            envelope["content"]["sender"] = bytes(Principal.self_authenticating(damaged))
        refused(asked.ask("query", envelope))


def canister_user(sandbox: Sandbox) -> tuple[Canister, User]:
    """A canister that signs, and a user for whom it does."""
    signer = sandbox.create_canister()
    signer.install(CERTIFIED)
    seed = b"seed"
    key = wrapped(CANISTER, bytes([len(bytes(signer.id))]) + bytes(signer.id) + seed)

    def sign(message: bytes) -> bytes:
        path = hashlib.sha256(seed).digest(), hashlib.sha256(message).digest()
        tree = build({b"sig": {path[0]: {path[1]: b""}}})
        signer.update("set", tree.digest)
        certificate = sandbox.certificate([data_path(signer.id)])
        return cbor2.dumps(cbor2.CBORTag(55799, {"certificate": certificate, "tree": to_plain(tree)}))

    return signer, User(key, sign)


def test_a_canister_signs(asked: Asked) -> None:
    signer, user = canister_user(asked.sandbox)
    assert asked.whoami(user) == user.principal
    session = ed25519_user()
    assert asked.whoami(user.delegating_to(session, expiration=asked.now + MINUTE)) == user.principal
    envelope = user.envelope(asked.content("query", asked.counter, "whoami", user))
    signer.update("set", b"")
    envelope["sender_sig"] = cbor2.dumps(
        {**dict(cbor2.loads(envelope["sender_sig"])), "certificate": asked.sandbox.certificate([data_path(signer.id)])}
    )
    assert "certified data" in refused(asked.ask("query", envelope))


def test_a_canister_of_another_network_does_not_sign(asked: Asked) -> None:
    elsewhere = Sandbox(seed=9)
    signer = elsewhere.create_canister()
    signer.install(CERTIFIED)

    def sign(message: bytes) -> bytes:
        path = hashlib.sha256(b"").digest(), hashlib.sha256(message).digest()
        tree = build({b"sig": {path[0]: {path[1]: b""}}})
        signer.update("set", tree.digest)
        return cbor2.dumps({"certificate": elsewhere.certificate([data_path(signer.id)]), "tree": to_plain(tree)})

    user = User(wrapped(CANISTER, bytes([len(bytes(signer.id))]) + bytes(signer.id)), sign)
    assert "signature of the certificate is wrong" in refused(asked.whoami(user))


def test_the_anonymous_user_signs_nothing(asked: Asked) -> None:
    envelope = ed25519_user().envelope(asked.content("query", asked.counter, "whoami", ANONYMOUS))
    assert refused(asked.ask("query", envelope)) == "Signature is not allowed for the anonymous user."


def test_all_others_sign(asked: Asked) -> None:
    user = ed25519_user()
    envelope = {"content": asked.content("query", asked.counter, "whoami", user)}
    assert refused(asked.ask("query", envelope)) == f"Missing signature from user: {user.principal}"


def test_nobody_signs_for_another(asked: Asked) -> None:
    envelope = ed25519_user().envelope(asked.content("query", asked.counter, "whoami", ed25519_user()))
    assert "does not match the public key" in refused(asked.ask("query", envelope))


@pytest.mark.parametrize("late", [-1, 330_000_000_001])
def test_a_request_expires(asked: Asked, late: int) -> None:
    content = asked.content("query", asked.counter, "whoami", ANONYMOUS, ingress_expiry=asked.now + late)
    assert refused(asked.ask("query", {"content": content})).startswith("Invalid request expiry")


# --- delegations


def test_a_chain_of_delegations_speaks_for_its_first_key(asked: Asked) -> None:
    user, between, session = p256_user(), ed25519_user(), secp256k1_user()
    chained = user.delegating_to(between, expiration=asked.now + MINUTE)
    last = User(between.public_key, between.sign).delegating_to(session, expiration=asked.now + MINUTE)
    sender = User(user.public_key, session.sign, (*chained.chain, *last.chain))
    assert asked.whoami(sender) == user.principal


def test_a_delegation_expires(asked: Asked) -> None:
    sender = ed25519_user().delegating_to(ed25519_user(), expiration=asked.now - 1)
    assert refused(asked.whoami(sender)).startswith("Invalid delegation expiry")


def test_a_delegation_that_another_key_signed_is_refused(asked: Asked) -> None:
    user, session = ed25519_user(), ed25519_user()
    forged = ed25519_user().delegating_to(session, expiration=asked.now + MINUTE)
    assert refused(asked.whoami(User(user.public_key, session.sign, forged.chain))).startswith("Invalid delegation")


def test_a_chain_that_returns_to_a_key_is_refused(asked: Asked) -> None:
    user = ed25519_user()
    assert "cycle" in refused(asked.whoami(user.delegating_to(user, expiration=asked.now + MINUTE)))


def test_a_delegation_is_for_its_targets(asked: Asked) -> None:
    user, session, terms = ed25519_user(), ed25519_user(), {"expiration": asked.now + MINUTE}
    other = bytes(Principal.from_index(77))
    here = user.delegating_to(session, targets=[other, bytes(asked.counter)], **terms)
    assert asked.whoami(here) == user.principal
    elsewhere = user.delegating_to(session, targets=[other], **terms)
    assert refused(asked.whoami(elsewhere)) == f"Canister {asked.counter} is not one of the delegation targets."
    further = User(session.public_key, session.sign).delegating_to(p256_user(), targets=[other], **terms)
    both = User(user.public_key, further.sign, (*here.chain, *further.chain))
    assert "not one of the delegation targets" in refused(asked.whoami(both))


@pytest.mark.parametrize(("permissions", "call"), [("all", True), ("queries", False)])
def test_a_delegation_may_permit_queries_only(asked: Asked, permissions: str, call: bool) -> None:
    user = ed25519_user()
    sender = user.delegating_to(ed25519_user(), expiration=asked.now + MINUTE, permissions=permissions)
    assert asked.whoami(sender) == user.principal
    said = asked.ask("call", sender.envelope(asked.content("call", asked.counter, "whoami", sender)))
    assert said == user.principal if call else "queries only" in refused(said)


def test_unknown_permissions_are_refused(asked: Asked) -> None:
    sender = ed25519_user().delegating_to(ed25519_user(), expiration=asked.now + MINUTE, permissions="cook")
    assert "Unknown permissions: cook" in refused(asked.whoami(sender))


def test_a_chain_has_at_most_twenty_delegations(asked: Asked) -> None:
    user = link = ed25519_user()
    chain: list[dict[str, Any]] = []
    for count in range(1, 22):
        following = ed25519_user()
        chain += User(link.public_key, link.sign).delegating_to(following, expiration=asked.now + MINUTE).chain
        link = following
        said = asked.whoami(User(user.public_key, link.sign, tuple(chain)))
        assert said == user.principal if count <= 20 else "too long" in refused(said)


# --- content


TELLS = """
(func $tell (export "canister_query who") (export "canister_update who_in_update")
  (call $msg_caller_info_signer_copy (i32.const 8) (i32.const 0) (call $msg_caller_info_signer_size))
  (call $msg_caller_info_data_copy (i32.const 100) (i32.const 0) (call $msg_caller_info_data_size))
  (call $msg_reply_data_append (i32.const 8) (call $msg_caller_info_signer_size))
  (call $msg_reply_data_append (i32.const 100) (call $msg_caller_info_data_size))
  (call $msg_reply))
(func (export "canister_update who_later")
  (call $call_new (i32.const 300) (i32.const 0) (i32.const 400) (i32.const 8)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
  (drop (call $call_perform)))
(func (export "canister_inspect_message")
  (if (i32.or (i32.eqz (call $msg_caller_info_data_size)) (i32.lt_u (call $msg_caller_info_data_size) (i32.const 9)))
    (then (call $accept_message))))
(func $later (param i32) (call $tell))
(table 1 funcref)
(elem (i32.const 0) $later)
(data (i32.const 400) "raw_rand")
"""
"""Tells what is said of its caller: also after a call, and takes no call of which more than 8 bytes are said."""


def test_a_canister_may_say_something_of_its_user() -> None:
    asked = Client()
    tells = asked.sandbox.create_canister()
    tells.install(guest(TELLS))
    signer, user = canister_user(asked.sandbox)
    assert user.sign is not None
    info = {"info": b"is adult", "signer": bytes(signer.id), "sig": user.sign(b"\x0eic-sender-info" + b"is adult")}
    content = asked.content("query", tells.id, "who", user, sender_info=info)
    answer = asked.send(f"/api/v3/canister/{tells.id}/query", body(user.envelope(content)))
    assert cbor2.loads(answer.body)["reply"]["arg"] == bytes(signer.id) + b"is adult"
    for method in ("who_in_update", "who_later"):
        content = asked.content("call", tells.id, method, user, sender_info=info)
        answer = asked.send(f"/api/v4/canister/{tells.id}/call", body(user.envelope(content)))
        assert asked.outcome(answer, content)["reply"] == bytes(signer.id) + b"is adult"
    long = {**info, "info": b"is an adult", "sig": user.sign(b"\x0eic-sender-info" + b"is an adult")}
    answer = asked.call(tells.id, "who_in_update", user, sender_info=long)
    assert cbor2.loads(answer.body)["error_code"] == "IC0406"
    assert asked.sandbox.update(tells.id, "who_in_update", b"").reply == b""


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"info": b"is king"}, "Invalid sender info: the signing canister did not sign the content"),
        ({"signer": b"\x04"}, "Invalid sender info: its signer is not"),
        ({"sig": b""}, "Invalid sender info"),
        ({"sig": None}, "Malformed request: the field sig is missing"),
    ],
)
def test_nobody_else_says_it(asked: Asked, changed: dict[str, Any], says: str) -> None:
    signer, user = canister_user(asked.sandbox)
    assert user.sign is not None
    info = {"info": b"x", "signer": bytes(signer.id), "sig": user.sign(b"\x0eic-sender-info" + b"x"), **changed}
    content = asked.content("query", asked.counter, "whoami", user, sender_info=info)
    assert refused(asked.ask("query", user.envelope(content))).startswith(says)


@pytest.mark.parametrize("make", [ed25519_user, lambda: ANONYMOUS])
def test_users_with_keys_of_their_own_have_no_info(asked: Asked, make: Callable[[], User]) -> None:
    user = make()
    info = {"info": b"x", "signer": b"\x04", "sig": b""}
    content = asked.content("query", asked.counter, "whoami", user, sender_info=info)
    assert "only the user of a canister signature" in refused(asked.ask("query", user.envelope(content)))


def test_a_nonce_has_at_most_32_bytes(asked: Asked) -> None:
    for size, taken in ((0, True), (32, True), (33, False)):
        content = asked.content("query", asked.counter, "whoami", ANONYMOUS, nonce=bytes(size))
        said = asked.ask("query", {"content": content})
        assert said == Principal.anonymous() if taken else "Nonce" in refused(said)


def test_unknown_fields_are_ignored_and_not_signed(asked: Asked) -> None:
    user = ed25519_user()
    envelope = user.envelope(asked.content("query", asked.counter, "whoami", user))
    envelope["content"]["future"], envelope["future"] = 1, 2
    assert asked.ask("query", envelope) == user.principal

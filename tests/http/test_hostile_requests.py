"""Whatever bytes come, the answer is one of the interface's: never an error of ours, and never late."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.http.answer import Answer
from tests.conftest import fixture
from tests.http.client import Client
from tests.http.users import body, ed25519_user

CLIENT = Client()
USER = ed25519_user()
ENDPOINTS = ["v2/canister/{}/call", "v4/canister/{}/call", "v3/canister/{}/query", "v3/canister/{}/read_state"]
LEAVES = st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.binary(max_size=40) | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
TAGGED = st.builds(lambda tag, value: cbor2.CBORTag(tag, value), st.integers(0, 60_000), VALUES)


@pytest.fixture(scope="module", autouse=True)
def counter() -> str:
    made = CLIENT.sandbox.create_canister()
    made.install(fixture("counter.enhanced"))
    return str(made.id)


def asked(endpoint: str, counter: str, sent: bytes) -> Answer:
    answer = CLIENT.send("/api/" + endpoint.format(counter), sent)
    assert answer.status in (200, 202, 400, 403, 404, 413), answer.body
    return answer


@given(endpoint=st.sampled_from(ENDPOINTS), sent=st.binary(max_size=200))
def test_any_bytes(counter: str, endpoint: str, sent: bytes) -> None:
    assert asked(endpoint, counter, sent).status == 400


@given(endpoint=st.sampled_from(ENDPOINTS), value=VALUES | TAGGED)
def test_any_cbor(counter: str, endpoint: str, value: Any) -> None:
    assert asked(endpoint, counter, cbor2.dumps(value)).status == 400


def envelope(endpoint: str) -> dict[str, Any]:
    kind = endpoint.rpartition("/")[2]
    if kind == "read_state":
        return USER.envelope(CLIENT.reading([(b"time",)], USER))
    return USER.envelope(CLIENT.content(kind, CLIENT.sandbox.canisters()[0].id, "get", USER))


FIELDS = ["request_type", "sender", "ingress_expiry", "canister_id", "method_name", "arg", "nonce", "paths"]


@given(endpoint=st.sampled_from(ENDPOINTS), name=st.sampled_from(FIELDS), value=VALUES)
def test_any_value_in_a_field_of_the_content(counter: str, endpoint: str, name: str, value: Any) -> None:
    sent = envelope(endpoint)
    sent["content"][name] = value
    asked(endpoint, counter, body(sent))
    sent = {"content": {**sent["content"], "sender": b"\4", name: value}}
    asked(endpoint, counter, body(sent))


OUTER = ["content", "sender_pubkey", "sender_sig", "sender_delegation"]


@given(endpoint=st.sampled_from(ENDPOINTS), name=st.sampled_from(OUTER), value=VALUES)
def test_any_value_in_a_field_of_the_envelope(counter: str, endpoint: str, name: str, value: Any) -> None:
    asked(endpoint, counter, body({**envelope(endpoint), name: value}))


DELEGATIONS = st.lists(
    st.fixed_dictionaries(
        {"signature": st.binary(max_size=70) | VALUES},
        optional={
            "delegation": st.fixed_dictionaries(
                {"pubkey": st.binary(max_size=100) | VALUES},
                optional={"expiration": LEAVES, "targets": st.lists(LEAVES, max_size=3), "permissions": LEAVES},
            )
        },
    ),
    min_size=1,
    max_size=3,
)


@given(endpoint=st.sampled_from(ENDPOINTS), chain=DELEGATIONS)
def test_any_delegations(counter: str, endpoint: str, chain: list[Any]) -> None:
    assert asked(endpoint, counter, body({**envelope(endpoint), "sender_delegation": chain})).status == 400


@given(
    paths=st.lists(st.lists(st.binary(max_size=32) | st.sampled_from([b"time", b"subnet", b"canister"]), max_size=5))
)
def test_any_paths(counter: str, paths: list[list[bytes]]) -> None:
    answer = CLIENT.read(f"canister/{counter}", paths)
    assert answer.status in (200, 400, 403, 404)


@given(cut=st.integers(0, 500), endpoint=st.sampled_from(ENDPOINTS))
def test_an_envelope_that_is_cut_off(counter: str, cut: int, endpoint: str) -> None:
    whole = body(envelope(endpoint))
    assert asked(endpoint, counter, whole[: min(cut, len(whole) - 1)]).status == 400


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_deep_nesting_and_promised_lengths(counter: str, endpoint: str) -> None:
    for sent in (
        b"\x81" * 100_000,
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\x7f" + b"\xff" * 7,
        b"\xa1" * 50_000,
    ):
        assert asked(endpoint, counter, sent).status == 400

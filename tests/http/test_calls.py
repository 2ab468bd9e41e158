"""Claims about calls and queries: interface specification, "Request: Call", "Query call", "Effective canister id"."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sandbox import Principal
from sandbox.candid import encode_text
from sandbox.certify.hash_tree import Found
from sandbox.certify.request_id import hash_of_map, request_id
from tests.conftest import fixture
from tests.http.client import EMPTY, MINUTE, Client
from tests.http.users import ANONYMOUS, body, ed25519_user

MANAGEMENT = Principal.management()
COUNTER = fixture("counter.enhanced")


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def counter(client: Client) -> Principal:
    made = client.sandbox.create_canister()
    made.install(COUNTER)
    return made.id


def decoded(answer: Any) -> Any:
    assert answer.status == 200, answer.body
    return cbor2.loads(answer.body)


def test_the_status_has_the_root_key(client: Client) -> None:
    status = decoded(client.send("/api/v2/status", b"", "GET"))
    assert status["root_key"] == client.sandbox.root_key
    assert status["replica_health_status"] == "healthy"


def test_time_follows_the_clock_and_never_goes_back(client: Client) -> None:
    before = client.sandbox.time
    client.now += MINUTE
    client.replica.advance()
    assert client.sandbox.time == before + MINUTE == client.now
    client.now -= 2 * MINUTE
    client.replica.advance()
    assert client.sandbox.time == before + MINUTE


def test_a_call_is_answered_with_a_certificate_of_its_reply(client: Client, counter: Principal) -> None:
    content = client.content("call", counter, "inc", ANONYMOUS)
    answer = client.call(counter, "inc")
    assert decoded(answer)["status"] == "replied"
    assert client.outcome(answer, content) == {"status": b"replied", "reply": encode_text("(1 : nat)")}


def test_a_trap_is_answered_with_a_certificate_of_the_reject(client: Client, counter: Principal) -> None:
    content = client.content("call", counter, "boom", ANONYMOUS)
    answer = client.call(counter, "boom")
    assert decoded(answer)["status"] == "replied"
    said = client.outcome(answer, content)
    assert (said["status"], said["reject_code"], said["error_code"]) == (b"rejected", b"\x05", b"IC0503")
    assert b"boom: on purpose" in said["reject_message"]


def test_version_2_accepts_a_call_and_read_state_tells_its_answer(client: Client, counter: Principal) -> None:
    user = ed25519_user()
    content = client.content("call", counter, "inc", user, nonce=b"n" * 32)
    accepted = client.send(f"/api/v2/canister/{counter}/call", body(user.envelope(content)))
    assert (accepted.status, accepted.body) == (202, b"")
    read = client.read(f"canister/{counter}", [(b"request_status", request_id(content))], user)
    assert client.outcome(read, content)["reply"] == encode_text("(1 : nat)")


def test_the_same_call_again_is_not_executed_again(client: Client, counter: Principal) -> None:
    first, second = client.call(counter, "inc"), client.call(counter, "inc")
    content = client.content("call", counter, "inc", ANONYMOUS)
    assert client.outcome(first, content) == client.outcome(second, content)
    assert client.sandbox.canister(counter).call("get") == 1
    assert client.outcome(client.call(counter, "inc", nonce=b"another"), {**content, "nonce": b"another"})[
        "reply"
    ] == encode_text("(2 : nat)")


@pytest.mark.parametrize(("version", "status"), [("v2", {}), ("v4", {"status": "non_replicated_rejection"})])
def test_a_call_that_is_not_let_in_is_answered_without_a_certificate(
    client: Client, version: str, status: dict[str, str]
) -> None:
    missing = Principal.from_index(77)
    content = client.content("call", missing, "inc", ANONYMOUS)
    answer = decoded(client.send(f"/api/{version}/canister/{missing}/call", body({"content": content})))
    text = answer.pop("reject_message")
    assert answer == {**status, "reject_code": 3, "error_code": "IC0301"}
    assert str(missing) in text


def test_a_call_beyond_two_mebibytes_is_too_large(client: Client, counter: Principal) -> None:
    assert client.call(counter, "echo", arg=bytes(1 << 21)).status == 413
    assert client.query(counter, "get", arg=bytes(1 << 22)).status == 413


def test_a_query_is_signed_by_the_node_whose_key_is_in_the_state_tree(client: Client, counter: Principal) -> None:
    for method in ("get", "no_such_query"):
        answer = decoded(client.query(counter, method))
        [signed] = answer.pop("signatures")
        subnet = bytes(client.sandbox.subnet_id)
        path = (b"subnet", subnet, b"node", signed["identity"], b"public_key")
        key = client.verified(client.read(f"canister/{counter}", [path])).lookup(path)
        assert isinstance(key, Found)
        name = request_id(client.content("query", counter, method, ANONYMOUS))
        digest = hash_of_map({**answer, "timestamp": signed["timestamp"], "request_id": name})
        load_der_public_key(key.value).verify(signed["signature"], b"\x0bic-response" + digest)  # type: ignore


def test_a_query_says_what_the_canister_says(client: Client, counter: Principal) -> None:
    client.call(counter, "inc")
    answer = decoded(client.query(counter, "get"))
    assert (answer["status"], answer["reply"]) == ("replied", {"arg": encode_text("(1 : nat)")})
    answer = decoded(client.query(counter, "boom_in_query"))
    assert (answer["status"], answer["reject_code"], answer["error_code"]) == ("rejected", 5, "IC0503")


def test_answers_have_no_self_describing_tag(client: Client, counter: Principal) -> None:
    for answer in (client.call(counter, "inc"), client.query(counter, "get"), client.read(f"canister/{counter}", [])):
        assert answer.body[:1] not in (b"\xd9", b"")
        assert answer.content_type == "application/cbor"


def test_a_request_without_the_tag_is_read_too(client: Client, counter: Principal) -> None:
    content = client.content("query", counter, "get", ANONYMOUS)
    answer = client.send(f"/api/v2/canister/{counter}/query", cbor2.dumps({"content": content}))
    assert decoded(answer)["status"] == "replied"


def test_the_url_must_name_the_canister_that_is_called(client: Client, counter: Principal) -> None:
    content = client.content("call", counter, "inc", ANONYMOUS)
    other = Principal.from_index(77)
    answer = client.send(f"/api/v4/canister/{other}/call", body({"content": content}))
    assert answer.status == 400
    assert answer.body.decode() == (
        f"Specified CanisterId {counter} does not match effective canister id in URL {other}"
    )


def test_the_url_of_a_management_call_must_name_the_canister_in_its_argument(client: Client) -> None:
    user = ed25519_user()
    target = client.sandbox.create_canister(controllers=[user.principal]).id
    arg = encode_text(f'(record {{ canister_id = principal "{target}" }})')
    content = client.content("call", MANAGEMENT, "canister_status", user, arg=arg)
    envelope = body(user.envelope(content))
    assert client.send(f"/api/v4/canister/{Principal.from_index(77)}/call", envelope).status == 400
    assert client.outcome(client.send(f"/api/v4/canister/{target}/call", envelope), content)["status"] == b"replied"


def test_a_canister_is_created_with_any_canister_in_the_url(client: Client) -> None:
    user = ed25519_user()
    arg = encode_text("(record {})")
    content = client.content("call", MANAGEMENT, "provisional_create_canister_with_cycles", user, arg=arg)
    where = f"/api/v4/canister/{Principal.from_index(77)}/call"
    assert client.outcome(client.send(where, body(user.envelope(content))), content)["status"] == b"replied"
    [created] = client.sandbox.canisters()
    assert tuple(created.status().settings.controllers) == (user.principal,)


def test_at_the_subnet_only_some_methods_of_the_management_canister_may_be_called(client: Client) -> None:
    where = f"/api/v4/subnet/{client.sandbox.subnet_id}/call"
    content = client.content("call", MANAGEMENT, "create_canister", ANONYMOUS, arg=encode_text("(record {})"))
    assert client.outcome(client.send(where, body({"content": content})), content)["status"] == b"rejected"
    content = client.content("call", MANAGEMENT, "install_code", ANONYMOUS)
    assert client.send(where, body({"content": content})).status == 400
    elsewhere = client.send(f"/api/v4/subnet/{Principal.from_index(7)}/call", body({"content": content}))
    assert elsewhere.status == 400
    assert b"the only one is" in elsewhere.body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/v2/nothing", 404),
        ("POST", "/api/v2/status", 405),
        ("GET", "/api/v3/canister/aaaaa-aa/query", 405),
        ("POST", "/api/v4/canister/aaaaa-aa/query", 404),
        ("POST", "/api/v3/canister/not-a-principal/query", 400),
        ("POST", "/api/v3/canister/aaaaa-aa/query", 400),
    ],
)
def test_other_requests_are_refused(client: Client, method: str, path: str, status: int) -> None:
    assert client.send(path, b"", method).status == status
    assert EMPTY not in client.send(path, b"", method).body

"""Claims about who may read what: interface specification, "Request: Read state"."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sandbox import Canister, Principal
from sandbox.certify.hash_tree import Found, Missing
from sandbox.certify.request_id import request_id
from sandbox.limits import READ_STATE_LABELS, READ_STATE_PATHS
from tests.conftest import fixture
from tests.http.client import MINUTE, Client
from tests.http.users import ANONYMOUS, User, body, ed25519_user

OWNER = ed25519_user()


@pytest.fixture(scope="module")
def client() -> Client:
    return Client()


@pytest.fixture(scope="module")
def counter(client: Client) -> Canister:
    made = client.sandbox.create_canister(controllers=[OWNER.principal])
    made.install(fixture("counter.enhanced"), sender=OWNER.principal)
    return made


def refused(client: Client, where: str, paths: Sequence[Sequence[bytes]], user: User = ANONYMOUS) -> tuple[int, str]:
    answer = client.read(where, paths, user)
    return answer.status, answer.body.decode()


def test_anybody_reads_module_hash_and_controllers(client: Client, counter: Canister) -> None:
    place = (b"canister", bytes(counter.id))
    certificate = client.verified(
        client.read(f"canister/{counter.id}", [(*place, b"module_hash"), (*place, b"controllers")])
    )
    assert certificate.time == client.sandbox.time
    found = certificate.lookup((*place, b"module_hash"))
    assert isinstance(found, Found)
    assert found.value == counter.status().module_hash
    assert isinstance(certificate.lookup((*place, b"controllers")), Found)
    assert certificate.lookup((*place, b"certified_data")) is Missing.UNKNOWN


def test_time_is_read_with_every_path_and_alone(client: Client, counter: Canister) -> None:
    for paths in ([], [(b"time",)]):
        assert client.verified(client.read(f"canister/{counter.id}", paths)).time == client.sandbox.time


def test_what_is_not_there_is_proven_absent(client: Client, counter: Canister) -> None:
    def absent(canister_id: Principal, *path: bytes) -> bool:
        certificate = client.verified(client.read(f"canister/{canister_id}", [path]))
        return certificate.lookup(path) is Missing.ABSENT

    for canister_id in (client.sandbox.create_canister().id, Principal.from_index(77)):
        assert absent(canister_id, b"canister", bytes(canister_id), b"module_hash")
    assert absent(counter.id, b"canister", bytes(counter.id), b"metadata", b"nothing")
    assert absent(counter.id, b"request_status", bytes(32))


def test_public_metadata_are_for_anybody_and_private_ones_for_controllers(client: Client, counter: Canister) -> None:
    place, where = (b"canister", bytes(counter.id), b"metadata"), f"canister/{counter.id}"
    public, private = (*place, b"candid:service"), (*place, b"motoko:stable-types")
    assert isinstance(client.verified(client.read(where, [public])).lookup(public), Found)
    assert isinstance(client.verified(client.read(where, [private], OWNER)).lookup(private), Found)
    status, text = refused(client, where, [private])
    assert (status, text.partition(" can ")[0]) == (403, "Custom section motoko:stable-types")
    assert refused(client, where, [private], ed25519_user())[0] == 403
    assert refused(client, where, [(*place, b"\xff")])[0] == 400


def test_the_path_and_the_url_name_the_same_canister(client: Client, counter: Canister) -> None:
    other = Principal.from_index(77)
    status, text = refused(client, f"canister/{counter.id}", [(b"canister", bytes(other), b"module_hash")])
    assert (status, text) == (
        400,
        f"Effective principal id in URL {counter.id} does not match requested principal id: {other}.",
    )
    assert refused(client, f"canister/{counter.id}", [(b"canister", bytes(30), b"module_hash")])[0] == 400


@pytest.mark.parametrize(
    "path", [(b"canister",), (b"request_status",), (b"nothing",), (), (b"time", b"more"), (b"subnet", b"x", b"y")]
)
def test_other_paths_are_invalid(client: Client, counter: Canister, path: tuple[bytes, ...]) -> None:
    assert refused(client, f"canister/{counter.id}", [path]) == (404, "Invalid path requested.")


def test_certified_data_are_not_for_users(client: Client, counter: Canister) -> None:
    path = (b"canister", bytes(counter.id), b"certified_data")
    assert refused(client, f"canister/{counter.id}", [path], OWNER) == (404, "Invalid path requested.")


def test_only_the_sender_reads_the_status_of_a_call(client: Client, counter: Canister) -> None:
    user = ed25519_user()
    content = client.content("call", counter.id, "inc", user)
    client.call(counter.id, "inc", user)
    where, path = f"canister/{counter.id}", (b"request_status", request_id(content))
    assert client.outcome(client.read(where, [path], user), content)["status"] == b"replied"
    assert client.outcome(client.read(where, [(*path, b"reply")], user), content).keys() == {"reply"}
    for other in (ANONYMOUS, ed25519_user()):
        assert refused(client, where, [path], other)[0] == 403
    terms = {"expiration": client.now + MINUTE, "targets": [bytes(Principal.from_index(77))]}
    session = user.delegating_to(ed25519_user(), **terms)
    assert refused(client, where, [path], session)[0] == 403


def test_the_status_of_one_call_is_read_at_a_time(client: Client, counter: Canister) -> None:
    first, second = (b"request_status", bytes(32)), (b"request_status", b"\1" * 32)
    assert client.read(f"canister/{counter.id}", [first, (*first, b"reply")]).status == 200
    status, text = refused(client, f"canister/{counter.id}", [first, second])
    assert status == 400
    assert text.startswith("More than one")
    assert refused(client, f"canister/{counter.id}", [(b"request_status", b"short")])[0] == 400


def test_the_subnet_has_its_key_its_ranges_in_both_shapes_and_its_node(client: Client, counter: Canister) -> None:
    subnet_id = bytes(client.sandbox.subnet_id)
    for where in (f"canister/{counter.id}", f"subnet/{client.sandbox.subnet_id}"):
        certificate = client.verified(client.read(where, [(b"subnet",), (b"canister_ranges", subnet_id)]))
        key = certificate.lookup((b"subnet", subnet_id, b"public_key"))
        assert isinstance(key, Found)
        assert key.value == client.sandbox.root_key
        shard = bytes(Principal.from_index(0))
        flat, shards = (b"subnet", subnet_id, b"canister_ranges"), (b"canister_ranges", subnet_id, shard)
        assert certificate.lookup(flat) == certificate.lookup(shards)


def test_at_the_subnet_no_canister_is_read(client: Client, counter: Canister) -> None:
    where = f"subnet/{client.sandbox.subnet_id}"
    for path in ((b"canister", bytes(counter.id), b"module_hash"), (b"request_status", bytes(32))):
        assert refused(client, where, [path]) == (404, "Invalid path requested.")


def test_a_request_has_at_most_a_thousand_paths_of_127_labels(client: Client, counter: Canister) -> None:
    where, path = f"canister/{counter.id}", (b"time",)
    assert client.read(where, [path] * READ_STATE_PATHS).status == 200
    assert "Too many paths" in refused(client, where, [path] * (READ_STATE_PATHS + 1))[1]
    assert refused(client, where, [(b"x",) * READ_STATE_LABELS])[0] == 404
    assert "too deep" in refused(client, where, [(b"x",) * (READ_STATE_LABELS + 1)])[1]


def test_a_stranger_cannot_read_with_a_damaged_signature(client: Client, counter: Canister) -> None:
    envelope = OWNER.envelope(client.reading([(b"time",)], OWNER))
    envelope["content"]["paths"] = [[b"subnet"]]
    answer = client.send(f"/api/v2/canister/{counter.id}/read_state", body(envelope))
    assert answer.status == 400

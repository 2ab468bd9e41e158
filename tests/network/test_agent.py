"""Claims about the agent, at a served network behind a server that loses messages."""

from __future__ import annotations

import time

import cbor2
import pytest

from sandbox import CallRejected, ErrorCode, Principal
from sandbox.candid import NAT, decode
from sandbox.certify.failure import CertificateError
from sandbox.network.agent import Agent
from sandbox.network.connect import MAIN_ROOT_KEY, connect
from sandbox.network.failure import ClockSkew, NetworkError, UnknownOutcome
from sandbox.network.transport import Patience, Transport
from tests.network.place import EMPTY, HASTY, Place
from tests.network.proxy import LOSE, MUTE, PASS, Proxy, Rule, proxied

HOUR = 3_600_000_000_000


def agent_at(proxy: Proxy, place: Place, patience: Patience = HASTY) -> Agent:
    with Agent.connect(place.server.url) as plain:
        root_key = plain.root_key
    return Agent(Transport(proxy.url, patience, sleep=lambda _: None), root_key, place.identity)


def count(place: Place) -> int:
    with place.remote() as remote:
        [value] = decode([NAT], remote.agent.query(place.canister, "get", EMPTY))
    assert isinstance(value, int)
    return value


def calls(rule: str | int, first: int) -> Rule:
    """The first calls meet `rule`."""
    met = 0

    def decide(_: int, path: str, __: bytes) -> str | int:
        nonlocal met
        met += path.endswith("/call")
        return rule if path.endswith("/call") and met <= first else PASS

    return decide


@pytest.mark.parametrize("fault", [LOSE, MUTE, 502, 429])
def test_a_call_is_executed_once_although_messages_are_lost(place: Place, fault: str | int) -> None:
    before = count(place)
    with proxied(place.server.port, calls(fault, 1)) as proxy, agent_at(proxy, place) as agent:
        assert decode([NAT], agent.update(place.canister, "inc", EMPTY)) == [before + 1]
        assert len(proxy.seen) >= 2
    assert count(place) == before + 1


@pytest.mark.parametrize("missing", [["v4"], ["v4", "v3"]])
def test_older_endpoints_are_used_where_newer_ones_are_not_there(place: Place, missing: list[str]) -> None:
    before = count(place)

    def rule(_: int, path: str, __: bytes) -> str | int:
        return 404 if any(f"/api/{version}/" in path and path.endswith("/call") for version in missing) else PASS

    with proxied(place.server.port, rule) as proxy, agent_at(proxy, place) as agent:
        assert decode([NAT], agent.update(place.canister, "inc", EMPTY)) == [before + 1]
        assert decode([NAT], agent.update(place.canister, "inc", EMPTY)) == [before + 2]
        assert sum(path.startswith("/api/v4") for path, _ in proxy.seen) == 1


def test_attempts_have_an_end_and_the_error_says_so(place: Place) -> None:
    with proxied(place.server.port, lambda *_: LOSE) as proxy, agent_at(proxy, place) as agent:
        with pytest.raises(NetworkError, match=r"does not answer \(2 attempts\)"):
            agent.update(place.canister, "inc", EMPTY)
        assert len(proxy.seen) == 2


def test_an_answer_that_never_comes_is_an_unknown_outcome(place: Place) -> None:
    patience = Patience(attempts=1, answer=0.3)
    with (
        proxied(place.server.port, calls(202, 9)) as proxy,
        agent_at(proxy, place, patience) as agent,
        pytest.raises(UnknownOutcome, match="may still be executed"),
    ):
        agent.update(place.canister, "inc", EMPTY)


def test_an_answer_that_was_tampered_with_is_not_believed(place: Place) -> None:
    def tampered(path: str, body: bytes) -> bytes:
        return body.replace(b"DIDL\0\1\x7d", b"DIDL\0\1\x7c")

    with proxied(place.server.port) as proxy, agent_at(proxy, place) as agent:
        proxy.altered = tampered
        with pytest.raises(CertificateError):
            agent.update(place.canister, "inc", EMPTY)
        with pytest.raises(CertificateError, match="signature of the answer of the query is wrong"):
            agent.query(place.canister, "get", EMPTY)


def test_a_query_without_signatures_is_not_believed(place: Place) -> None:
    def unsigned(path: str, body: bytes) -> bytes:
        return cbor2.dumps({**cbor2.loads(body), "signatures": []}) if path.endswith("/query") else body

    with proxied(place.server.port) as proxy, agent_at(proxy, place) as agent:
        proxy.altered = unsigned
        with pytest.raises(CertificateError, match="not signed"):
            agent.query(place.canister, "get", EMPTY)


def test_another_root_key_proves_nothing(place: Place) -> None:
    with Agent(Transport(place.server.url), MAIN_ROOT_KEY, place.identity) as agent, pytest.raises(CertificateError):
        agent.update(place.canister, "inc", EMPTY)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wrong_clock_is_named(place: Place, hours: int) -> None:
    with place.remote() as remote:
        remote.agent.clock = lambda: time.time_ns() + hours * HOUR
        with pytest.raises(ClockSkew, match="clock"):
            remote.agent.update(place.canister, "inc", EMPTY)
        with pytest.raises(ClockSkew, match="clock"):
            remote.agent.query(place.canister, "get", EMPTY)


def test_rejects_carry_code_and_text(place: Place) -> None:
    with place.remote() as remote:
        for ask, method in ((remote.agent.update, "boom"), (remote.agent.query, "boom_in_query")):
            with pytest.raises(CallRejected, match="boom: ") as rejected:
                ask(place.canister, method, EMPTY)
            assert rejected.value.error_code is ErrorCode.CANISTER_CALLED_TRAP
        with pytest.raises(CallRejected) as rejected:
            remote.agent.update(Principal.from_index(77), "inc", EMPTY)
        assert rejected.value.error_code is ErrorCode.CANISTER_NOT_FOUND


def test_the_root_key_of_a_network_elsewhere_must_be_given() -> None:
    with pytest.raises(NetworkError, match=r"root key of http://192\.0\.2\.1:8000 is not known"):
        connect("http://192.0.2.1:8000")
    with connect("ic") as agent:
        assert agent.root_key == MAIN_ROOT_KEY
    with pytest.raises(NetworkError, match="hexadecimal"):
        connect("http://127.0.0.1:1", "xyz")


@pytest.mark.parametrize("url", ["", "ftp://here", "127.0.0.1:8000", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(NetworkError, match="is not a URL"):
        connect(url)

"""HTTP outcalls: answered by the user's function or refused, within the platform's limits, after the transform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.candid import Func, encode
from sandbox.errors import SandboxError
from sandbox.management.table import interface
from tests.conftest import rejected, wat
from tests.management.methods import RELAY_TEXT, by_canister, refunded, relay

REFUSED = ErrorCode.CANISTER_REJECTED_MESSAGE
GET = {"url": "https://example.org/x", "method": {"get": None}, "headers": []}
OK = {"status": 200, "headers": [("x", "y")], "body": b"hello"}
ANSWER = {"status": 200, "headers": [{"name": "x", "value": "y"}], "body": b"hello"}


class Outside:
    """A server with one page; records the requests."""

    def __init__(self, answer: Mapping[str, Any] = OK) -> None:
        self.answer = answer
        self.asked: list[Mapping[str, Any]] = []

    def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(request)
        return self.answer


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
def caller(outside: Outside) -> Canister:
    return relay(Sandbox(http=outside))


def test_without_a_test_double_it_is_refused(sandbox: Sandbox) -> None:
    caller = relay(sandbox)
    text = "does not support http_request: give Sandbox(http=...) a function that answers HTTP outcalls"
    rejected(REFUSED, text, by_canister, caller, "http_request", GET, cycles=9)
    assert refunded(caller) == 9


def test_the_test_double_answers(caller: Canister, outside: Outside) -> None:
    assert by_canister(caller, "http_request", GET) == ANSWER
    post = {
        "url": "https://example.org/",
        "max_response_bytes": 100,
        "method": {"post": None},
        "headers": [{"name": "a", "value": "b"}],
        "body": b"body",
    }
    assert by_canister(caller, "http_request", post, cycles=5) == ANSWER
    assert refunded(caller) == 5
    first = {"url": GET["url"], "method": "get", "headers": [], "body": None, "max_response_bytes": 2_000_000}
    second = {"method": "post", "headers": [("a", "b")], "body": b"body", "max_response_bytes": 100}
    assert outside.asked == [first, {"url": "https://example.org/", **second}]


def test_an_answer_may_be_short(caller: Canister, outside: Outside) -> None:
    outside.answer = {"status": 404}
    assert by_canister(caller, "http_request", GET) == {"status": 404, "headers": [], "body": b""}


def header(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"url": "https://" + "x" * 8185}, "the url has 8193 characters, more than 8192"),
        ({"max_response_bytes": 2_000_001}, "max_response_bytes is 2000001, more than 2000000"),
        ({"method": {"put": None}}, "the method PUT is for requests with is_replicated = opt false"),
        ({"method": {"delete": None}, "is_replicated": True}, "the method DELETE"),
        ({"headers": [header("a", "")] * 65}, "the request has 65 headers, more than 64"),
        ({"headers": [header("a", "v" * 8193)]}, "a header of the request has 8193 bytes, more than 8192"),
        ({"headers": [header("a", "v" * 8192)] * 6}, "the headers of the request exceed 49152 bytes"),
        ({"body": bytes(2_000_001)}, "the request has 2000001 bytes, more than 2000000"),
    ],
)
def test_a_request_out_of_bounds_is_not_made(
    change: dict[str, Any], text: str, caller: Canister, outside: Outside
) -> None:
    rejected(REFUSED, text, by_canister, caller, "http_request", {**GET, **change})
    assert not outside.asked


def test_methods_without_replication(caller: Canister) -> None:
    for method in ("put", "delete", "patch"):
        arg = {**GET, "method": {method: None}, "is_replicated": False}
        assert by_canister(caller, "http_request", arg) == ANSWER


def test_an_answer_that_is_too_large_is_an_error(caller: Canister, outside: Outside) -> None:
    outside.answer = {"status": 200, "body": bytes(100)}
    by_canister(caller, "http_request", {**GET, "max_response_bytes": 100})
    text = "the response has 100 bytes, more than 99"
    rejected(REFUSED, text, by_canister, caller, "http_request", {**GET, "max_response_bytes": 99})


def test_an_outcall_costs_its_fee() -> None:
    caller = relay(Sandbox(http=Outside(), costs="mainnet"))
    arg = {**GET, "max_response_bytes": 1000}
    by_canister(caller, "http_request", arg, cycles=10**12)
    fee = 10**12 - refunded(caller)
    assert fee > 0
    text = f"http_request request sent with {fee - 1} cycles, but {fee} cycles are required."
    rejected(REFUSED, text, by_canister, caller, "http_request", arg, cycles=fee - 1)


# --- transform functions

TRANSFORMED = {"status": 299, "headers": [], "body": b"transformed"}
REPLIES = "(call $append (i32.const 64) (i32.const {size})) (call $reply)"


def transforming(sandbox: Sandbox, body: str, kind: str = "query") -> Canister:
    """The relay with one more method, `transform`; at address 64 it has a response for it."""
    reply = encode([interface().types["http_request_result"]], [TRANSFORMED])
    data = "".join(f"\\{byte:02x}" for byte in reply)
    text = RELAY_TEXT.replace("(memory 48)", f'(memory 48) (data (i32.const 64) "{data}")')
    method = f'(func (export "canister_{kind} transform") {body.format(size=len(reply))}))'
    canister = sandbox.create_canister()
    canister.install(wat(text.removesuffix(")") + method))
    return canister


def transformed(canister: Canister, owner: Canister | None = None, **fields: Any) -> Any:
    function = Func((owner or canister).id, "transform")
    arg = {**GET, "transform": {"function": function, "context": b"context"}, **fields}
    return by_canister(canister, "http_request", arg)


def test_the_caller_sees_the_transformed_response() -> None:
    canister = transforming(Sandbox(http=Outside()), REPLIES)
    assert transformed(canister) == TRANSFORMED


def test_a_transform_function_sees_response_and_context_and_changes_nothing() -> None:
    sandbox = Sandbox(http=Outside())
    store = "(i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 1)))"
    spoil = "(if (i32.load8_u (i32.const 8)) (then unreachable))"
    canister = transforming(sandbox, spoil + store + REPLIES)
    assert transformed(canister) == transformed(canister) == TRANSFORMED


def test_what_is_wrong_with_a_transform_function_is_said() -> None:
    sandbox = Sandbox(http=Outside())
    traps = transforming(sandbox, "unreachable")
    rejected(REFUSED, "IC0502: Error from Canister", transformed, traps)
    rejected(REFUSED, "must be one of the caller", transformed, traps, transforming(sandbox, REPLIES))
    update = transforming(sandbox, REPLIES, kind="update")
    rejected(REFUSED, "has no query method 'transform'", transformed, update)
    nonsense = transforming(sandbox, "(call $append (i32.const 0) (i32.const 3)) (call $reply)")
    rejected(REFUSED, "did not answer with a response", transformed, nonsense)
    long = transforming(sandbox, "(call $append (i32.const 64) (i32.const 5000)) (call $reply)")
    rejected(REFUSED, "the transformed response has 5000 bytes", transformed, long, max_response_bytes=4_000)
    silent = transforming(sandbox, "")
    rejected(REFUSED, "IC0506", transformed, silent)


@pytest.mark.parametrize("answer", [None, {"status": "200"}, {"status": 200, "headers": [(1, 2)]}])
def test_a_double_that_fails_fails_for_the_user_and_the_call_ends(answer: Any) -> None:
    def outside(_: Mapping[str, Any]) -> Mapping[str, Any]:
        if answer is None:
            raise ConnectionError("unplugged")
        return dict(answer)

    sandbox = Sandbox(http=outside)
    caller = relay(sandbox)
    before = caller.status().cycles
    with pytest.raises((ConnectionError, SandboxError, AttributeError, TypeError)):
        by_canister(caller, "http_request", GET, cycles=9)
    sandbox.run_until_idle()
    assert (refunded(caller), caller.status().cycles) == (9, before)
    caller.stop()
    assert caller.status().status == "stopped"


@pytest.mark.parametrize("public", [False, True])
def test_a_trap_of_a_transform_function_shows_its_backtrace_only_if_everybody_may_read_the_logs(public: bool) -> None:
    """The management canister calls the function, and reads only public logs (`hypervisor.rs`, `remove_backtrace`)."""
    canister = transforming(Sandbox(http=Outside()), "(call $deep)) (func $deep unreachable")
    canister.update_settings(log_visibility="public" if public else "controllers")
    error = rejected(REFUSED, "IC0502", transformed, canister)
    assert ("Canister Backtrace:\ndeep" in error.message) is public

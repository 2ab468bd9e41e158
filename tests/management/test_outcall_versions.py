"""Outcalls with pay-as-you-go prices, and flexible ones, whose nodes answer each for themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.candid import Func, encode
from sandbox.execution.fees import MAINNET
from sandbox.management.outcall_fees import REPLICATED, SINGLE, Replication, Usage, quote
from sandbox.management.table import interface
from tests.conftest import rejected, wat
from tests.management.methods import by_canister, refunded, relay
from tests.management.test_methods_outcalls import ANSWER, GET, OK, REFUSED, REPLIES, TRANSFORMED, Outside, transformed
from tests.management.test_methods_outcalls import transforming as with_transform

RICH = 10**12
COUNTS = {"total_requests": 4, "min_responses": 2, "max_responses": 3}


def nodes(*answers: int | None) -> Any:
    """A double whose nodes answer with so many bytes; None: with more than is allowed."""

    def outside(request: Mapping[str, Any]) -> Mapping[str, Any]:
        size = answers[request["node"]]
        return {"status": 200, "body": bytes(2_000_001 if size is None else size)}

    return outside


def flexible(caller: Canister, cycles: int = 0, **fields: Any) -> Any:
    return by_canister(caller, "flexible_http_request", {**GET, "replication": COUNTS, **fields}, cycles=cycles)


def sizes(reply: Any) -> list[int]:
    return [len(response["body"]) for response in reply["ok"]]


def error(reply: Any) -> tuple[str, str]:
    [name] = reply["err"]["global_error"]
    return name, reply["err"]["message"]


# --- pricing version 2


@pytest.mark.parametrize("fields", [{}, {"is_replicated": False}])
def test_version_2_costs_what_was_used_and_the_quote_suffices(fields: dict[str, Any]) -> None:
    caller = relay(Sandbox(http=Outside(), costs="mainnet"))
    arg = {**GET, **fields, "pricing_version": 2}
    assert by_canister(caller, "http_request", arg, cycles=RICH) == ANSWER
    spent = RICH - refunded(caller)
    replication = SINGLE if fields else REPLICATED
    assert 0 < spent <= quote(len(GET["url"]), Usage(7, 100), replication) < MAINNET.outcall(0, 2_000_000)
    by_canister(caller, "http_request", arg, cycles=spent)
    assert refunded(caller) == 0
    rejected(REFUSED, "Out of cycles", by_canister, caller, "http_request", arg, cycles=spent - 1)
    rejected(REFUSED, "http_request request sent with 5 cycles", by_canister, caller, "http_request", arg, cycles=5)


@pytest.mark.parametrize("version", [None, 0, 1, 3])
def test_another_version_counts_as_the_first(version: int | None) -> None:
    caller = relay(Sandbox(http=Outside(), costs="mainnet"))
    by_canister(caller, "http_request", {**GET, "pricing_version": version}, cycles=RICH)
    assert RICH - refunded(caller) == MAINNET.outcall(0, 2_000_000)


def test_version_2_is_free_where_everything_is() -> None:
    caller = relay(Sandbox(http=Outside()))
    assert by_canister(caller, "http_request", {**GET, "pricing_version": 2}, cycles=9) == ANSWER
    assert refunded(caller) == 9


@pytest.mark.parametrize(
    ("size", "replication", "expected"),
    [
        # By hand, from the formulas of fees.rs: 13 nodes, threshold 9, 9,490 cycles for a byte in a block.
        (0, REPLICATED, 13 * (1_000_000 + 50 * 10 + 13 * 140_000 + 169 * 800) + 13 * 1_079_752),
        (2_000, REPLICATED, 13 * (1_000_000 + 50 * 10 + 13 * 140_000 + 169 * 800) + 13 * 2_108_889),
        (2_000, SINGLE, 13 * (1_000_500 + 13 * 90_000 + 126_000) + 50 * 2_000 * 13 + 9_490 * 2_000),
        (
            2_000,
            Replication(4, 2, 3),
            13 * (1_000_500 + 13 * 90_000 + 252_000) + 4 * 50 * 2_000 * 13 + 4 * 9_490 * 2_181 + 2 * 13 * 126_000,
        ),
    ],
)
def test_quotes(size: int, replication: Replication, expected: int) -> None:
    assert quote(10, Usage(0, size), replication) == expected
    more = quote(10, Usage(3, size, 20, 130), replication) - expected
    assert more == replication.requests * (3 * 50 + 20 * 300 + 130 // 13)


def asking(params: bytes) -> Canister:
    """A canister on a subnet with costs that asks for the price of an outcall with these parameters."""
    data = "".join(f"\\{byte:02x}" for byte in params)
    canister = Sandbox(costs="mainnet").create_canister()
    canister.install(
        wat(f"""(module
          (import "ic0" "cost_http_request_v2" (func $cost (param i32 i32 i32)))
          (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
          (import "ic0" "msg_reply" (func $reply))
          (memory 1) (data (i32.const 64) "{data}")
          (func (export "canister_query price")
            (call $cost (i32.const 64) (i32.const {len(params)}) (i32.const 0))
            (call $append (i32.const 0) (i32.const 16)) (call $reply)))""")
    )
    return canister


@pytest.mark.parametrize(
    ("kind", "replication"),
    [
        (None, REPLICATED),
        ({"fully_replicated": None}, REPLICATED),
        ({"non_replicated": None}, SINGLE),
        ({"flexible": None}, Replication(13, 9, 13)),
        ({"flexible": COUNTS}, Replication(4, 2, 3)),
    ],
)
def test_a_canister_asks_for_the_price(kind: dict[str, Any] | None, replication: Replication) -> None:
    given = {
        "request_bytes": 100,
        "http_roundtrip_time_ms": 200,
        "raw_response_bytes": 4_000,
        "transformed_response_bytes": 5_024,
        "transform_instructions": 1_000_000,
        "outcall_type": kind,
    }
    params = encode([interface().types["cost_http_request_v2_args"]], [given])
    reply = asking(params).query_raw("price").reply
    assert reply is not None
    assert int.from_bytes(reply, "little") == quote(100, Usage(4_000, 5_024, 200, 1_000_000), replication)


def test_parameters_that_are_none_trap() -> None:
    code = ErrorCode.CANISTER_CONTRACT_VIOLATION
    rejected(code, "Failed to decode HttpRequestV2CostParams", asking(b"DIDL\0\0").query_raw, "price")


# --- flexible outcalls


def test_every_node_asks_and_the_first_answers_are_delivered() -> None:
    caller = relay(Sandbox(http=nodes(1, None, 3, 4)))
    assert sizes(flexible(caller)) == [1, 3, 4]
    assert sizes(flexible(relay(Sandbox(http=nodes(1, 2, 3, 4))))) == [1, 2, 3]
    assert sizes(flexible(relay(Sandbox(http=nodes(*range(13)))), replication=None)) == list(range(13))
    none = {"total_requests": 1, "min_responses": 0, "max_responses": 0}
    assert sizes(flexible(caller, replication=none)) == []


def test_the_double_sees_which_node_asks() -> None:
    outside = Outside()
    caller = relay(Sandbox(http=outside))
    assert flexible(caller) == {"ok": [ANSWER] * 3}
    assert [request["node"] for request in outside.asked] == [0, 1, 2, 3]


def test_errors_are_replies() -> None:
    name, message = error(flexible(relay(Sandbox(http=nodes(1, None, None, None)))))
    assert (name, "has 2000001 bytes" in message) == ("too_many_rejects", True)
    large = flexible(relay(Sandbox(http=nodes(*[1_100_000] * 4))))
    assert error(large)[0] == "responses_too_large"
    assert sizes(flexible(relay(Sandbox(http=nodes(1, 1_000_000, 1_500_000, 5))))) == [1, 1_000_000]


@pytest.mark.parametrize(
    "fields",
    [
        {"replication": {**COUNTS, "total_requests": 14}},
        {"replication": {"total_requests": 0, "min_responses": 0, "max_responses": 0}},
        {"replication": {**COUNTS, "min_responses": 4}},
        {"replication": {**COUNTS, "max_responses": 5}},
        {"method": {"put": None}},
        {"max_response_bytes": 2_000_001},
    ],
)
def test_invalid_parameters_make_no_request(fields: dict[str, Any]) -> None:
    outside = Outside()
    assert error(flexible(relay(Sandbox(http=outside)), **fields))[0] == "invalid_parameters"
    assert not outside.asked


def test_methods_that_change_something_need_equal_counts() -> None:
    counts = {"total_requests": 2, "min_responses": 2, "max_responses": 2}
    reply = flexible(relay(Sandbox(http=Outside())), method={"put": None}, replication=counts)
    assert reply == {"ok": [ANSWER] * 2}


def test_a_flexible_outcall_is_paid_from_its_cycles() -> None:
    caller = relay(Sandbox(http=Outside(), costs="mainnet"))
    assert flexible(caller, cycles=RICH) == {"ok": [ANSWER] * 3}
    spent = RICH - refunded(caller)
    assert 0 < spent <= quote(len(GET["url"]), Usage(7, 100), Replication(4, 2, 3))
    assert error(flexible(caller, cycles=spent - 1))[0] == "out_of_cycles"
    rejected(REFUSED, "flexible_http_request request sent with 5 cycles", flexible, caller, cycles=5)


def test_each_answer_is_transformed() -> None:
    canister = with_transform(Sandbox(http=Outside(OK)), REPLIES)
    assert transformed(canister) == TRANSFORMED
    function = {"function": Func(canister.id, "transform"), "context": b""}
    assert flexible(canister, transform=function) == {"ok": [TRANSFORMED] * 3}


def test_without_a_double_it_is_refused(sandbox: Sandbox) -> None:
    rejected(REFUSED, "does not support flexible_http_request: give Sandbox(http=...)", flexible, relay(sandbox))

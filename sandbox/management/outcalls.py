"""HTTP outcalls, answered by the user's test double: interface specification, "IC method http_request" and
"flexible_http_request".

Nothing ever leaves the process. The limits on sizes, headers and methods are the platform's, the prices of both
versions too; the address rules are not emulated. The test double answers an ordinary outcall once, for all nodes, and a
flexible one once for each node that makes the request; `node`, from 0, tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox import limits
from sandbox.candid import FuncType, decode, encode
from sandbox.errors import CallRejected, CandidError, ErrorCode
from sandbox.management import rejects
from sandbox.management.outcall_fees import REPLICATED, SINGLE, Replication, Usage, base_fee, replication_of, used
from sandbox.management.transition import ManagementContext, Transition

_UNREPLICATED = frozenset({"put", "delete", "patch"})
_PAY_AS_YOU_GO = 2


@dataclass(frozen=True, slots=True)
class _Outcall:
    """A request: its method's name in the interface, the decoded argument, the type of transform functions."""

    name: str
    arg: dict[str, Any]
    transform: FuncType

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(header["name"], header["value"]) for header in self.arg["headers"]]

    @property
    def body(self) -> bytes:
        body = self.arg["body"] or b""
        assert isinstance(body, bytes)
        return body

    @property
    def method(self) -> str:
        [method] = self.arg["method"]
        return str(method)

    @property
    def most(self) -> int:
        most = self.arg["max_response_bytes"]
        return limits.OUTCALL_SIZE if most is None else int(most)

    @property
    def size(self) -> int:
        """Bytes of the request, as pricing version 2 counts them."""
        transform = self.arg["transform"]
        named = len(transform["function"].method.encode()) + len(transform["context"]) if transform else 0
        return len(self.arg["url"].encode()) + _size(self.headers) + len(self.body) + named


def http_request(context: ManagementContext, arg: dict[str, Any], transform: FuncType) -> Transition:
    """What the test double answers, after the caller's transform function (of type `transform`) if it names one."""
    outcall = _Outcall("http_request", arg, transform)
    _check(context, outcall, arg["is_replicated"] is False)
    if arg["pricing_version"] != _PAY_AS_YOU_GO:
        fee = context.fees.outcall(len(outcall.body) + _size(outcall.headers), outcall.most)
        _paid(context, outcall, fee)
        return Transition(reply=_answer(context, outcall)[0], accepted=fee)
    replication = SINGLE if arg["is_replicated"] is False else REPLICATED
    fee = _base(context, outcall, replication)
    response, usage = _answer(context, outcall)
    spent = fee + _used(context, replication, [usage] * replication.requests)
    if spent > context.cycles:
        raise _refused(f"Out of cycles: the outcall costs {spent} cycles, the call has {context.cycles}")
    return Transition(reply=response, accepted=spent)


def flexible_http_request(context: ManagementContext, arg: dict[str, Any], transform: FuncType) -> Transition:
    """What the test double answers for each node, some of which may fail. An error is a reply too."""
    outcall = _Outcall("flexible_http_request", arg, transform)
    replication = replication_of(arg["replication"])
    if replication is None:
        return _failed("invalid_parameters", f"replication: {arg['replication']} on {limits.NODES} nodes")
    try:
        _check(context, outcall, replication.requests == replication.least == replication.most)
    except CallRejected as refused:
        if context.hooks.http is None:
            raise
        return _failed("invalid_parameters", refused.message)
    fee = _base(context, outcall, replication)
    found: list[tuple[dict[str, Any], Usage]] = []
    problems: list[str] = []
    for node in range(replication.requests):
        try:
            found.append(_answer(context, outcall, node))
        except CallRejected as refused:
            problems.append(refused.message)
    return _delivered(context, replication, (fee, found, problems))


def _delivered(
    context: ManagementContext,
    replication: Replication,
    outcome: tuple[int, list[tuple[dict[str, Any], Usage]], list[str]],
) -> Transition:
    fee, found, problems = outcome
    if len(found) < replication.least:
        return _failed("too_many_rejects", "; ".join(dict.fromkeys(problems)), fee)
    found = found[: replication.most]
    while sum(usage.transformed for _, usage in found) > limits.REPLY_REPLICATED:
        if len(found) == replication.least:
            return _failed("responses_too_large", f"{len(found)} responses exceed {limits.REPLY_REPLICATED} bytes", fee)
        found.pop()
    spent = fee + _used(context, replication, [usage for _, usage in found])
    if spent > context.cycles:
        return _failed("out_of_cycles", f"the outcall costs {spent} cycles, the call has {context.cycles}", fee)
    return Transition(reply={"ok": [response for response, _ in found]}, accepted=spent)


def _failed(error: str, message: str, fee: int = 0) -> Transition:
    return Transition(
        reply={"err": {"global_error": {error: None}, "node_details": [], "message": message}}, accepted=fee
    )


def _base(context: ManagementContext, outcall: _Outcall, replication: Replication) -> int:
    fee = base_fee(outcall.size, replication) if context.fees.pay_as_you_go else 0
    _paid(context, outcall, fee)
    return fee


def _used(context: ManagementContext, replication: Replication, responses: list[Usage]) -> int:
    return used(replication, responses) if context.fees.pay_as_you_go else 0


def _paid(context: ManagementContext, outcall: _Outcall, fee: int) -> None:
    if context.cycles < fee:
        raise rejects.not_paid(outcall.name, context.cycles, fee)


def _answer(context: ManagementContext, outcall: _Outcall, node: int | None = None) -> tuple[dict[str, Any], Usage]:
    """One answer of the test double, transformed, and what it used."""
    assert context.hooks.http is not None
    request = {"url": outcall.arg["url"], "method": outcall.method, "headers": outcall.headers}
    asked = {**request, "body": outcall.arg["body"], "max_response_bytes": outcall.most}
    response = _response(context.hooks.http(asked if node is None else {**asked, "node": node}))
    headers = [(h["name"], h["value"]) for h in response["headers"]]
    _check_size("response", headers, response["body"], outcall.most)
    raw = _size(headers) + len(response["body"])
    if outcall.arg["transform"] is not None:
        response = _transformed(context, outcall.arg["transform"], outcall.transform, response, outcall.most)
    return response, Usage(raw, len(encode(outcall.transform.results, [response])))


def _check(context: ManagementContext, outcall: _Outcall, unreplicated: bool) -> None:
    arg, most = outcall.arg, outcall.most
    if context.hooks.http is None:
        why = "give Sandbox(http=...) a function that answers HTTP outcalls; nothing here ever reaches the network"
        raise rejects.unsupported(outcall.name, why)
    if len(arg["url"]) > limits.OUTCALL_URL:
        raise _refused(f"the url has {len(arg['url'])} characters, more than {limits.OUTCALL_URL}")
    if most > limits.OUTCALL_SIZE:
        raise _refused(f"max_response_bytes is {most}, more than {limits.OUTCALL_SIZE}")
    if outcall.method in _UNREPLICATED and not unreplicated:
        counts = "is_replicated = opt false" if outcall.name == "http_request" else "three equal counts of replication"
        raise _refused(f"the method {outcall.method.upper()} is for requests with {counts}")
    _check_size("request", outcall.headers, outcall.body, limits.OUTCALL_SIZE)


def _check_size(what: str, headers: list[tuple[str, str]], body: bytes, most: int) -> None:
    if len(headers) > limits.OUTCALL_HEADERS:
        raise _refused(f"the {what} has {len(headers)} headers, more than {limits.OUTCALL_HEADERS}")
    longest = max((len(text.encode()) for header in headers for text in header), default=0)
    if longest > limits.OUTCALL_HEADER_SIZE:
        raise _refused(f"a header of the {what} has {longest} bytes, more than {limits.OUTCALL_HEADER_SIZE}")
    if _size(headers) > limits.OUTCALL_HEADERS_SIZE:
        raise _refused(f"the headers of the {what} exceed {limits.OUTCALL_HEADERS_SIZE} bytes")
    if _size(headers) + len(body) > most:
        raise _refused(f"the {what} has {_size(headers) + len(body)} bytes, more than {most}")


def _size(headers: Iterable[tuple[str, str]]) -> int:
    return sum(len(text.encode()) for header in headers for text in header)


def _refused(text: str) -> CallRejected:
    return rejects.rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, f"http_request: {text}")


def _response(answer: Any) -> dict[str, Any]:
    headers = [{"name": name, "value": value} for name, value in answer.get("headers", ())]
    return {"status": answer["status"], "headers": headers, "body": answer.get("body", b"")}


def _transformed(
    context: ManagementContext, transform: dict[str, Any], kind: FuncType, response: dict[str, Any], most: int
) -> dict[str, Any]:
    function = transform["function"]
    if function.principal != context.caller:
        raise _refused("the transform function must be one of the caller")
    if context.hooks.transform is None:
        raise rejects.unsupported("http_request", "transform functions cannot be run here")
    arg = encode(kind.args, [{"response": response, "context": transform["context"]}])
    reply = context.hooks.transform(context.caller, function.method, arg)
    if len(reply) > most:
        raise _refused(f"the transformed response has {len(reply)} bytes, more than {most}")
    try:
        [result] = decode(kind.results, reply)
    except CandidError as error:
        raise _refused(f"the transform function did not answer with a response: {error}") from error
    assert isinstance(result, dict)
    return result

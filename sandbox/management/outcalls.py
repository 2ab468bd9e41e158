"""HTTP outcalls, answered by the user's test double: interface specification, "IC method http_request".

Nothing ever leaves the process. The limits on sizes, headers and methods are the platform's; replication, pricing
version 2 and the address rules are not emulated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox import limits
from sandbox.candid import FuncType, decode, encode
from sandbox.errors import CallRejected, CandidError, ErrorCode
from sandbox.management import rejects
from sandbox.management.transition import ManagementContext, Transition

_UNREPLICATED = frozenset({"put", "delete", "patch"})


def http_request(context: ManagementContext, arg: dict[str, Any], transform: FuncType) -> Transition:
    """What the test double answers, after the caller's transform function (of type `transform`) if it names one."""
    if context.hooks.http is None:
        why = "give Sandbox(http=...) a function that answers HTTP outcalls; nothing here ever reaches the network"
        raise rejects.unsupported("http_request", why)
    [method], most = arg["method"], arg["max_response_bytes"]
    headers = [(header["name"], header["value"]) for header in arg["headers"]]
    body = arg["body"] or b""
    most = limits.OUTCALL_SIZE if most is None else most
    _check(arg, method, headers, most)
    fee = context.fees.outcall(len(body) + _size(headers), most)
    if context.cycles < fee:
        raise rejects.not_paid("http_request", context.cycles, fee)
    request = {"url": arg["url"], "method": method, "headers": headers, "body": arg["body"]}
    answer = context.hooks.http({**request, "max_response_bytes": most})
    response = _response(answer)
    _check_size("response", [(h["name"], h["value"]) for h in response["headers"]], response["body"], most)
    if arg["transform"] is not None:
        response = _transformed(context, arg["transform"], transform, response, most)
    return Transition(reply=response, accepted=fee)


def _check(arg: dict[str, Any], method: str, headers: list[tuple[str, str]], most: int) -> None:
    if len(arg["url"]) > limits.OUTCALL_URL:
        raise _refused(f"the url has {len(arg['url'])} characters, more than {limits.OUTCALL_URL}")
    if most > limits.OUTCALL_SIZE:
        raise _refused(f"max_response_bytes is {most}, more than {limits.OUTCALL_SIZE}")
    if method in _UNREPLICATED and arg["is_replicated"] is not False:
        raise _refused(f"the method {method.upper()} is for requests with is_replicated = opt false")
    _check_size("request", headers, arg["body"] or b"", limits.OUTCALL_SIZE)


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

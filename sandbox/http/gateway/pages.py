"""Pages of the gateway itself: what went wrong, in plain words. HTML for browsers, text for everything else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sandbox.errors import ErrorCode, Reject, RejectCode
from sandbox.http.gateway.web import WebAnswer, WebRequest
from sandbox.markup import Html, element, joined
from sandbox.principal import Principal

STYLE: Final = """
:root { color-scheme: light dark; --ground: #f7f7f5; --text: #1d1d1b; --quiet: #61615c; --line: #dcdcd6; --card: #fff;
  --mark: #8a5a00 }
@media (prefers-color-scheme: dark) { :root { --ground: #161615; --text: #ececea; --quiet: #a3a39d; --line: #3a3a37;
  --card: #1f1f1e; --mark: #e0b060 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px; background: var(--ground);
  color: var(--text); font: 16px/1.55 system-ui, sans-serif }
main { width: 100%; max-width: 620px; padding: 28px 32px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; overflow-wrap: anywhere }
h1 { margin: 0 0 12px; font-size: 22px; line-height: 1.3 }
p { margin: 0 0 12px }
pre { margin: 0 0 12px; padding: 12px; background: var(--ground); border: 1px solid var(--line); border-radius: 6px;
  font: 13px/1.5 ui-monospace, monospace; white-space: pre-wrap; max-height: 50vh; overflow: auto }
.big { margin: 16px 0; font-size: 34px; font-variant-numeric: tabular-nums; color: var(--mark) }
footer { color: var(--quiet); font-size: 13px }
@media (max-width: 480px) { body { padding: 12px; place-items: start center } main { padding: 20px } }
"""
_DETAIL = 4_000
"""Characters of a message that are shown."""
_TRAPS = frozenset({ErrorCode.CANISTER_TRAPPED, ErrorCode.CANISTER_CALLED_TRAP})


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no page: a status code, a headline, a sentence; `detail`: the canister's own words."""

    status: int
    title: str
    text: str
    detail: str = ""


class NoPage(Exception):
    """The request is answered with a page of the gateway itself."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


def no_address(host: str) -> Problem:
    """The address names no canister."""
    port = re.search(r":\d+$", host)
    example = f"http://CANISTER.localhost{port[0] if port else ''}/"
    text = f"Put the id or the name of a canister before localhost, as in {example}, or add ?canisterId= and the id."
    return Problem(400, "This address names no canister", text)


def unknown_name(name: str) -> Problem:
    """No canister has the name that the address has."""
    text = "It is neither the id of a canister nor the name of one. `canister-sandbox canister list` shows them all."
    return Problem(404, f"There is no canister {name[:100]}", text)


def rejected(canister_id: Principal, method: str, reject: Reject) -> Problem:
    """A call of the canister was rejected. Status codes as in `dfinity/http-gateway`: 404 if there is no such canister,
    502 for everything else."""
    code, detail = reject.error_code, reject.message
    if reject.reject_code == RejectCode.DESTINATION_INVALID:
        return Problem(404, "There is no such canister", f"No canister here has the id {canister_id}.", detail)
    if code == ErrorCode.CANISTER_METHOD_NOT_FOUND:
        text = f"Canister {canister_id} has no method {method}, which serves pages."
        return Problem(502, "This canister has no web pages", text, detail)
    if code == ErrorCode.CANISTER_WASM_MODULE_NOT_FOUND:
        return Problem(502, "This canister is empty", f"No module is installed in canister {canister_id}.", detail)
    if code in (ErrorCode.CANISTER_STOPPED, ErrorCode.CANISTER_STOPPING):
        return Problem(502, "This canister is stopped", f"Canister {canister_id} takes no calls now.", detail)
    if code in _TRAPS:
        return Problem(502, "The canister trapped", f"Method {method} of {canister_id} ended with an error:", detail)
    return Problem(502, "The canister gave no page", f"Method {method} of {canister_id} was rejected:", detail)


def bad_response(canister_id: Principal, reason: str) -> Problem:
    """The canister answered something that cannot be passed on."""
    return Problem(502, "The canister's answer is no page", f"Canister {canister_id} answered, but {reason}.")


def unverified(canister_id: Principal, reason: str) -> Problem:
    """The response is not what the canister certified. The real gateway answers 500 too."""
    text = (
        f"The answer of canister {canister_id} is not proven by its certificate: {reason}. "
        "At CANISTER.raw.localhost answers are not verified."
    )
    return Problem(500, "This page could not be verified", text)


def too_large(text: str) -> Problem:
    """The request does not fit into a message to a canister."""
    return Problem(413, "The request is too large", text)


def no_answer(status: int, text: str) -> Problem:
    """There was no answer in time: 503 if the canister was not even asked, 504 if it is still at work."""
    return Problem(status, "No answer yet", text)


def failed(text: str) -> Problem:
    """The sandbox itself failed."""
    return Problem(500, "The sandbox failed", "This is no fault of the canister.", text)


def answer(problem: Problem, request: WebRequest) -> WebAnswer:
    """The problem as an answer, in the form that the request accepts."""
    if "text/html" not in request.header("accept"):
        lines = [f"{problem.title}.", problem.text, problem.detail[:_DETAIL]]
        return _answer(problem.status, "text/plain", "".join(f"{line}\n" for line in lines if line))
    detail = element("pre", problem.detail[:_DETAIL]) if problem.detail else None
    status = element("footer", f"{problem.status} · canister-sandbox")
    return _answer(
        problem.status,
        "text/html",
        page(problem.title, element("h1", problem.title), element("p", problem.text), detail, status),
    )


def page(title: str, *content: Html | None) -> str:
    """A whole page with this content in the middle."""
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    body = element("body", element("main", *content))
    return f"<!doctype html>{element('html', element('head', head), body, lang='en')}"


def _answer(status: int, kind: str, text: str) -> WebAnswer:
    body = text.encode(errors="replace")
    kind = f"{kind}; charset=utf-8"
    return WebAnswer(
        status, (("content-type", kind), ("cache-control", "no-store"), ("content-length", str(len(body)))), body
    )

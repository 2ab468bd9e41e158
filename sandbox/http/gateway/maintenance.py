"""What browsers and programs see of a canister under maintenance."""

from __future__ import annotations

import json
import re
from typing import Final

from sandbox.http.gateway.pages import page
from sandbox.http.gateway.web import WebAnswer, WebRequest
from sandbox.http.maintenance.notice import Notice, moment
from sandbox.markup import Html, element, text_of

WHERE: Final = "/.well-known/maintenance.json"
HEADER: Final = "x-maintenance"
_REFRESH: Final = 300
"""Seconds after which a browser loads the page again, at most."""
_PLACE: Final = re.compile(r"\{\{(\w+)\}\}")
_SCRIPT: Final = """
const until = new Date(document.querySelector("time").dateTime), left = document.querySelector(".big");
document.querySelector("time").textContent = until.toLocaleString();
const two = (number) => String(number).padStart(2, "0");
function show() {
  const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1000)), hours = Math.floor(seconds / 3600);
  left.textContent = (hours ? `${hours}:` : "") + `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}
async function look() {
  try {
    const answer = await fetch("WHERE", { cache: "no-store" });
    if ((await answer.json()).status !== "active") location.reload();
  } catch {}
}
show();
setInterval(show, 1000);
setInterval(look, 5000);
""".replace("WHERE", WHERE)


def facts(notice: Notice | None, now: int) -> WebAnswer:
    """The answer at `/.well-known/maintenance.json`."""
    return _json(200, {"status": "none"} if notice is None else notice.facts(now))


def banner(notice: Notice, now: int) -> tuple[str, str]:
    """The header that announces maintenance on every page before: the same facts in JSON, in ASCII."""
    return HEADER, json.dumps(notice.facts(now))


def closed(notice: Notice, now: int, request: WebRequest) -> WebAnswer:
    """The answer to every other request while it is under maintenance: 503, in the form that the request accepts."""
    accepted = request.header("accept")
    if "text/html" in accepted:
        text = _own(notice, now, notice.page) if notice.page is not None else _usual(notice, now)
        return _answer(notice, now, "text/html; charset=utf-8", text)
    if "json" in accepted:
        return _answer(notice, now, "application/json", json.dumps(notice.facts(now)))
    return _answer(notice, now, "text/plain; charset=utf-8", f"{notice.text()}.\n")


def _usual(notice: Notice, now: int) -> str:
    left = notice.seconds_left(now)
    return page(
        "Under maintenance",
        element("h1", "Under maintenance"),
        element("p", notice.message) if notice.message else None,
        element("p", f"{left // 60:02}:{left % 60:02}", class_="big", role="timer"),
        element("p", "Back at ", element("time", moment(notice.ends), datetime=moment(notice.ends)), "."),
        element("footer", f"503 · {notice.canister_id}"),
        element("script", Html(_SCRIPT)),
    )


def _own(notice: Notice, now: int, template: str) -> str:
    values = {
        "message": notice.message,
        "from": moment(notice.begins),
        "until": moment(notice.ends),
        "seconds": notice.seconds_left(now),
        "canister": notice.canister_id,
    }
    return _PLACE.sub(lambda place: text_of(values.get(place[1], place[0])), template)


def _answer(notice: Notice, now: int, kind: str, text: str) -> WebAnswer:
    body, left = text.encode(errors="replace"), notice.seconds_left(now)
    headers = (
        ("content-type", kind),
        ("cache-control", "no-store"),
        ("retry-after", str(left)),
        ("refresh", str(min(left + 1, _REFRESH))),
        ("content-length", str(len(body))),
    )
    return WebAnswer(503, headers, body)


def _json(status: int, value: object) -> WebAnswer:
    body = json.dumps(value).encode()
    headers = (
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("content-length", str(len(body))),
    )
    return WebAnswer(status, headers, body)

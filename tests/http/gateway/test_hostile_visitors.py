"""Whatever is asked, the answer is a page: of the canister, or one that says in words why there is none."""

from __future__ import annotations

import random

from tests.conftest import fixture
from tests.http.gateway.visitor import Visitor

HOSTS = ["site.localhost", "site.raw.localhost", "x.y.localhost", ".localhost", "raw.localhost", "\xff.localhost"]
HOSTS += ["site.localhost:" + "9" * 20, "[::1", "a@site.localhost", "SITE.localhost.", ""]
PARTS = [
    "/",
    "//",
    "..",
    "%2F",
    "%00",
    "%ff",
    "%zz",
    "%",
    "ä",
    "\xff",
    " ",
    "#",
    "?",
    "&",
    "=",
    "canisterId=",
    "<$>",
    "<*>",
]
PARTS += ["big.bin", "index.html", "free", "search?q=cats", "post", "http_expr", "a" * 300]
HEADERS = {
    "range": ["bytes=0-", "bytes=-5", "bytes=9999999999999999999-", "bytes=5-1", "x", ""],
    "accept_encoding": ["gzip", "*", "identity;q=0", "\xff", ""],
    "referer": ["http://[", "http://site.localhost/", "x" * 5000, "http://a/?canisterId=aaaaa-aa"],
    "accept": ["text/html", "application/json", "\xff"],
}


def test_no_request_makes_the_gateway_fail() -> None:
    visitor, dice = Visitor(), random.Random(11)
    visitor.sandbox.create_canister(name="site").install(fixture("site_rs"))
    seen = set()
    for _ in range(300):
        url = "/" + "".join(dice.choices(PARTS, k=dice.randrange(6)))
        method = dice.choice(["GET", "GET", "HEAD", "POST", "OPTIONS", "get", "\xfc"])
        headers = {name: dice.choice(values) for name, values in HEADERS.items() if dice.random() < 0.3}
        page = visitor.visit(dice.choice(HOSTS), url, method, dice.randbytes(9), **headers)
        assert b"The sandbox failed" not in page.body
        seen.add(page.status)
    assert {200, 400, 404, 500} <= seen <= {200, 206, 301, 303, 400, 404, 500, 502}

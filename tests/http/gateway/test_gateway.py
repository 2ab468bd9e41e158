"""Claims about how canisters answer web requests: query, update, pieces, ranges, and what goes wrong on the way."""

from __future__ import annotations

import re

import pytest

from sandbox.candid import Func
from tests.conftest import fixture, guest
from tests.http.gateway.visitor import Page, Visitor, response

BIG = bytes(at % 251 for at in range(5_000_000))


@pytest.fixture(scope="module")
def visitor() -> Visitor:
    visitor = Visitor()
    sandbox = visitor.sandbox
    sandbox.create_canister(name="Service").install(fixture("service_rs"))
    sandbox.create_canister(name="site").install(fixture("site_rs"))
    sandbox.create_canister(name="counter").install(fixture("counter.enhanced"))
    sandbox.create_canister(name="empty")
    stopped = sandbox.create_canister(name="stopped")
    stopped.install(fixture("counter.enhanced"))
    stopped.stop()
    sandbox.create_canister(name="trapping").install(guest(TRAPS))
    return visitor


TRAPS = """
(func (export "canister_query http_request") (call $trap (i32.const 8) (i32.const 11)))
(data (i32.const 8) "<b>boom</b>")
"""


def answering(reply: bytes) -> bytes:
    """A canister whose `http_request` always has this reply."""
    escaped = "".join(f"\\{byte:02x}" for byte in reply)
    return guest(
        f"""
        (func (export "canister_query http_request") (call $reply (i32.const 8) (i32.const {len(reply)})))
        (data (i32.const 8) "{escaped}")
        """
    )


def raw(reply: bytes) -> Page:
    """The page of a canister with this reply, unverified."""
    visitor = Visitor(verify=False)
    visitor.sandbox.create_canister(name="made").install(answering(reply))
    return visitor.visit("made.localhost")


def test_a_page_is_the_answer_to_a_query(visitor: Visitor) -> None:
    page = visitor.visit("service.localhost:8000")
    assert (page.status, page.header("content-type")) == (200, "text/html; charset=utf-8")
    assert "<!doctype html>" in page.text
    assert page.header("content-length") == str(len(page.body))
    assert page.header("x-ic-canister-id") == str(visitor.sandbox.canister("Service").id)


def test_the_canister_may_want_an_update_call(visitor: Visitor) -> None:
    before = int(visitor.visit("service.localhost", "/count").text.split()[1])
    page = visitor.visit("service.localhost", "/anything", "POST", b"hello")
    assert page.text == f"visit {before + 1} POST hello"


def test_an_update_may_redirect_and_set_cookies(visitor: Visitor) -> None:
    page = visitor.visit("site.localhost", "/post", "POST", b"12345")
    assert (page.status, page.text, page.header("location")) == (303, "5 bytes", "/")
    assert page.header("set-cookie") == "a=1"


def test_a_body_in_pieces_is_put_together(visitor: Visitor) -> None:
    page = visitor.visit("service.raw.localhost", "/pieces")
    assert page.body == b"".join(bytes([letter]) * 1000 for letter in b"abcde")


def test_a_file_that_is_larger_than_a_reply_comes_as_a_whole(visitor: Visitor) -> None:
    page = visitor.visit("site.localhost", "/big.bin")
    assert (page.status, page.header("content-length"), page.header("content-range")) == (200, "5000000", None)
    assert page.body == BIG


@pytest.mark.parametrize("start", [0, 2_000_000])
def test_a_part_of_it_may_be_asked_for(visitor: Visitor, start: int) -> None:
    page = visitor.visit("site.localhost", "/big.bin", range=f"bytes={start}-")
    assert (page.status, page.body) == (206, BIG[start : start + 2_000_000])
    assert page.header("content-range") == f"bytes {start}-{start + 1_999_999}/5000000"


def test_certified_redirects_and_missing_pages_are_passed_on(visitor: Visitor) -> None:
    redirect = visitor.visit("site.localhost", "/old")
    assert (redirect.status, redirect.header("location")) == (301, "/index.html")
    missing = visitor.visit("site.localhost", "/no/such/page")
    assert (missing.status, "Nothing here" in missing.text) == (404, True)


@pytest.mark.parametrize(
    ("host", "status", "title", "detail"),
    [
        ("localhost:8000", 400, "This address names no canister", "http://CANISTER.localhost:8000/"),
        ("nobody.localhost", 404, "There is no canister nobody", "canister list"),
        ("7jkta-eyaaa-aaaaq-aaarq-cai.localhost", 404, "There is no such canister", "7jkta-eyaaa-aaaaq-aaarq-cai"),
        ("empty.localhost", 502, "This canister is empty", "No module is installed"),
        ("counter.localhost", 502, "This canister has no web pages", "has no method http_request"),
        ("stopped.localhost", 502, "This canister is stopped", "takes no calls now"),
        ("trapping.localhost", 502, "The canister trapped", "<b>boom</b>"),
    ],
)
def test_what_goes_wrong_is_said_in_plain_words(
    visitor: Visitor, host: str, status: int, title: str, detail: str
) -> None:
    text = visitor.visit(host)
    assert (text.status, text.header("content-type")) == (status, "text/plain; charset=utf-8")
    assert title in text.text
    assert detail in text.text
    html = visitor.visit(host, accept="text/html,*/*")
    assert (html.status, html.header("content-type")) == (status, "text/html; charset=utf-8")
    assert f"<h1>{title}</h1>" in html.text
    assert "<b>boom</b>" not in html.text


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"DIDL\0\0", "not a response of the HTTP gateway protocol"),
        (b"no Candid", "not a response of the HTTP gateway protocol"),
        (response(99), "status code 99"),
        (response(headers=(("a b", "c"),)), "HTTP does not allow its header 'a b'"),
        (response(headers=(("a", "b\r\nset-cookie: c"),)), "HTTP does not allow its header 'a'"),
        (response(206), "no valid Content-Range"),
        (response(206, (("Content-Range", "bytes 0-9/20"),), b"short"), "not what it sends"),
        (response(206, (("Content-Range", "bytes 5-9/20"),), b"later"), "begins at byte 5"),
        (
            response(streaming_strategy={"Callback": {"callback": Func(Visitor().sandbox.subnet_id, "x"), "token": 1}}),
            "not its own",
        ),
    ],
)
def test_an_answer_that_is_no_page_is_reported(reply: bytes, says: str) -> None:
    page = raw(reply)
    assert page.status == 502
    assert page.text.startswith("The canister's answer is no page.")
    assert says in page.text


def test_headers_of_a_connection_are_not_passed_on() -> None:
    page = raw(response(headers=(("Transfer-Encoding", "chunked"), ("Content-Length", "7"), ("X-Own", "1")), body=b"x"))
    assert (page.header("transfer-encoding"), page.header("content-length"), page.header("x-own")) == (None, "1", "1")


def test_a_file_without_an_encoding_is_accepted_too(visitor: Visitor) -> None:
    reply = visitor.visit("site.localhost", "/index.html", accept_encoding="gzip, br")
    assert (reply.status, reply.header("content-encoding")) == (200, None)


def test_a_message_that_is_too_large_is_refused(visitor: Visitor) -> None:
    page = visitor.visit("service.localhost", "/", "POST", bytes(4_300_000))
    assert page.status == 413
    assert re.match("The request is too large", page.text)

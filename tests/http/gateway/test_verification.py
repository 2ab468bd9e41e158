"""Claims about the proof of responses: only what the canister certified is passed on."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from sandbox import Sandbox
from sandbox.certify.forest import build
from sandbox.certify.hash_tree import HashTree
from sandbox.certify.witness import witness
from sandbox.errors import Reject
from sandbox.http.gateway.messages import Response, query_argument, read_response
from sandbox.http.gateway.verification.expression import ResponseRule, read_expression
from sandbox.http.gateway.verification.expression_path import check_path
from sandbox.http.gateway.verification.failure import Unverified
from sandbox.http.gateway.verification.verify import Trusted, verify_response
from sandbox.http.gateway.web import WebRequest, first
from tests.conftest import fixture
from tests.http.gateway.visitor import Visitor

MINUTE = 60_000_000_000


@pytest.fixture(scope="module")
def visitor() -> Visitor:
    visitor = Visitor()
    visitor.sandbox.create_canister(name="site").install(fixture("site_rs"))
    visitor.sandbox.create_canister(name="service").install(fixture("service_rs"))
    return visitor


def answered(visitor: Visitor, name: str, url: str, **headers: str) -> tuple[WebRequest, Response, Trusted]:
    """A request, the canister's response, and what it is to be verified against."""
    canister_id = visitor.sandbox.canister(name).id
    request = WebRequest("GET", url, tuple((header.replace("_", "-"), value) for header, value in headers.items()))
    reply = visitor.replica.ask(canister_id, "http_request", query_argument(request))
    assert not isinstance(reply, Reject)
    trusted = Trusted(visitor.sandbox.root_key, visitor.sandbox.time, canister_id)
    return request, read_response(reply), trusted


def headed(response: Response, name: str, change: Callable[[str], str | None]) -> Response:
    """The response with one header changed, or left out."""
    headers = [(n, change(v) if n.lower() == name else v) for n, v in response.headers]
    return replace(response, headers=tuple((n, v) for n, v in headers if v is not None))


def test_what_is_certified_is_passed_on(visitor: Visitor) -> None:
    request, response, trusted = answered(visitor, "site", "/index.html")
    verified = verify_response(request, response, trusted)
    assert (verified.status, verified.body) == (200, response.body)
    assert first(verified.headers, "cache-control") == "public, max-age=60"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: replace(r, body=r.body + b" "), "neither this answer nor a request like this"),
        (lambda r: replace(r, status=203), "neither this answer"),
        (lambda r: headed(r, "cache-control", lambda _: "no-store"), "neither this answer"),
        (lambda r: headed(r, "cache-control", lambda _: None), "neither this answer"),
        (lambda r: replace(r, headers=(*r.headers, ("x-more", "1"))), "neither this answer"),
        (lambda r: headed(r, "ic-certificate", lambda _: None), "no IC-Certificate header"),
        (lambda r: headed(r, "ic-certificate", lambda _: "tree=:aa=:"), "no certificate"),
        (lambda r: headed(r, "ic-certificate", lambda v: v.replace("certificate=:", "certificate=:!")), "not base64"),
        (lambda r: headed(r, "ic-certificate", lambda v: v.replace("version=2", "version=3")), "version 3"),
        (lambda r: headed(r, "ic-certificate", lambda v: v.replace("expr_path", "path")), "no expr_path"),
        (lambda r: headed(r, "ic-certificateexpression", lambda _: None), "no IC-CertificateExpression header"),
        (
            lambda r: headed(r, "ic-certificateexpression", lambda v: v.replace("headers:[", 'headers:["x"')),
            "not the one that the canister has certified",
        ),
    ],
)
def test_nothing_else_is(visitor: Visitor, change: Callable[[Response], Response], says: str) -> None:
    request, response, trusted = answered(visitor, "site", "/index.html")
    with pytest.raises(Unverified, match=says):
        verify_response(request, change(response), trusted)


def test_the_certificate_is_of_this_canister_network_and_time(visitor: Visitor) -> None:
    request, response, trusted = answered(visitor, "site", "/")
    other = visitor.sandbox.canister("service").id
    verify_response(request, response, replace(trusted, now=trusted.now + 4 * MINUTE))
    with pytest.raises(Unverified, match="not what the canister has certified"):
        verify_response(request, response, replace(trusted, canister_id=other))
    with pytest.raises(Unverified, match="signature"):
        verify_response(request, response, replace(trusted, root_key=Sandbox(seed=5).root_key))
    with pytest.raises(Unverified, match="of another time"):
        verify_response(request, response, replace(trusted, now=trusted.now + 6 * MINUTE))


def test_an_answer_is_for_its_own_path(visitor: Visitor) -> None:
    request, response, trusted = answered(visitor, "site", "/index.html")
    with pytest.raises(Unverified, match="certified for another path"):
        verify_response(replace(request, url="/big.bin"), response, trusted)
    request, response, trusted = answered(visitor, "site", "/nothing/here")
    verify_response(request, response, trusted)
    with pytest.raises(Unverified, match="may be a certified answer for just this path"):
        verify_response(replace(request, url="/index.html"), response, trusted)


def test_requests_are_certified_with_what_the_expression_names(visitor: Visitor) -> None:
    page = visitor.visit("site.localhost", "/search?page=2&q=cats", x_lang="en", x_other="1")
    assert (page.status, page.text, page.header("x-free")) == (200, "two cats", None)
    for url, language in [("/search?q=dogs", "en"), ("/search?q=cats", "de"), ("/search", "en")]:
        assert visitor.visit("site.localhost", url, x_lang=language).status == 500
    assert visitor.visit("site.raw.localhost", "/search?q=dogs").header("x-free") == "not certified"


def test_an_answer_may_be_certified_not_to_be_certified(visitor: Visitor) -> None:
    assert visitor.visit("site.localhost", "/free").status == 200
    request, response, trusted = answered(visitor, "site", "/free")
    verify_response(request, replace(response, body=b"anything"), trusted)
    with pytest.raises(Unverified, match="another path"):
        verify_response(replace(request, url="/"), response, trusted)


def test_version_1_proves_the_body_alone(visitor: Visitor) -> None:
    request, response, trusted = answered(visitor, "service", "/style.css")
    response = replace(response, headers=(*response.headers, ("Cache-Control", "max-age=9"), ("x-more", "1")))
    verified = verify_response(request, response, trusted)
    assert (first(verified.headers, "x-more"), first(verified.headers, "cache-control")) == ("1", None)
    with pytest.raises(Unverified, match="its body"):
        verify_response(request, replace(response, body=b"other"), trusted)
    with pytest.raises(Unverified, match="redirect"):
        verify_response(request, replace(response, status=302), trusted)


def test_version_1_is_refused_of_a_canister_that_supports_version_2(visitor: Visitor) -> None:
    request, response, trusted = answered(visitor, "service", "/")
    verify_response(request, response, replace(trusted, versions=lambda: frozenset({"1"})))
    with pytest.raises(Unverified, match="supports version 2"):
        verify_response(request, response, replace(trusted, versions=lambda: frozenset({"1", "2"})))


def test_a_damaged_proof_is_unverified_and_never_another_error(visitor: Visitor) -> None:
    request, response, trusted = answered(visitor, "site", "/index.html")
    verified, dice = verify_response(request, response, trusted), random.Random(5)

    def damaged(text: str) -> str:
        at = dice.randrange(len(text))
        return text[:at] + dice.choice('AZaz09+/=:, {}[]"é') + text[at + dice.choice((0, 1)) :]

    refused = 0
    for name in ("ic-certificate", "ic-certificateexpression"):
        for _ in range(150):
            try:
                assert verify_response(request, headed(response, name, damaged), trusted).body == verified.body
            except Unverified:
                refused += 1
    assert refused > 250


# --- expressions


def test_an_expression_says_what_is_certified() -> None:
    text = (
        "default_certification ( ValidationArgs { certification: Certification { request_certification: "
        'RequestCertification { certified_request_headers: ["Accept"], certified_query_parameters: ["q", "Page"] }, '
        "response_certification: ResponseCertification { certified_response_headers: ResponseHeaderList { headers: "
        '["ETag"] } } } } )'
    )
    expression = read_expression(text)
    assert expression is not None
    assert expression.request is not None
    assert sorted(expression.request.headers) == ["accept"]
    assert sorted(expression.request.parameters) == ["Page", "q"]
    assert expression.response == ResponseRule(frozenset({"etag"}), listed=True)
    assert (expression.response.certifies("etag"), expression.response.certifies("server")) == (True, False)
    assert read_expression("default_certification(ValidationArgs{no_certification:Empty{}})") is None


RESPONSE = "response_certification:ResponseCertification{response_header_exclusions:ResponseHeaderList{headers:[]}}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "other(ValidationArgs{no_certification:Empty{}})",
        "default_certification()",
        "default_certification(ValidationArgs{})",
        "default_certification(ValidationArgs{no_certification:Empty{},certification:Certification{}})",
        "default_certification(ValidationArgs{certification:Certification{no_request_certification:Empty{}}})",
        "default_certification(ValidationArgs{certification:Certification{" + RESPONSE + "}})",
        "default_certification(ValidationArgs{no_certification:Empty{}}) and more",
        "default_certification(ValidationArgs{no_certification:Empty{}}",
        'default_certification("ValidationArgs")',
        "[" * 1000 + "]" * 1000,
        "a(" * 20_000,
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(Unverified, match="certificate expression"):
        read_expression(text)


# --- paths


def tree_of(*paths: tuple[str, ...]) -> HashTree:
    """A tree with these paths, all of them shown."""
    content: dict[bytes, object] = {}
    for path in paths:
        place = content
        for segment in (b"http_expr", *(segment.encode() for segment in path)):
            place = place.setdefault(segment, {})  # type: ignore[assignment]
        place[b"hash"] = b""
    return build(content)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "url", "others"),
    [
        (("", "<$>"), "/", ()),
        (("a", "b", "<$>"), "/a/b", ()),
        (("a", "b", "", "<$>"), "/a/b/", ()),
        (("<*>",), "/a/b", ()),
        (("a", "<*>"), "/a/b/c", (("<*>",), ("b", "<*>"))),
        (("a", "", "<*>"), "/a/b", (("a", "<*>"), ("<*>",))),
        (("a", "b", "<*>"), "/a/b", (("a", "b", "c", "<$>"),)),
    ],
)
def test_the_most_specific_path_is_accepted(path: tuple[str, ...], url: str, others: tuple[tuple[str, ...]]) -> None:
    check_path(("http_expr", *path), url, tree_of(path, *others))


@pytest.mark.parametrize(
    ("path", "url", "others"),
    [
        (("<$>",), "/", ()),
        (("a", "<$>"), "/a/", ()),
        (("a", "<$>"), "/a/b", ()),
        (("<*>",), "/a", (("a", "<$>"),)),
        (("<*>",), "/a/b", (("a", "<*>"),)),
        (("a", "<*>"), "/a/b", (("a", "", "<*>"),)),
        (("b", "<*>"), "/a/b", ()),
        (("a", "b", "<*>"), "/a", ()),
    ],
)
def test_a_less_specific_or_other_path_is_not(path: tuple[str, ...], url: str, others: tuple[tuple[str, ...]]) -> None:
    with pytest.raises(Unverified):
        check_path(("http_expr", *path), url, tree_of(path, *others))


def test_a_more_specific_path_that_is_hidden_counts() -> None:
    whole = tree_of(("<*>",), ("a", "<$>"))
    with pytest.raises(Unverified, match="may be"):
        check_path(("http_expr", "<*>"), "/a", witness(whole, [(b"http_expr", b"<*>")]))


@pytest.mark.parametrize("path", [(), ("http_expr",), ("<$>",), ("other", "<$>"), ("http_expr", "a")])
def test_a_path_has_a_beginning_and_an_end(path: tuple[str, ...]) -> None:
    with pytest.raises(Unverified, match="does not begin with http_expr or has no end"):
        check_path(path, "/a", tree_of(("a", "<$>")))

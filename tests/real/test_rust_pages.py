"""A Rust service's certified variables and pages over HTTP, proven as a browser's gateway would prove them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Canister, Sandbox
from sandbox.candid import Func
from sandbox.certify.certificate import data_path, verify_certificate
from sandbox.certify.hash_tree import Found, HashTree, Missing, decode, lookup
from tests.conftest import fixture
from tests.real.submit import call_as_update


@pytest.fixture
def sandbox() -> Sandbox:
    """With the platform's own limits."""
    return Sandbox()


@pytest.fixture
def service(install: Callable[..., Canister]) -> Canister:
    return install(fixture("service_rs"))


def request(url: str, method: str = "GET", body: bytes = b"") -> dict[str, Any]:
    return {"method": method, "url": url, "headers": [("host", "localhost")], "body": body}


def proven(sandbox: Sandbox, service: Canister, certificate: bytes, witness: bytes) -> HashTree:
    """The witness, whose root is the certified data of a certificate of this sandbox."""
    tree = decode(witness)
    found = verify_certificate(certificate, sandbox.root_key, service.id).lookup(data_path(service.id))
    assert found == Found(tree.digest)
    return tree


def test_a_certified_variable_is_proven_and_so_is_its_absence(service: Canister, sandbox: Sandbox) -> None:
    service.call("set_certified", "colour", "blue")
    service.call("set_certified", "size", "grösser")
    answer = service.call("certified", "size")
    assert answer["value"] == "grösser"
    tree = proven(sandbox, service, answer["certificate"], answer["witness"])
    assert lookup(tree, [b"variables", b"size"]) == Found("grösser".encode())
    nothing = service.call("certified", "shape")
    assert nothing["value"] is None
    tree = proven(sandbox, service, nothing["certificate"], nothing["witness"])
    assert lookup(tree, [b"variables", b"shape"]) is Missing.ABSENT


def test_a_changed_variable_needs_a_new_certificate(service: Canister, sandbox: Sandbox) -> None:
    service.call("set_certified", "colour", "blue")
    before = service.call("certified", "colour")
    service.call("set_certified", "colour", "red")
    after = service.call("certified", "colour")
    tree = proven(sandbox, service, after["certificate"], after["witness"])
    assert lookup(tree, [b"variables", b"colour"]) == Found(b"red")
    with pytest.raises(AssertionError):
        proven(sandbox, service, after["certificate"], before["witness"])


@pytest.mark.parametrize(("path", "kind"), [("/", "text/html; charset=utf-8"), ("/style.css", "text/css")])
def test_a_page_is_served_with_the_proof_of_its_body(path: str, kind: str, service: Canister, sandbox: Sandbox) -> None:
    answer = service.call("http_request", request(f"{path}?some=query"))
    headers = dict(answer["headers"])
    assert (answer["status_code"], headers["Content-Type"]) == (200, kind)
    proof = re.fullmatch(r"certificate=:(.*):, tree=:(.*):", headers["IC-Certificate"])
    assert proof is not None
    tree = proven(sandbox, service, *(base64.b64decode(part, validate=True) for part in proof.groups()))
    found = lookup(tree, [b"http_assets", path.encode()])
    assert found == Found(hashlib.sha256(answer["body"]).digest())


def test_the_page_is_the_page(service: Canister) -> None:
    body = service.call("http_request", request("/"))["body"]
    assert body.startswith(b"<!doctype html>")
    assert "Grüße! It is certified." in body.decode()


def test_what_is_not_there_is_not_found(service: Canister) -> None:
    answer = service.call("http_request", request("/elsewhere"))
    assert (answer["status_code"], answer["body"]) == (404, b"nothing at /elsewhere")


def test_a_long_page_comes_in_pieces_through_the_callback(service: Canister) -> None:
    answer = service.call("http_request", request("/pieces"))
    strategy = answer["streaming_strategy"]["Callback"]
    assert strategy["callback"] == Func(service.id, "chunk")
    body, token = answer["body"], strategy["token"]
    while token is not None:
        piece = service.call("chunk", token)
        body, token = body + piece["body"], piece["token"]
    assert body == b"".join(bytes([letter]) * 1000 for letter in b"abcde")


def test_a_request_that_changes_something_asks_for_an_update(service: Canister) -> None:
    post = request("/form", "POST", "name=Zoë".encode())
    assert service.call("http_request", post)["upgrade"] is True
    assert service.call("http_request_update", post)["body"].decode() == "visit 1 POST name=Zoë"
    assert service.call("http_request_update", request("/count"))["body"] == b"visit 2 GET "


def test_no_proof_is_given_where_there_is_no_certificate(service: Canister, sandbox: Sandbox) -> None:
    answer = call_as_update(sandbox, service, "http_request", request("/"))
    assert (answer["status_code"], [name for name, _ in answer["headers"]]) == (200, ["Content-Type"])

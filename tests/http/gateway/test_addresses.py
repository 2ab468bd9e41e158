"""Claims about which canister an address names."""

from __future__ import annotations

import pytest

from sandbox.http.gateway.address import Address, address_of
from sandbox.http.gateway.web import WebRequest

ID = "rwlgt-iiaaa-aaaaa-aaaaa-cai"


@pytest.mark.parametrize(
    ("host", "address"),
    [
        (f"{ID}.localhost:8000", Address(ID)),
        (f"{ID.upper()}.LocalHost", Address(ID)),
        (f"{ID}.raw.localhost:8000", Address(ID, raw=True)),
        (f"{ID}.icp0.io", Address(ID)),
        (f"{ID}.raw.icp0.io", Address(ID, raw=True)),
        ("ledger.localhost", Address("ledger")),
        ("my.ledger.raw.localhost:1", Address("my.ledger", raw=True)),
        ("localhost:8000", None),
        ("127.0.0.1:8000", None),
        ("[::1]:8000", None),
        ("example.org", None),
        ("", None),
    ],
)
def test_the_host_names_a_canister(host: str, address: Address | None) -> None:
    assert address_of(WebRequest("GET", "/", (("host", host),))) == address


@pytest.mark.parametrize(
    ("url", "referer", "address"),
    [
        (f"/x?a=1&canisterId={ID}", "", Address(ID)),
        ("/style.css", f"http://localhost:8000/?canisterId={ID}", Address(ID)),
        ("/style.css", f"http://{ID}.localhost:8000/a", Address(ID)),
        (f"/?canisterId={ID}", "http://other.localhost/", Address(ID)),
        ("/?canisterId=", "", None),
        ("/?canister=x", "http://[broken", None),
    ],
)
def test_without_a_host_the_query_or_the_page_it_came_from_does(
    url: str, referer: str, address: Address | None
) -> None:
    assert address_of(WebRequest("GET", url, (("host", "localhost:8000"), ("referer", referer)))) == address

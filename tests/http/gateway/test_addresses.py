"""Claims about which canister an address names."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import Principal
from sandbox.http.gateway.address import Address, address_of
from sandbox.http.gateway.domains import Domains
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


def test_domains_of_a_file_name_canisters(tmp_path: Path) -> None:
    file = tmp_path / "custom-domains.txt"
    domains = Domains(file)
    assert domains.canister("site.local.localhost") is None
    file.write_text(f"site.local.localhost:{ID}\nbad.local.localhost:nothing\n\nno line\n")
    assert domains.canister("site.local.localhost") == Principal.from_text(ID)
    assert [domains.canister(domain) for domain in ("bad.local.localhost", "local.localhost", "")] == [None] * 3
    file.write_text("")
    assert domains.canister("site.local.localhost") is None


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

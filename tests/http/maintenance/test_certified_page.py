"""A canister with a certified page takes a site's place on any network, and gives it back byte for byte."""

from __future__ import annotations

import pytest

from sandbox import Principal
from tests.conftest import fixture
from tests.http.gateway.visitor import Visitor

NOTICE = {
    "message": "We move the <house>",
    "until": "2027-01-15T09:00:00Z",
    "retry_after": "Fri, 15 Jan 2027 09:00:00 GMT",
}
FILE = {"content_type": "text/html", "content_encoding": "identity", "sha256": None}


@pytest.fixture
def owner() -> Principal:
    return Visitor().sandbox.identity("owner")


def test_a_certified_page_takes_the_place_of_a_site_and_gives_every_byte_back(owner: Principal) -> None:
    visitor = Visitor()
    site = visitor.sandbox.create_canister([owner], name="site")
    site.install(fixture("assets_rs"), sender=owner)
    for number in range(3):
        site.call("store", {**FILE, "key": f"/{number}.html", "content": b"<p>%d" % number * 1000}, sender=owner)
    page = visitor.visit("site.localhost", "/1.html")
    assert page.status == 200
    before = visitor.sandbox.raw_state(site)
    site.stop(sender=owner)
    taken = site.take_snapshot(sender=owner)
    site.install(fixture("maintenance_rs"), NOTICE, mode="reinstall", sender=owner)
    site.start(sender=owner)
    for path in ("/", "/1.html", "/deep/link/?x=1", "/a%20b/"):
        closed = visitor.visit("site.localhost", path)
        assert (closed.status, closed.header("retry-after")) == (503, NOTICE["retry_after"])
        assert "<p>We move the &lt;house&gt;</p>" in closed.text
        assert 'datetime="2027-01-15T09:00:00Z"' in closed.text
    site.stop(sender=owner)
    site.load_snapshot(taken.id, sender=owner)
    site.start(sender=owner)
    assert visitor.sandbox.raw_state(site) == before
    back = visitor.visit("site.localhost", "/1.html")
    assert (back.status, back.body) == (page.status, page.body)

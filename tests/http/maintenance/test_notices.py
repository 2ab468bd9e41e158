"""Claims about notices of maintenance: what users see before, meanwhile and afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import cbor2
import pytest

from sandbox import Principal, Sandbox
from sandbox.certify.request_id import request_id
from sandbox.errors import StateCorrupt
from sandbox.http.maintenance.notice import Notice
from sandbox.http.maintenance.notices import Notices, read_notices, write_notices
from tests.conftest import fixture
from tests.http.client import NOW, Client
from tests.http.gateway.visitor import Visitor
from tests.http.users import body, ed25519_user

SECOND = 1_000_000_000
SITE = Principal.from_text("rwlgt-iiaaa-aaaaa-aaaaa-cai")
NOTICE = Notice(SITE, NOW + 60 * SECOND, NOW + 660 * SECOND, "Moving <house>")
WHERE = "/.well-known/maintenance.json"


class Clock:
    """A clock that the tests set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_notices(tmp_path, [NOTICE])
    return tmp_path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def visitor(place: Path, clock: Clock) -> Visitor:
    visitor = Visitor()
    visitor.sandbox.create_canister(canister_id=SITE, name="site").install(fixture("site_rs"))
    visitor.replica.notices = Notices(place, clock)
    visitor.open_gateway()
    return visitor


def test_before_pages_announce_it(visitor: Visitor) -> None:
    page = visitor.visit("site.localhost")
    assert (page.status, "<h1>Site</h1>" in page.text) == (200, True)
    facts = {
        "canister_id": str(SITE),
        "status": "announced",
        "from": "2027-01-15T08:01:00Z",
        "until": "2027-01-15T08:11:00Z",
        "seconds_left": 660,
        "message": "Moving <house>",
    }
    assert json.loads(page.header("x-maintenance") or "") == facts
    assert json.loads(visitor.visit("site.localhost", WHERE).text) == facts


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_meanwhile_every_page_is_that_of_the_maintenance(visitor: Visitor, clock: Clock, method: str) -> None:
    clock.now = NOTICE.begins + 30 * SECOND
    for host in ("site.localhost", "site.raw.localhost", f"{SITE}.localhost"):
        page = visitor.visit(host, "/big.bin", method, accept="text/html")
        assert (page.status, page.header("retry-after")) == (503, "570")
        assert "Moving &lt;house&gt;" in page.text
        assert 'datetime="2027-01-15T08:11:00Z"' in page.text
    plain = visitor.visit("site.localhost")
    assert plain.text == f"Canister {SITE} is under maintenance until 2027-01-15T08:11:00Z: Moving <house>.\n"
    told = visitor.visit("site.localhost", accept="application/json")
    assert (told.status, json.loads(told.text)["seconds_left"]) == (503, 570)
    facts = visitor.visit("site.localhost", WHERE)
    assert (facts.status, json.loads(facts.text)["status"]) == (200, "active")


def test_afterwards_all_is_as_before(visitor: Visitor, clock: Clock) -> None:
    clock.now = NOTICE.ends
    page = visitor.visit("site.localhost")
    assert (page.status, page.header("x-maintenance")) == (200, None)
    assert json.loads(visitor.visit("site.localhost", WHERE).text) == {"status": "none"}


def test_a_notice_counts_as_soon_as_it_is_written_and_until_it_is_gone(
    visitor: Visitor, clock: Clock, place: Path
) -> None:
    write_notices(place, [Notice(SITE, NOW - SECOND, NOW + SECOND)])
    assert visitor.visit("site.localhost").status == 503
    write_notices(place, [])
    assert visitor.visit("site.localhost").status == 200


def test_an_own_page_is_shown(visitor: Visitor, place: Path) -> None:
    own = "<h1>{{message}}</h1>{{until}} {{seconds}} {{canister}} {{other}} {{from}}"
    write_notices(place, [Notice(SITE, NOW, NOW + 90 * SECOND, "a & {{until}}", own)])
    page = visitor.visit("site.localhost", accept="text/html")
    assert (
        page.text == f"<h1>a &amp; {{{{until}}}}</h1>2027-01-15T08:01:30Z 90 {SITE} {{{{other}}}} 2027-01-15T08:00:00Z"
    )


def test_a_damaged_file_changes_nothing_for_a_server(
    visitor: Visitor, clock: Clock, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock.now = NOTICE.begins
    assert visitor.visit("site.localhost").status == 503
    (place / "maintenance.json").write_text("{")
    assert visitor.visit("site.localhost").status == 503
    assert "maintenance.json is damaged" in caplog.text
    (place / "maintenance.json").unlink()
    assert visitor.visit("site.localhost").status == 200


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"version": 2, "notices": []}',
        '{"version": 1, "notices": [{}]}',
        '{"version": 1, "notices": [{"canister_id": "x", "begins": 1, "ends": 2, "message": "", "page": null}]}',
        '{"version": 1, "notices": [{"canister_id": "aaaaa-aa", "begins": 2, "ends": 1, "message": "", "page": null}]}',
        '{"version": 1, "notices": [{"canister_id": "aaaaa-aa", "begins": 1, "ends": 2, "message": 5, "page": null}]}',
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "maintenance.json").write_text(content)
    with pytest.raises(StateCorrupt, match=r"maintenance\.json"):
        read_notices(tmp_path)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_notices(tmp_path) == {}
    other = Notice(Principal.management(), 0, 1, "", "<p>")
    write_notices(tmp_path, [NOTICE, other])
    assert read_notices(tmp_path) == {SITE: NOTICE, other.canister_id: other}


# --- calls


def test_calls_of_users_are_rejected_and_those_of_controllers_are_not(place: Path, clock: Clock) -> None:
    owner, guest_user = ed25519_user(), ed25519_user()
    client = Client(Sandbox())
    client.sandbox.create_canister([owner.principal], SITE).install(fixture("counter.enhanced"), sender=owner.principal)
    client.replica.notices = Notices(place, clock)
    assert client.call(SITE, "inc", guest_user).status == 200
    clock.now = NOTICE.begins
    text = f"Canister {SITE} is under maintenance until 2027-01-15T08:11:00Z: Moving <house>"
    call = cbor2.loads(client.call(SITE, "inc", guest_user).body)
    assert call == {"status": "non_replicated_rejection", "reject_code": 2, "reject_message": text}
    query = cbor2.loads(client.query(SITE, "get", guest_user).body)
    assert (query["status"], query["reject_code"], query["reject_message"]) == ("rejected", 2, text)
    assert len(query["signatures"]) == 1
    content = client.content("call", SITE, "inc", owner)
    answer = client.send(f"/api/v4/canister/{SITE}/call", body(owner.envelope(content)))
    assert client.outcome(answer, content)["status"] == b"replied"
    assert request_id(content) in client.replica.view().owners.submissions
    clock.now = NOTICE.ends
    assert cbor2.loads(client.query(SITE, "get", guest_user).body)["status"] == "replied"

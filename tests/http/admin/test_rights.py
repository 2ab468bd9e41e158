"""Claims about who may use the sandbox's own interface."""

from __future__ import annotations

import stat
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from sandbox.http.admin.rights import Rights, Visitor, token_of
from sandbox.http.answer import Refused
from tests.http.admin.owner import Owner


def cookie_of(owner: Owner) -> str:
    """The cookie of a browser that came by a link, as name and value."""
    response, _ = owner.send("GET", owner.link(), Host=console(owner))
    return (response.getheader("Set-Cookie") or "").split(";")[0]


def console(owner: Owner) -> str:
    return f"console.localhost:{owner.server.port}"


def test_the_token_is_for_the_owner_of_the_directory_alone(owner: Owner) -> None:
    assert stat.S_IMODE((owner.state / "admin-token").stat().st_mode) == 0o600
    assert len(owner.token) >= 40


def test_a_token_that_others_could_read_is_hidden_again(tmp_path: Path) -> None:
    token = token_of(tmp_path)
    (tmp_path / "admin-token").chmod(0o644)
    assert token_of(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "admin-token").stat().st_mode) == 0o600


def test_an_empty_token_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "admin-token").touch()
    assert len(token_of(tmp_path)) >= 40


def test_without_the_token_nothing_is_shown(owner: Owner) -> None:
    for method, path in (
        ("GET", "/state"),
        ("GET", "/openapi.json"),
        ("GET", "/logs"),
        ("POST", "/links"),
        ("GET", "/x"),
    ):
        response, _ = owner.send(method, path)
        assert (response.status, response.getheader("WWW-Authenticate")) == (401, "Bearer")


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer ", "Basic {token}", "{token}", "Bearer {token}x"])
def test_a_wrong_token_is_refused(owner: Owner, given: str) -> None:
    response, _ = owner.send("GET", "/state", Authorization=given.format(token=owner.token))
    assert response.status == 401


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:{port}", "localhost:1", "aaaaa-aa.localhost:{port}", ""]
)
def test_another_name_of_this_machine_is_refused(owner: Owner, name: str) -> None:
    """A page whose name leads to this machine (DNS rebinding) has that name as its Host."""
    bearer = f"Bearer {owner.token}"
    response, _ = owner.send("GET", "/state", Host=name.format(port=owner.server.port), Authorization=bearer)
    assert response.status == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:{port}", "http://127.0.0.1:{port}"]
)
def test_pages_of_other_origins_are_refused(owner: Owner, origin: str) -> None:
    given = origin.format(port=owner.server.port)
    response, _ = owner.send("GET", "/state", Origin=given, Authorization=f"Bearer {owner.token}")
    assert response.status == 403
    assert response.getheader("Access-Control-Allow-Origin") is None


def test_a_browser_asks_in_vain_whether_another_origin_may(owner: Owner) -> None:
    evil = "http://evil.example"
    response, _ = owner.send("OPTIONS", "/state", Origin=evil, Access_Control_Request_Method="POST")
    assert response.status == 403
    assert response.getheader("Access-Control-Allow-Origin") is None


def test_what_another_site_causes_is_refused(owner: Owner) -> None:
    for site in ("cross-site", "same-site"):
        response, _ = owner.send("GET", "/state", Sec_Fetch_Site=site, Authorization=f"Bearer {owner.token}")
        assert response.status == 403


@pytest.mark.parametrize("client", ["192.0.2.7", "::ffff:192.0.2.7", "", "unix"])
def test_another_machine_is_refused(client: str) -> None:
    rights = Rights("t" * 43, 8000)
    headers = {"host": "localhost:8000", "authorization": f"Bearer {rights.token}"}
    with pytest.raises(Refused, match="same machine"):
        rights.check(Visitor("GET", client, headers))
    rights.check(Visitor("GET", "::ffff:127.0.0.1", headers))


def test_a_link_is_good_for_one_visit(owner: Owner) -> None:
    link = owner.link()
    first, _ = owner.send("GET", link, Host=console(owner))
    assert (first.status, first.getheader("Location")) == (303, "/_sandbox/console")
    cookie = first.getheader("Set-Cookie") or ""
    assert {"HttpOnly", "Path=/_sandbox", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    again, _ = owner.send("GET", link, Host=console(owner))
    assert (again.status, again.getheader("Set-Cookie")) == (401, None)


def test_a_link_at_another_name_gives_no_cookie(owner: Owner) -> None:
    response, _ = owner.send("GET", owner.link(), Host=f"localhost:{owner.server.port}")
    assert (response.status, response.getheader("Set-Cookie")) == (401, None)


def test_the_cookie_is_good_at_the_name_of_the_console_alone(owner: Owner) -> None:
    cookie = cookie_of(owner)
    assert owner.send("GET", "/state", Host=console(owner), Cookie=cookie)[0].status == 200
    assert owner.send("GET", "/state", Cookie=cookie)[0].status == 401
    assert owner.send("GET", "/state", Host=console(owner), Cookie=f"{cookie}x")[0].status == 401


def test_with_the_cookie_only_pages_of_the_console_change_something(owner: Owner) -> None:
    cookie, host = cookie_of(owner), console(owner)
    assert owner.send("POST", "/time/tick", Host=host, Cookie=cookie)[0].status == 401
    own = f"http://{host}"
    assert owner.send("POST", "/time/tick", Host=host, Cookie=cookie, Origin=own)[0].status == 200
    assert owner.send("POST", "/time/tick", Host=host, Cookie=cookie, Origin="http://evil.example")[0].status == 403


def test_no_page_of_a_canister_is_at_the_name_of_the_console(owner: Owner) -> None:
    connection = HTTPConnection("127.0.0.1", owner.server.port, timeout=60)
    with closing(connection):
        connection.request("GET", "/?canisterId=ryjl3-tyaaa-aaaaa-aaaba-cai", None, {"Host": console(owner)})
        response = connection.getresponse()
        assert (response.status, response.getheader("Location")) == (307, "/_sandbox/console")

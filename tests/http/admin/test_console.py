"""Claims about the console: forms from Candid types, pages without a browser, and all of it in a real one."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from PIL import Image

from sandbox.candid import encode_text, parse_did
from sandbox.errors import CandidError
from sandbox.http.console.forms import fields, text_of
from tests.http.admin.owner import Owner
from tests.http.browser import Look, browse
from tests.http.tools import NEEDS_NPM

INTERFACE = parse_did("""
type colour = variant { red; green };
type inner = record { flag : bool; note : opt text };
service : {
  f : (record { name : text; age : nat8; colour : colour; inner : inner }, opt int, vec nat, principal) -> ();
  tree : (variant { leaf : nat; node : record { text; text } }) -> ();
}
""")


def test_a_form_has_a_field_for_each_part_and_gives_candid_text() -> None:
    types = INTERFACE.method("f").args
    html = "".join(map(str, fields(types, (None,) * 4, {})))
    names = re.findall(r'name="([^"]+)"', html)
    assert len(names) == 8
    given = dict.fromkeys(names, "")
    by_label = dict(zip(re.findall(r"<label><span>(\w[\w ]*)<", html), names, strict=True))
    filled = {"name": 'A "quote"', "age": "7", "colour": "green", "flag": "true", "note": "", "argument 1": "-5"}
    filled |= {"argument 2": "vec { 1; 2 }", "argument 3": "aaaaa-aa"}
    text = text_of(types, given | {by_label[label]: value for label, value in filled.items()})
    wanted = (
        '(record { name = "A \\"quote\\""; age = 7; colour = variant { green }; '
        "inner = record { flag = true; note = null } },"
        ' opt -5, vec { 1; 2 }, principal "aaaaa-aa")'
    )
    assert encode_text(text, types) == encode_text(wanted, types)


def test_a_form_begins_with_a_value_of_the_type() -> None:
    types = INTERFACE.method("tree").args
    html = "".join(map(str, fields(types, (None,), {})))
    sample = re.search(r"<textarea[^>]*>([^<]*)<", html)
    assert sample is not None
    assert encode_text(text_of(types, {"a0": sample[1]}), types) == encode_text("(variant { leaf = 0 })", types)


@pytest.mark.parametrize("value", ["300", "x", "", "1, 2"])
def test_what_does_not_fit_the_type_is_refused(value: str) -> None:
    types = parse_did("service : { f : (nat8) -> () }").method("f").args
    with pytest.raises(CandidError):
        text_of(types, {"a0": value})


class Browser:
    """A browser without scripts: it has the cookie, and follows forms."""

    def __init__(self, owner: Owner) -> None:
        self.owner, self.host = owner, f"console.localhost:{owner.server.port}"
        response, _ = owner.send("GET", owner.link(), Host=self.host)
        self.cookie = (response.getheader("Set-Cookie") or "").split(";")[0]

    def open(self, path: str) -> tuple[int, str]:
        response, content = self.owner.send("GET", path, Host=self.host, Cookie=self.cookie)
        assert "script-src 'self'" in (response.getheader("Content-Security-Policy") or "")
        return response.status, content.decode()

    def fill(self, path: str, **given: str) -> tuple[str, str]:
        """Send a form; the address that it leads to, and the page there."""
        headers = {"Host": self.host, "Cookie": self.cookie, "Origin": f"http://{self.host}"}
        response, _ = self.owner.send("POST", path, urlencode(given).encode(), **headers)
        assert response.status == 303
        where = (response.getheader("Location") or "").removeprefix("/_sandbox")
        return where, self.open(where.partition("#")[0])[1]


def test_forms_act_and_say_what_came_of_it(owner: Owner) -> None:
    browser = Browser(owner)
    back = "/_sandbox/console#snapshots"
    where, page = browser.fill("/console/do/take_snapshot", canister="c", label="by form", _back=back)
    assert where.endswith("#snapshots")
    assert "The snapshot was taken." in page
    assert "by form" in page
    for operation, said in (("verify_snapshot", "intact"), ("load_snapshot", "loaded"), ("delete_snapshot", "deleted")):
        assert said in browser.fill(f"/console/do/{operation}", snapshot="by form", _back=back)[1]
    assert "note bad" in browser.fill("/console/do/delete_snapshot", snapshot="by form", _back=back)[1]


def test_a_form_leads_to_no_other_place(owner: Owner) -> None:
    for back in ("https://evil.example/", "//evil.example", "/_sandbox/console/../../", "/_sandbox/consoleevil"):
        where, _ = Browser(owner).fill("/console/do/tick", rounds="1", _back=back)
        assert where.startswith("/console")
        assert "evil" not in where


def test_text_of_canisters_and_users_is_never_markup(owner: Owner) -> None:
    label = "<script>alert(1)</script>"
    owner.done("POST", "/canisters/c/snapshots", {"label": label})
    browser = Browser(owner)
    try:
        for path in ("/console", "/console/canisters/c", "/console/canisters/%3Cscript%3E"):
            page = browser.open(path)[1]
            assert "<script>" not in page
        assert "&lt;script&gt;" in browser.open("/console")[1]
    finally:
        owner.done("DELETE", f"/snapshots/{owner.done('GET', '/snapshots?canister=c')['snapshots'][-1]['id']}")


def test_a_problem_has_a_page(owner: Owner) -> None:
    status, page = Browser(owner).open("/console/canisters/absent")
    assert (status, "neither the name of a canister" in page) == (404, True)


def click(selector: str) -> str:
    """An expression that clicks once an element is there."""
    return f"(e => e ? (e.click(), true) : null)(document.querySelector({selector!r}))"


@pytest.mark.slow
@NEEDS_NPM
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_in_a_browser_a_method_is_called_and_the_log_is_live(
    owner: Owner, width: int, dark: bool, tmp_path: Path
) -> None:
    owner.done("POST", "/canisters/c/call", {"method": "inc"})
    start = f"http://console.localhost:{owner.server.port}/_sandbox"
    picture = tmp_path / "page.png"
    seen = browse(
        start + owner.link(),
        "document.querySelector('#log-state').textContent.startsWith('Connected')",
        click("#canisters a"),
        "document.querySelector('#m-work') && true",
        "document.querySelector('#m-work input[name=a0]').value = '1000'",
        click("#m-work button"),
        "document.querySelector('#m-work .result pre')?.textContent",
        "document.querySelector('#m-print input[name=a0]').value = 'live'",
        click("#m-print button"),
        "document.querySelector('#log-lines li span:last-child')?.textContent",
        "document.querySelector('#m-print .result') && true",
        look=Look(width, dark, picture),
    )
    assert seen.errors == []
    assert seen.values[-2] == "live"
    assert not seen.wide
    assert str(seen.values[-5]).endswith(": nat64)")
    with Image.open(picture) as drawn:
        ground = drawn.convert("L").getpixel((2, drawn.height - 2))
    assert isinstance(ground, int)
    assert (ground < 60) is dark

"""Report pages: escaped, self-contained, with tables, plots and pictures."""

from __future__ import annotations

import base64
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from sandbox import Canister, Sandbox
from sandbox.proofs.report import html
from sandbox.proofs.report.files import check_writable, write_report
from sandbox.snapshots.diff.picture import STYLE, FateMap
from sandbox.snapshots.inspect import page_map as pages_of
from tests.conftest import fixture

EVIL = "<script>alert(\"x\" & 'y')</script>\x1b[31m\ud800"


class Tags(HTMLParser):
    """The tags of a page, which must be closed in order, its text, and every attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.seen: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self.opened == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img"):
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def people() -> Canister:
    canister = Sandbox().create_canister()
    canister.install(fixture("people_stable_rs_v1"))
    canister.call("fill", 300)
    return canister


def test_text_is_escaped_wherever_it_enters() -> None:
    blocks = [
        html.section(EVIL, EVIL, anchor=EVIL),
        html.table([EVIL], [[EVIL], [html.Cell(EVIL, "bad", tip=EVIL)]], right={EVIL}),
        html.badge(EVIL),
        html.code(EVIL),
        html.details(EVIL, EVIL),
        html.fields({EVIL: EVIL}),
        html.note("warn", EVIL),
        html.paragraph(EVIL),
        html.line_plot(EVIL, {EVIL: [1, 2], "other": [1]}, [EVIL], EVIL),
    ]
    page = html.page(EVIL, blocks, lead=EVIL)
    tags = Tags(page)
    assert "script" not in tags.seen
    assert tags.text.count("<script>alert(\"x\" & 'y')</script>\ufffd[31m\ufffd") >= 14
    assert not re.search("[\x00-\x08\x1b\ud800]", page)


def test_a_page_needs_nothing_from_elsewhere() -> None:
    tags = Tags(html.page("title", html.line_plot("plot", {"a": [1.0, None, 3.0]})))
    policy = dict(tags.attributes)["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert not [value for name, value in tags.attributes if name in ("src", "href")]
    assert "prefers-color-scheme: dark" in html.page("title")


def test_a_plot_has_a_point_for_each_value_and_thins_out_long_series() -> None:
    plot = html.line_plot("Instructions", {"a": [1_000_000, None, 4_000_000]}, ["install", "", "fill"]).text
    assert plot.count("<circle") == 2
    assert "3 fill: a 4,000,000" in plot
    assert ">4 M<" in plot
    many = html.line_plot("many", {"a": [0.0] * 5_000 + [7.0] + [0.0] * 5_000}).text
    [points] = re.findall(r'points="([^"]*)"', many)
    assert 200 <= len(points.split()) <= 400
    assert min(float(point.split(",")[1]) for point in points.split()) < 40  # the one high value is not lost
    assert "no values" in html.line_plot("none", {"a": [None]}).text


def test_the_picture_of_a_memory_lies_in_the_page(people: Canister) -> None:
    changes = people.changes()
    stable = changes.diff.new.stable
    picture = html.page_map("stable memory", pages_of(stable)).text
    [data] = re.findall(r'src="data:image/png;base64,([^"]*)"', picture)
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert str(image.width) in picture
    assert len(image.getcolors() or []) >= 2
    assert f"structured {pages_of(stable).counts['structured']:,}" in picture
    people.call("fill", 1)
    differences = html.page_map("heap", FateMap(changes.diff.stable), STYLE).text
    assert re.search(r"changed [1-9]", differences)


def test_a_long_text_is_cut_and_says_so() -> None:
    assert "... 5 more characters" in html.code("x" * (html.MOST_CODE + 5)).text


def test_a_report_that_cannot_be_written_is_refused_and_a_written_one_is_whole(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="there is no directory"):
        check_writable([tmp_path / "report.html", tmp_path / "missing" / "report.html"])
    with pytest.raises(OSError, match="it is a directory"):
        check_writable([tmp_path])
    write_report(tmp_path / "report.html", "old")
    write_report(tmp_path / "report.html", "new ü \ud800")
    assert (tmp_path / "report.html").read_text() == "new ü \\ud800"
    assert os.listdir(tmp_path) == ["report.html"]

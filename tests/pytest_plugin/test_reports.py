"""The table of instructions, the page of the report, and several processes."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.pytest_plugin.conftest import Run

TESTS = """
@pytest.fixture(scope="session")
def counter(sandbox):
    counter = counter_in(sandbox, "counter")
    counter.call("work", 1000)
    return counter

@pytest.mark.parametrize("n", range(4))
def test_inc(counter, n):
    for k in range(n + 1):
        assert counter.call("inc") == k + 1
    counter.call("get")
    counter.call("print", f"<b>{n}</b>")

@pytest.mark.canister("wasm/counter.classical.wasm", name="own")
def test_fails(canister):
    canister.call("boom")

def test_none():
    pass
"""


def cells(result: pytest.RunResult, test: str) -> list[list[str]]:
    """The rows of the table of instructions that belong to a test."""
    return [line.split()[1:] for line in result.outlines if line.startswith(f"test_it.py::{test} ")]


def test_instructions_by_test_and_method(run: Run) -> None:
    result = run(TESTS, "--canister-instructions")
    result.assert_outcomes(passed=5, failed=1)
    inc, get, printed = cells(result, "test_inc[2]")
    assert inc[:3] == ["counter", "inc", "3"]
    total, least, middle, most = (int(number.replace(",", "")) for number in inc[3:])
    assert least <= middle <= most
    assert total >= 3 * least > 0
    assert get[:3] == ["counter", "get", "1"]
    assert get[3] == get[4] == get[5] == get[6]
    assert printed[1] == "print"
    assert ["own", "boom", "1"] in [row[:3] for row in cells(result, "test_fails")]
    assert not cells(result, "test_none")
    assert "work" not in result.stdout.str().partition("canister instructions")[2].partition("summary")[0]


def test_without_calls_the_table_says_so(run: Run) -> None:
    run("def test_it(): pass", "--canister-instructions").stdout.fnmatch_lines(["no test called a canister"])


class Reader(HTMLParser):
    """Collects the texts of a page, and checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "src" not in dict(attrs)
        assert dict(attrs).get("href", "data:,") == "data:,"
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_holds_every_test_with_instructions_memory_and_logs(run: Run, pytester: pytest.Pytester) -> None:
    result = run(TESTS, "--canister-report=report.html")
    result.stdout.fnmatch_lines(["canister report: report.html"])
    text = (pytester.path / "report.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    shown = "\n".join(reader.texts)
    for name in ("test_inc[0]", "test_inc[3]", "test_fails", "test_none"):
        assert f"test_it.py::{name}" in shown
    assert "Canister tests: 1 failed, 5 passed" in shown
    assert "<b>3</b>" in shown
    assert "boom: on purpose" in shown
    assert "Wasm backtrace (innermost first)\n  0  trap" in shown
    assert re.search(r"test_inc\[3\].*?passed\n[\d.]+\n6\n[\d,]+\n\d+\.\d\d\n", shown, re.DOTALL)


@pytest.mark.parametrize("path", [".", "none/report.html"])
def test_a_report_that_cannot_be_written_is_said_before_any_test_runs(run: Run, path: str) -> None:
    result = run("def test_it(): print('it ran')", "-s", f"--canister-report={path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--canister-report: no file can be written at {path}*"])
    assert "it ran" not in result.stdout.str()


def test_two_workers_report_what_one_process_does(run: Run, pytester: pytest.Pytester) -> None:
    options = "--canister-instructions", "--canister-report=report.html", "-p", "no:randomly"
    files = {f"test_{letter}": KEEPS.replace("LETTER", letter) for letter in "ab"}
    run("", "--canister-update", **files).stdout.fnmatch_lines(["2 kept values written"])
    (pytester.path / "kept/test_a/test_old.txt").write_text("1\n")
    reports = []
    for workers in ([], ["-n", "2", "--dist", "loadfile"]):
        result = run("", *options, *workers, **files)
        result.assert_outcomes(passed=8)
        table = sorted(line.split() for line in result.outlines if "::test_inc" in line)
        unused = [line for line in result.outlines if line.endswith("kept/test_a/test_old.txt")]
        page = (pytester.path / "report.html").read_text()
        rows = sorted(
            re.sub(r"(?<=>passed</td>)<td class=.number.>[\d.]+</td>", "", line) for line in page.splitlines()
        )
        reports.append((table, unused, rows))
    assert reports[0] == reports[1]
    assert [len(part) for part in reports[0][:2]] == [6 * 3, 1]


KEEPS = (
    TESTS.partition("@pytest.mark.canister")[0].replace('"session"', '"module"').replace("range(4)", "range(3)")
    + """
def test_kept(kept):
    assert kept == "LETTER"
"""
)

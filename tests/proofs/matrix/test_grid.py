"""The cells of a matrix: verdicts and findings are those of each upgrade alone, whatever runs them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sandbox import (
    Accepted,
    Build,
    Matrix,
    MatrixOptions,
    MatrixReport,
    Sandbox,
    Version,
    Workers,
    verify_matrix,
    verify_upgrade,
)
from sandbox.proofs.matrix.page import matrix_page
from tests.conftest import fixture, guest

EXAMPLE = Path(__file__).resolve().parents[3] / "fixtures" / "matrices" / "people.yaml"
LETTERS = {"safe": "s", "risky": "r", "broken": "b", "unknown": "?"}
CALLS = ["fill(20)", "set_age(1, 77)"]


def grid(report: MatrixReport) -> list[str]:
    """A letter for each cell, a text for each row."""
    return ["".join(LETTERS[report.verdict_of(old, new)] for new in report.builds) for old in report.builds]


def ids(report: MatrixReport, old: str, new: str) -> set[str]:
    return {finding.id for finding in report.cells[old, new].findings}


def builds(*names: str) -> tuple[Build, ...]:
    return tuple(Build(name, fixture(name)) for name in names)


@pytest.fixture(scope="module")
def example() -> MatrixReport:
    return verify_matrix(EXAMPLE)


def test_five_releases_have_this_grid(example: MatrixReport) -> None:
    assert grid(example) == ["ssbbb", "bsbbb", "bbrbb", "ssbbb", "bbbbb"]
    assert example.builds == ("1.0", "2.0", "2.1", "2.2", "2.3")
    assert example.verdict == "broken"
    assert example.tally("upgrade") == {"safe": 1, "broken": 9}
    assert example.tally("downgrade") == {"safe": 2, "broken": 8}


def test_each_release_has_the_finding_that_it_was_made_for(example: MatrixReport) -> None:
    assert "data-lost" in ids(example, "1.0", "2.1")
    assert "post-upgrade-traps" in ids(example, "1.0", "2.2")
    assert "pre-upgrade-traps" in ids(example, "2.3", "2.0")
    assert "next-upgrade-fails" in ids(example, "1.0", "2.3")
    assert "not-idempotent-loses" in ids(example, "2.1", "2.1")
    assert ids(example, "1.0", "2.0") <= {"not-idempotent"}


def test_alike_findings_of_several_cells_are_one(example: MatrixReport) -> None:
    [lost] = [group for group in example.groups if ".email gone" in group.finding.text]
    assert lost.cells == (("1.0", "2.1"), ("2.0", "2.1"), ("2.2", "2.1"))
    [traps] = [group for group in example.groups if group.finding.id == "post-upgrade-traps"]
    assert set(traps.cells) == {("1.0", "2.2"), ("2.0", "2.2"), ("2.1", "2.2")}


def test_the_instructions_of_an_upgrade_are_kept(example: MatrixReport) -> None:
    alone = verify_upgrade(fixture("people_v1.classical"), fixture("people_v2_good.classical"), calls=CALLS)
    hooks = alone.check("hooks")
    assert hooks is not None
    spent = sum(hook["instructions"] for hook in hooks.facts["hooks"])
    assert example.cells["1.0", "2.0"].instructions == spent
    assert example.cells["1.0", "2.2"].instructions is None


STABLE = tuple(f"people_stable_rs_{name}" for name in ("v1", "v2_good", "v2_drops"))


def test_cells_say_what_verify_upgrade_says() -> None:
    """States that are looked at once, and copies that are used again, change no finding."""
    report = verify_matrix(builds(*STABLE), calls=CALLS)
    for old, new in report.pairs("upgrade"):
        alone = verify_upgrade(Version(old, fixture(old)), Version(new, fixture(new)), calls=CALLS)
        for seen in report.cells[old, new].checks:
            check = alone.check(seen.name)
            assert check is not None
            assert (seen.text, seen.done) == (check.text, check.done)
            found = [each for each in report.cells[old, new].findings if each in check.findings]
            assert sorted(each.text for each in found) == sorted(each.text for each in check.findings)


def test_full_cells_make_every_check() -> None:
    report = verify_matrix(builds(*STABLE[:2]), calls=CALLS, options=MatrixOptions(full=True))
    alone = verify_upgrade(fixture(STABLE[0]), fixture(STABLE[1]), calls=CALLS)
    assert [check.name for check in report.cells[STABLE[0], STABLE[1]].checks] == [each.name for each in alone.checks]
    assert grid(report) == ["ss", "rs"]


def test_any_executor_gives_the_same_cells() -> None:
    given = builds(*STABLE)
    here = verify_matrix(given, calls=CALLS)
    with ThreadPoolExecutor(2) as executor:
        for remote in (False, True):
            options = MatrixOptions(workers=Workers(executor, 2, remote))
            assert verify_matrix(given, calls=CALLS, options=options).cells == here.cells


def test_arguments_differ_by_build_and_by_what_it_is_installed_over() -> None:
    def build(name: str, first: str, later: str) -> Build:
        config = {"title": first, "max_people": None}, {"title": later, "max_people": None}
        return Build(name, fixture(STABLE[0]), init_arg=config[0], arg=config[1])

    report = verify_matrix([build("a", "one", "one"), build("b", "two", "three")], queries=["config()"])
    changed, differs = report.cells["a", "b"].findings
    assert changed.details == ('memory 1[0].title: "one" → "three"',)
    assert (differs.id, differs.text) == ("query-differs", "config()")
    assert ids(report, "a", "a") == set()
    assert ids(report, "b", "b") == {"next-upgrade-changes", "query-differs"}


def test_a_state_takes_the_place_of_the_calls_of_all(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        canister = sandbox.create_canister()
        canister.install(fixture(STABLE[0]))
        canister.call("fill", 3)
        sandbox.snapshots.download(canister.take_snapshot(), tmp_path / "v1.icsnap")
    first = Build("v1", fixture(STABLE[0]), state=tmp_path / "v1.icsnap")
    second = Build("v2", fixture(STABLE[2]), calls=("fill(5)",))
    report = verify_matrix([first, second], calls=["fill(9)"])
    assert "3 of 3 entries: memory 0[].email gone" in [each.text for each in report.cells["v1", "v2"].findings]
    [data] = [check for check in report.cells["v2", "v1"].checks if check.name == "data"]
    assert data.text == "6 entries in 2 structures: all equal"  # five people and the configuration


def test_a_build_that_cannot_begin_has_a_row_without_verdicts() -> None:
    trap = guest('(func (export "canister_init") unreachable)')
    good = guest('(func (export "canister_query other") unreachable)')
    report = verify_matrix([Build("good", good), Build("bad", trap)])
    assert grid(report) == ["ss", "??"]
    assert "its installation or one of the calls fails: Canister trapped: unreachable" in report.problems["bad"]
    assert report.verdict == "unknown"


def test_a_module_that_the_platform_refuses_is_broken_as_target() -> None:
    report = verify_matrix([*builds(STABLE[0]), Build("bad", b"\0asm\1\0\0\0\7")], calls=[])
    assert ids(report, STABLE[0], "bad") == {"module-refused"}
    assert grid(report) == ["sb", "??"]
    assert "refuses the module" in report.problems["bad"]


def test_downgrades_count_on_request_and_findings_are_accepted_by_cell(tmp_path: Path) -> None:
    first, second = builds("people_v1.classical", "people_v2_good.classical")

    def verdict(*accept: Accepted, downgrades: bool = True) -> str:
        matrix, options = Matrix((first, second), tuple(CALLS), accept=accept), MatrixOptions(cache=tmp_path)
        return verify_matrix(matrix, downgrades=downgrades, options=options).verdict

    back = (second.name, first.name)
    found = ids(verify_matrix([first, second], calls=CALLS, options=MatrixOptions(cache=tmp_path)), *back)
    assert verdict(downgrades=False) == "safe"
    assert verdict() == "broken"
    assert verdict(*(Accepted(id, *back) for id in found)) == "safe"
    assert verdict(*(Accepted(id, *reversed(back)) for id in found)) == "broken"


def test_the_page_is_well_formed_and_has_every_cell(example: MatrixReport) -> None:
    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []
            self.tips: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in ("meta", "br", "img"):
                self.open.append(tag)
            self.tips += [value for name, value in attrs if name == "title" and value]

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(matrix_page(example))
    assert reader.open == []
    titles = {tip.splitlines()[0] for tip in reader.tips}
    assert {f"{old} → {new}: {example.verdict_of(old, new)}" for old, new in example.cells} <= titles


def test_the_json_has_every_cell(example: MatrixReport) -> None:
    facts: Mapping[str, object] = example.to_dict()
    cells = facts["cells"]
    assert isinstance(cells, list)
    assert len(cells) == 25
    [cell] = [each for each in cells if (each["old"], each["new"]) == ("2.0", "2.1")]
    assert cell["kind"] == "upgrade"
    assert {each["id"] for each in cell["findings"] if each["accepted"]} == {"interface-breaks"}

"""Values that are compared with files beside the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pytest_plugin.conftest import Run

VALUES = """
@pytest.mark.canister("wasm/people_v1.classical.wasm")
def test_people(canister, kept):
    canister.call("fill", {count})
    assert canister.call("list", 0, 9) == kept
    assert canister.call("size") == kept
    assert kept("a name of its own") == canister.call("get", 0)
"""


def kept_files(path: Path) -> list[str]:
    return sorted(file.name for file in (path / "kept").rglob("*.*"))


def test_a_value_is_kept_compared_and_kept_anew(run: Run, pytester: pytest.Pytester) -> None:
    first = run(VALUES.format(count=2))
    first.assert_outcomes(failed=1)
    first.stdout.fnmatch_lines(["*nothing is kept in kept/test_it/test_people.txt: --canister-update writes it"])
    assert kept_files(pytester.path) == []

    run(VALUES.format(count=2), "--canister-update").stdout.fnmatch_lines(["3 kept values written"])
    assert kept_files(pytester.path) == [
        "test_people.2.txt",
        "test_people.a name of its own.txt",
        "test_people.txt",
    ]
    text = (pytester.path / "kept/test_it/test_people.txt").read_text()
    assert "'name': 'Person 1'," in text.splitlines()[8]

    run(VALUES.format(count=2)).assert_outcomes(passed=1)
    third = run(VALUES.format(count=3), "-vv")
    third.assert_outcomes(failed=1)
    third.stdout.fnmatch_lines(
        ["*is not what is kept in kept/test_it/test_people.txt *", "*@@*", "*+ {'age': *", "*+  'name': 'Person 2',*"]
    )
    again = run(VALUES.format(count=3), "--canister-update")
    again.stdout.fnmatch_lines(["2 kept values written"])
    again.assert_outcomes(passed=1)


def test_a_canister_is_kept_as_its_state(run: Run) -> None:
    test = """
@pytest.mark.canister("wasm/people_stable_rs_v1.wasm")
def test_state(canister, kept):
    canister.call("fill", 2)
    if {more}:
        canister.call("set_age", 1, 99)
    assert canister == kept
"""
    run(test.format(more=False), "--canister-update").assert_outcomes(passed=1)
    run(test.format(more=False)).assert_outcomes(passed=1)
    changed = run(test.format(more=True), "-vv")
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*-*age = 19 : nat;*", "*+*age = 99 : nat;*"])


NAMES = """
@pytest.mark.parametrize("text", ["a", "a/../b", "x" * 300, "ü", "a b"])
def test_it(kept, text):
    assert kept == {"text": text}

class TestIt:
    def test_it(self, kept):
        assert kept == "two\\nlines\\n"
        assert kept("kept") == b"\\0" * 3
"""


def test_names_of_files_stay_plain_and_apart(run: Run, pytester: pytest.Pytester) -> None:
    run(NAMES, "--canister-update").assert_outcomes(passed=6)
    run(NAMES).assert_outcomes(passed=6)
    directory = pytester.path / "kept" / "test_it"
    names = [file.name for file in directory.iterdir()]
    assert len(names) == 7
    assert max(map(len, names)) < 128
    assert (directory / "TestIt.test_it.txt").read_text() == "two\nlines\n"


TWO = """
def test_one(kept): assert kept == 1
def test_two(kept): assert kept == 2
"""
UNUSED = ["1 kept value used by no test (--canister-update deletes them):", "*kept/test_it/test_two.txt"]


def test_what_no_test_uses_is_reported_and_deleted(run: Run, pytester: pytest.Pytester) -> None:
    one = TWO.replace("kept == 2", "1 < 2")
    run(TWO, "--canister-update").stdout.fnmatch_lines(["2 kept values written"])
    run(one).stdout.fnmatch_lines(UNUSED)
    assert len(kept_files(pytester.path)) == 2
    run(one, "--canister-update").stdout.fnmatch_lines(["1 kept value deleted that no test uses"])
    assert kept_files(pytester.path) == ["test_one.txt"]


def test_values_of_a_test_file_that_is_gone_are_not_used(run: Run, pytester: pytest.Pytester) -> None:
    run(TWO, "--canister-update")
    (pytester.path / "kept/test_gone").mkdir()
    (pytester.path / "kept/test_gone/test_old.txt").write_text("1\n")
    run(TWO).stdout.fnmatch_lines(["1 kept value used by no test *", "*kept/test_gone/test_old.txt"])


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ("1 < 2", ["-k", "one"]),
        ("1 < 2", ["test_it.py::test_one"]),
        ("1 < 2", ["--deselect", "test_it.py::test_one"]),
        ("1 > 2", []),
        ("pytest.skip()", []),
    ],
)
def test_a_run_that_is_not_whole_tells_nothing_of_use(run: Run, body: str, options: list[str]) -> None:
    run(TWO, "--canister-update")
    result = run(TWO.replace("kept == 2", body), *options)
    assert "used by no test" not in result.stdout.str()


def test_a_value_is_equal_to_what_has_the_same_text(run: Run) -> None:
    test = """
def test_it(kept):
    assert kept("one") == {value}
    assert not (kept("one") != {value})
"""
    run(test.format(value="{'b': 1, 'a': [Principal.anonymous(), None]}"), "--canister-update")
    run(test.format(value="{'a': [Principal.anonymous(), None], 'b': 1}")).assert_outcomes(passed=1)
    run(test.format(value="{'a': (Principal.anonymous(), None), 'b': 1}")).assert_outcomes(failed=1)

"""Isolation: what tests and fixtures do is undone, each at its own time."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.conftest import Run

MODULE = """
@pytest.fixture(scope="module")
def counter(sandbox):
    print("made")
    counter = counter_in(sandbox)
    counter.call("inc")
    yield counter
    assert counter.call("get") == 1          # as the fixture left it, whatever the tests did
    print("unmade")
"""


def lines(result: pytest.RunResult, *words: str) -> list[str]:
    """What the tests printed of these words, in order; run with `-s`."""
    return [word for word in result.stdout.str().replace(".", " ").split() if word in words]


def test_a_test_begins_with_what_the_fixtures_of_wider_scope_did(run: Run) -> None:
    result = run(
        MODULE
        + """
@pytest.mark.parametrize("n", range(3))
def test_inc(counter, n):
    assert counter.call("inc") == 2

def test_new_canister(counter, sandbox):
    sandbox.advance_time(60)
    counter_in(sandbox)
    assert len(sandbox.canisters()) == 2

def test_nothing_is_left(counter, sandbox):
    assert len(sandbox.canisters()) == 1
    assert sandbox.time == Sandbox().time
    assert counter.call("get") == 1
""",
        "-s",
    )
    result.assert_outcomes(passed=5)
    assert lines(result, "made", "unmade") == ["made", "unmade"]


def test_nothing_is_left_of_a_module_or_a_class(run: Run) -> None:
    class_scoped = """
class TestOne:
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def more(cls, counter):
        counter.call("inc")
        yield
        counter.call("inc")

    def test_one(self, counter):
        assert counter.call("inc") == 3

    def test_two(self, counter):
        assert counter.call("inc") == 3

def test_after_the_class(counter):
    assert counter.call("get") == 1
"""
    result = run(MODULE + class_scoped, test_other="def test_empty(sandbox): assert not sandbox.canisters()\n")
    result.assert_outcomes(passed=4)


def test_function_scoped_fixtures_belong_to_their_test_and_may_use_the_sandbox_when_torn_down(run: Run) -> None:
    result = run(
        MODULE
        + """
@pytest.fixture
def twice(counter):
    counter.call("inc")
    yield counter
    assert counter.call("inc") == 4

@pytest.mark.parametrize("n", range(2))
def test_it(twice, n):
    assert twice.call("inc") == 3

def test_plain(counter):
    assert counter.call("get") == 1
"""
    )
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("ending", "outcomes"),
    [
        ("assert False", {"failed": 1}),
        ("pytest.skip()", {"skipped": 1}),
        ("pytest.xfail()", {"xfailed": 1}),
        ('counter.call("boom")', {"failed": 1}),
        ("raise SystemExit", {"failed": 1}),
    ],
)
def test_however_a_test_ends(run: Run, ending: str, outcomes: dict[str, int]) -> None:
    result = run(
        MODULE
        + f"""
def test_one(counter):
    counter.call("inc")
    {ending}

def test_two(counter):
    assert counter.call("get") == 1
"""
    )
    result.assert_outcomes(passed=1, **outcomes)


def test_an_interrupted_run_still_ends_in_order(run: Run) -> None:
    result = run(
        MODULE
        + """
@pytest.fixture(scope="session")
def first(sandbox):
    counter = counter_in(sandbox)
    yield counter
    assert counter.call("get") == 0
    print("last")

def test_one(first, counter):
    first.call("inc")
    counter.call("inc")
    raise KeyboardInterrupt
""",
        "-s",
        process=True,
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert lines(result, "made", "unmade", "last") == ["made", "unmade", "last"]
    assert "Error" not in result.stdout.str()


def test_a_fixture_that_fails_half_way_leaves_nothing(run: Run) -> None:
    result = run(
        MODULE
        + """
@pytest.fixture(scope="module")
def broken(counter):
    counter.call("inc")
    raise RuntimeError("half-way")

def test_one(broken): pass

def test_two(counter):
    assert counter.call("get") == 1
"""
    )
    result.assert_outcomes(errors=1, passed=1)


def test_parameters_of_a_session_change_in_the_middle(run: Run) -> None:
    """`wide[1]` goes, and with it what stands on it, though it does not depend on it by name."""
    result = run(
        """
@pytest.fixture(scope="session", params=[1, 2])
def wide(sandbox, request):
    counter = counter_in(sandbox)
    for _ in range(request.param):
        counter.call("inc")
    yield counter
    assert counter.call("get") == request.param

@pytest.fixture(scope="session")
def other(sandbox):
    print("other")
    counter = counter_in(sandbox)
    counter.call("inc")
    return counter

@pytest.fixture(scope="module")
def third(other):
    return other.call("inc")

def test_wide(wide):
    wide.call("inc")

def test_both(other, wide, third, request, sandbox):
    assert other.call("inc") == 3 and third == 2
    wide.call("inc")
    assert len(sandbox.canisters()) == 2
""",
        "-s",
    )
    result.assert_outcomes(passed=4)
    assert lines(result, "other") == ["other", "other"]


def test_a_session_fixture_that_is_first_used_after_a_module_s_is_set_up_once(run: Run) -> None:
    """The module's makes way for it."""
    late = MODULE + (
        """
def test_one(counter): counter.call("inc")
def test_two(late, counter): assert (late.call("inc"), counter.call("inc")) == (1, 2)
def test_three(late, counter): assert (late.call("inc"), counter.call("inc")) == (1, 2)
"""
    )
    conftest = """
@pytest.fixture(scope="session")
def late(sandbox):
    print("late")
    yield counter_in(sandbox)
    print("later")
"""
    result = run(late, "-s", conftest=conftest, test_more="def test_four(late): assert late.call('inc') == 1\n")
    result.assert_outcomes(passed=4)
    expected = ["made", "unmade", "late", "made", "unmade", "later"]
    assert lines(result, "made", "unmade", "late", "later") == expected


def test_a_session_fixture_that_a_test_asks_for_by_itself_goes_with_it(run: Run) -> None:
    """Its state stands on that of the test, and cannot outlive it."""
    result = run(
        MODULE
        + """
@pytest.fixture(scope="session")
def late(sandbox):
    print("late")
    return counter_in(sandbox)

@pytest.mark.parametrize("n", range(2))
def test_it(counter, request, n):
    counter.call("inc")
    assert request.getfixturevalue("late").call("inc") == 1
    assert counter.call("inc") == 3
""",
        "-s",
    )
    result.assert_outcomes(passed=2)
    assert lines(result, "made", "unmade", "late") == ["made", "late", "late", "unmade"]


def test_a_fixture_that_asks_for_another_by_itself_goes_before_it(run: Run) -> None:
    result = run(
        MODULE
        + """
@pytest.fixture(scope="session", params=[1, 2])
def inner(sandbox, request):
    yield counter_in(sandbox)
    print("inner")

@pytest.fixture(scope="module")
def outer(counter, request):
    counter.call("inc")
    inner = request.getfixturevalue("inner")
    inner.call("inc")
    yield counter
    assert (counter.call("get"), inner.call("get")) == (2, 1)
    print("outer")

def test_one(outer, inner):
    assert (outer.call("inc"), inner.call("inc")) == (3, 2)
""",
        "-s",
    )
    result.assert_outcomes(passed=2)
    assert lines(result, "outer", "inner") == ["outer", "inner"] * 2


def test_an_error_in_a_teardown_does_not_keep_the_rest(run: Run) -> None:
    result = run(
        """
@pytest.fixture(scope="session")
def base(sandbox):
    counter = counter_in(sandbox)
    yield counter
    assert counter.call("get") == 0
    print("released")

@pytest.fixture(scope="module")
def broken(base):
    base.call("inc")
    yield
    raise RuntimeError("in teardown")

def test_one(broken): pass
""",
        "-s",
        test_more="def test_two(sandbox): assert sandbox.canisters()[0].call('get') == 0\n",
        conftest="",
    )
    result.assert_outcomes(passed=2, errors=1)
    assert lines(result, "released") == ["released"]


def test_a_mark_lets_changes_stay(run: Run) -> None:
    result = run(
        MODULE.replace('assert counter.call("get") == 1 ', "")
        + """
@pytest.mark.no_isolation
def test_one(counter):
    counter.call("inc")

def test_two(counter):
    assert counter.call("inc") == 3

def test_three(counter):
    assert counter.call("inc") == 3
""",
        test_more="def test_other(sandbox): assert not sandbox.canisters()\n",
    )
    result.assert_outcomes(passed=4)


def test_sandboxes_of_one_s_own(run: Run) -> None:
    """A sandbox of another scope, several of them, and one that is known by its canister alone."""
    result = run(
        """
@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(seed=7) as made:
        yield made

@pytest.fixture(scope="session")
def lonely():
    return counter_in(Sandbox())

@pytest.fixture
def fresh():
    return Sandbox()

@pytest.mark.parametrize("n", range(2))
def test_it(sandbox, lonely, fresh, n):
    assert lonely.call("inc") == 1
    assert counter_in(sandbox).call("inc") == 1
    assert len(sandbox.canisters()) == 1
    assert not fresh.canisters()
    counter_in(fresh)
"""
    )
    result.assert_outcomes(passed=2)


def test_xunit_setups_and_unittest(run: Run) -> None:
    result = run(
        """
import unittest

def setup_module(module):
    module.counter = counter_in(Sandbox())

class TestIt(unittest.TestCase):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def known(cls):
        return counter

    def test_one(self): assert counter.call("inc") == 1
    def test_two(self): assert counter.call("inc") == 1
"""
    )
    result.assert_outcomes(passed=2)


def test_a_forked_child_leaves_its_parent_s_sandbox_alone(run: Run) -> None:
    result = run(
        MODULE
        + """
import os

def test_one(counter):
    counter.call("inc")
    child = os.fork()
    if not child:
        try:
            counter.call("inc")
        except SandboxError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert counter.call("inc") == 3

def test_two(counter):
    assert counter.call("inc") == 2
"""
    )
    result.assert_outcomes(passed=2)


def test_a_run_without_sandboxes_imports_none(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it(tmp_path):
            assert not {"sandbox.api", "wasmtime", "rich", "hypothesis.stateful"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:schemathesis").assert_outcomes(passed=1)

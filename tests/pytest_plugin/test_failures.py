"""What a test says when it fails, and `rejects`."""

from __future__ import annotations

import pytest

from sandbox import CallRejected, ErrorCode, Reject
from sandbox.pytest_plugin import rejects
from tests.pytest_plugin.conftest import Run

FAILS = """
@pytest.fixture(scope="module")
def counter(sandbox):
    counter = counter_in(sandbox, "counter")
    counter.call("inc")
    counter.call("print", "by the fixture")
    return counter

def test_fails(counter):
    counter.call("print", "by the test")
    counter.call("inc")
    counter.call("print_then_trap", "and last")
"""


def test_a_failure_shows_logs_backtrace_and_changes(run: Run) -> None:
    result = run(FAILS)
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "*- canister logs -*",
            "*by the test*",
            "*- Wasm backtrace (innermost first) -*",
            "  0  *",
            "*- state changed since the test began -*",
            "counter",
            "*pages changed*",
            "heap *",
        ]
    )
    assert "by the fixture" not in text


def test_tracebacks_end_where_the_sandbox_begins_unless_asked(run: Run) -> None:
    """Also those of the errors that led to an error."""
    shown = run(FAILS + "\ndef test_chain(counter):\n    with rejects(match='other'):\n        counter.call('boom')\n")
    shown.assert_outcomes(failed=2)
    assert "sandbox/api" not in shown.stdout.str()
    assert "sandbox/pytest_plugin" not in shown.stdout.str()
    assert "counter.call('boom')" in shown.stdout.str()
    full = run(FAILS, "--full-trace")
    assert "sandbox/api/canister.py" in full.stdout.str()


def test_changes_in_data_structures_are_shown_and_cut(run: Run) -> None:
    result = run(
        """
@pytest.mark.canister("wasm/people_stable_rs_v1.wasm", name="registry")
def test_it(canister, sandbox):
    canister.call("fill", 500)
    sandbox.create_canister(name="empty")
    assert False
"""
    )
    result.stdout.fnmatch_lines(
        ["registry, since it was installed", "memory 0: BTreeMap, none → 500 *", "empty: created"]
    )
    result = run(
        """
@pytest.fixture(scope="module")
def registry(sandbox):
    registry = sandbox.create_canister(name="registry")
    registry.install("wasm/people_stable_rs_v1.wasm")
    registry.call("fill", 50)
    return registry

def test_it(registry):
    registry.call("set_age", 7, 99)
    registry.call("fill", 500)
    assert False
"""
    )
    result.stdout.fnmatch_lines(["memory 0: BTreeMap, 50 → 550 entries: 500 added, 0 removed, 1 changed"])
    assert len(result.outlines) < 120
    assert "lines more)" in result.stdout.str()


def test_what_failed_in_a_set_up_shows_its_logs(run: Run) -> None:
    result = run(
        """
@pytest.fixture
def bad(sandbox):
    counter_in(sandbox).call("print_then_trap", "and last")

def test_it(bad): pass
"""
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*- canister logs -*", "*- Wasm backtrace (innermost first) -*"])


def test_what_was_expected_to_fail_or_passed_shows_nothing(run: Run) -> None:
    result = run(FAILS.replace("def test_fails", "@pytest.mark.xfail\ndef test_fails"), "-rA")
    result.assert_outcomes(xfailed=1)
    assert "state changed" not in result.stdout.str()


def test_the_user_s_own_log_function_is_called_too(run: Run) -> None:
    result = run(
        """
seen = []

@pytest.fixture(scope="session")
def sandbox():
    return Sandbox(on_log=lambda canister, text: seen.append(text))

@pytest.mark.canister("wasm/counter.classical.wasm")
def test_one(canister):
    canister.call("print", "hello")
    assert seen == ["hello"]

def test_two(canister, sandbox):
    sandbox.on_log = lambda canister, text: seen.append(text.upper())
    canister("wasm/counter.classical.wasm").call("print", "hello")
    assert seen == ["hello", "HELLO"]
"""
    )
    result.assert_outcomes(passed=2)


# --- rejects


def error(message: str = "boom: on purpose", code: ErrorCode = ErrorCode.CANISTER_CALLED_TRAP) -> CallRejected:
    return CallRejected(Reject.of(code, message))


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"code": "CANISTER_ERROR"},
        {"code": 5},
        {"error_code": "IC0503"},
        {"error_code": 503},
        {"error_code": "CANISTER_CALLED_TRAP", "match": "on purp.se$"},
    ],
)
def test_rejects_admits_what_it_says(expected: dict[str, object]) -> None:
    with rejects(**expected) as rejected:  # type: ignore[arg-type]
        raise error()
    assert rejected.value.message == "boom: on purpose"


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ({"code": "CANISTER_REJECT"}, r"not with CANISTER_REJECT \(4\): CANISTER_ERROR \(5, IC0503\): boom"),
        ({"error_code": "IC0502"}, r"not with IC0502 \(CANISTER_TRAPPED\): "),
        ({"match": "other"}, "not with a message that matches 'other': "),
    ],
)
def test_rejects_says_what_differs(expected: dict[str, object], text: str) -> None:
    with pytest.raises(AssertionError, match=text), rejects(**expected):  # type: ignore[arg-type]
        raise error()


def test_rejects_lets_other_exceptions_through_and_misses_one() -> None:
    with pytest.raises(ZeroDivisionError), rejects():
        _ = 1 / 0
    with pytest.raises(pytest.fail.Exception, match="nothing was rejected"), rejects() as rejected:
        pass
    with pytest.raises(AttributeError, match="nothing was rejected yet"):
        _ = rejected.value


@pytest.mark.parametrize("wrong", [{"code": 9}, {"code": "BOOM"}, {"error_code": "IC9999"}, {"error_code": "IC03"}])
def test_rejects_refuses_codes_that_do_not_exist(wrong: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError)):
        rejects(**wrong)  # type: ignore[arg-type]


# --- the fixture `canister`


def test_marks_and_the_factory(run: Run) -> None:
    result = run(
        """
pytestmark = pytest.mark.canister("wasm/people_v1.classical.wasm", name="people")

@pytest.mark.canister("wasm/counter.classical.wasm", name="counter")
def test_the_nearest(canister, sandbox):
    assert canister.call("inc") == 1
    assert canister.name == "counter"
    assert sandbox.canister("people").call("size") == 0

def test_the_module_s(canister):
    assert canister.name == "people"
""",
        test_plain="""
def test_factory(canister):
    one, two = (canister("wasm/counter.classical.wasm", name=name) for name in ("one", "two"))
    one.call("inc")
    assert (one.call("get"), two.call("get")) == (1, 0)

@pytest.mark.canister("wasm/greeter.classical.wasm", {"greeting": "Hello", "owner": None})
def test_argument(canister):
    assert "Hello" in canister.call("greet", "Ada")

def test_interface(canister):
    counter = canister("wasm/counter.classical.wasm", did="service : { get : () -> (nat) query }")
    with pytest.raises(CandidTypeError, match="no method inc"):
        counter.call("inc")
""",
    )
    result.assert_outcomes(passed=5)


def test_a_missing_file_and_a_wrong_mark_are_usage_errors(run: Run) -> None:
    result = run(
        """
@pytest.mark.canister("wasm/none.wasm")
def test_file(canister): pass

@pytest.mark.canister("wasm/counter.classical.wasm", nmae="x")
def test_mark(canister): pass
"""
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*UsageError: there is no file wasm/none.wasm in *", "*pytest.mark.canister: *nmae*"])

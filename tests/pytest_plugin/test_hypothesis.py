"""Properties and state machines: every example begins with the same state."""

from __future__ import annotations

from tests.pytest_plugin.conftest import Run

FEW = "@settings(max_examples=8, database=None, deadline=None)\n"


def test_every_example_of_a_property_is_isolated(run: Run) -> None:
    result = run(
        f"""
@pytest.fixture(scope="module")
def counter(sandbox):
    return counter_in(sandbox)

{FEW}@given(st.integers(1, 5))
def test_module_scoped(counter, sandbox, n):
    for k in range(n):
        assert counter.call("inc") == k + 1
    sandbox.create_canister()
    assert len(sandbox.canisters()) == 2

@pytest.mark.canister("wasm/counter.classical.wasm")
{FEW}@given(st.integers(1, 5))
def test_the_canister_of_the_mark(canister, n):
    assert [canister.call("inc") for _ in range(n)] == list(range(1, n + 1))

class TestIt:
    @pytest.mark.parametrize("m", [1, 2])
    {FEW.strip()}
    @given(n=st.integers(1, 5))
    def test_method(self, counter, m, n):
        assert [counter.call("inc") for _ in range(n * m)] == list(range(1, n * m + 1))

def test_after(counter, sandbox):
    assert counter.call("get") == 0 and len(sandbox.canisters()) == 1
"""
    )
    result.assert_outcomes(passed=5)


def test_other_function_scoped_fixtures_are_still_refused_by_hypothesis(run: Run) -> None:
    result = run(
        f"""
@pytest.fixture
def mine(): return []

{FEW}@given(st.integers(1, 5))
def test_it(mine, sandbox, n): pass
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*uses a function-scoped fixture 'mine'*"])


def test_a_mark_lets_examples_share_their_state(run: Run) -> None:
    result = run(
        f"""
seen = []

@pytest.fixture(scope="module")
def counter(sandbox):
    return counter_in(sandbox)

@pytest.mark.no_isolation
{FEW}@given(st.integers(1, 5))
def test_it(counter, n):
    seen.append(counter.call("inc"))

def test_after():
    assert len(seen) > 2 and seen == list(range(1, len(seen) + 1))
"""
    )
    result.assert_outcomes(passed=2)


MACHINE = """
from hypothesis.stateful import invariant, precondition, rule

class Counter(CanisterMachine):
    def __init__(self, canister, step=1):
        super().__init__(canister)
        self.expected, self.step = canister.call("get"), step

    @rule()
    def inc(self):
        self.expected += self.step
        self.canister.call("inc")

    @invariant()
    def counts(self):
        assert self.canister.call("get") == self.expected

@pytest.fixture(scope="module")
def counter(sandbox):
    counter = counter_in(sandbox)
    counter.call("inc")
    return counter

FEW = settings(max_examples=10, stateful_step_count=5, database=None, deadline=None)
"""


def test_every_run_of_a_state_machine_begins_with_the_same_state(run: Run) -> None:
    result = run(
        MACHINE
        + """
def test_machine(counter):
    counter.call("inc")
    Counter.check(counter, settings=FEW)
    assert counter.call("get") == 2

Counter.TestCase.settings = FEW

@pytest.mark.canister("wasm/counter.classical.wasm")
def test_the_canister_of_the_mark(canister):
    Counter.check(canister)
"""
    )
    result.assert_outcomes(passed=2)


def test_a_state_machine_that_fails_shows_the_shortest_steps_and_leaves_nothing(run: Run) -> None:
    result = run(
        MACHINE
        + """
def test_machine(counter):
    Counter.check(counter, 2, settings=FEW)

class Broken(Counter):
    def __init__(self, canister):
        super().__init__(canister)
        canister.call("inc")
        raise RuntimeError("in the middle")

def test_broken(counter):
    with pytest.raises(RuntimeError, match="in the middle"):
        Broken.check(counter, settings=FEW)
    assert counter.call("get") == 1
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*state = Counter()*", "*state.inc()*", "*state.teardown()*"])
    failures, _, _ = result.stdout.str().partition("short test summary info")  # which repeats them where CI is set
    assert failures.count("state.inc()") == 1

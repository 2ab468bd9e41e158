"""State machines of hypothesis that work on a canister: every run begins with the same state.

    from hypothesis import strategies as st
    from hypothesis.stateful import invariant, rule
    from sandbox.pytest_plugin import CanisterMachine

    class Counter(CanisterMachine):
        def __init__(self, canister):
            super().__init__(canister)
            self.expected = canister.call("get")

        @rule()
        def inc(self):
            self.expected += 1
            assert self.canister.call("inc") == self.expected

        @invariant()
        def counts(self):
            assert self.canister.call("get") == self.expected

    @pytest.mark.canister("counter.wasm")
    def test_counter(canister):
        Counter.check(canister)

Tests with `@given` need nothing of this: each example is undone by itself, also what it does to the canister of the
fixture `canister`. Other fixtures of a test with `@given` should be of wider scope than `function`, as hypothesis says.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from sandbox.api import Canister, runtime_of


class CanisterMachine(RuleBasedStateMachine):
    """The base of state machines on a canister. What a run does to the canister's sandbox is undone after it."""

    def __init__(self, canister: Canister) -> None:
        super().__init__()
        self.canister = canister

    @classmethod
    def check(cls, canister: Canister, *arguments: Any, settings: settings | None = None) -> None:
        """Run the machine as a test, each run from the present state. `arguments`: further ones of `__init__`."""
        __tracebackhide__ = True
        with ExitStack() as anchor:

            def begin() -> CanisterMachine:
                anchor.close()  # ends the run before, however it ended
                anchor.enter_context(runtime_of(canister).anchor())
                return cls(canister, *arguments)

            chosen = getattr(cls.TestCase, "settings", None) if settings is None else settings
            run_state_machine_as_test(begin, settings=chosen)  # type: ignore[arg-type]  # a function will do, it says

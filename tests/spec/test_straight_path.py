"""A user's call that is executed at once, and the same call through the queue and the table of answers: random sessions
have the same results, states and records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import CallRejected, CallResult, InstructionLimits, Sandbox, StillWaiting
from sandbox.execution import ExecutionEnvironment, ingress, rounds, waiting
from sandbox.record.file import read
from sandbox.state import Ingress
from tests.spec.graphs import BODIES, CANISTERS, Body, program
from tests.spec.guest import *

LIMITS = InstructionLimits(update=50_000_000, query=200_000_000, install=50_000_000)
QUICK = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
LARGE = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))

Step = tuple[str, int, Body | None, int]
"""What is done, to which canister, what it does, and a number: of rounds or of seconds."""
_CANISTER = st.integers(0, CANISTERS - 1)
_UPDATE = st.tuples(st.just("update"), _CANISTER, BODIES, st.sampled_from([1, 1, 2, 300, 300, 300]))
_OTHER = st.one_of(
    st.tuples(st.just("submit"), _CANISTER, BODIES, st.just(0)),
    st.tuples(st.just("query"), _CANISTER, BODIES, st.just(0)),
    st.tuples(st.just("tick"), st.just(0), st.none(), st.integers(1, 2)),
    st.tuples(st.just("pass"), st.just(0), st.none(), st.sampled_from([1, 30, 400])),
)
SESSIONS = st.lists(st.one_of(_UPDATE, _UPDATE, _OTHER), min_size=2, max_size=6)


def through_the_queue(env: ExecutionEnvironment, message: Ingress, most: int) -> CallResult:
    """Execute a user's call as one that was submitted: it is queued, and its answer is fetched."""
    rounds.submit(env, message)
    results, number = env.subnet.results, message.message_id
    if rounds.until(env, lambda: number in results, most):
        result: CallResult = results.pop(number)
        return result
    name = ingress.keep(env.subnet, message)
    queued = env.subnet.queue or env.subnet.later
    within = f"after {most} rounds" if queued else "and nothing is left to execute"
    text = f"{message.canister_id}.{message.method} has no answer {within}: {waiting.described(env.subnet)}"
    raise StillWaiting(text, name)


def said(action: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What an action returns, or how it fails."""
    try:
        return action(*arguments, **options)
    except (CallRejected, StillWaiting) as error:
        return type(error), str(error)


def played(path: Path, costs: str, session: list[Step]) -> tuple[list[Any], str, list[Any]]:
    """The results of a session in a new sandbox, the hash of its state, and its record."""
    sandbox = Sandbox(costs=costs, instruction_limits=LIMITS)
    outcomes: list[Any] = []
    with sandbox.record(path):
        canisters = [guest(sandbox, cycles=10**13) for _ in range(CANISTERS)]
        for canister in canisters:
            canister.update_settings(controllers=[c.id for c in canisters])
        for kind, index, body, number in session:
            target, arg = canisters[index].id, b"" if body is None else code(program(body, canisters))
            if kind == "update":
                outcomes.append(said(sandbox.update, target, "update", arg, max_rounds=number))
            elif kind == "query":
                outcomes.append(said(sandbox.query, target, "query", arg))
            elif kind == "submit":
                outcomes.append(said(sandbox.submit, target, "update", arg))
            elif kind == "tick":
                sandbox.tick(number)
            else:
                sandbox.advance_time(number)
            outcomes.append(sandbox.state_hash())
        digest = sandbox.state_hash()
    sandbox.close()
    return outcomes, digest, list(read(path))


def check(folder: Path, costs: str, session: list[Step]) -> None:
    for name in ("straight", "queued"):
        (folder / name).unlink(missing_ok=True)
    straight = played(folder / "straight", costs, session)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "update", through_the_queue)
        queued = played(folder / "queued", costs, session)
    assert straight == queued


@pytest.mark.parametrize("costs", ["free", "mainnet"])
@QUICK
@given(session=SESSIONS)
def test_sessions_are_the_same(tmp_path: Path, costs: str, session: list[Step]) -> None:
    check(tmp_path, costs, session)


@pytest.mark.slow
@pytest.mark.parametrize("costs", ["free", "mainnet"])
@LARGE
@given(session=SESSIONS)
def test_many_sessions_are_the_same(tmp_path: Path, costs: str, session: list[Step]) -> None:
    check(tmp_path, costs, session)


def test_a_call_that_is_waited_for_leaves_no_answer_behind_and_its_number_is_used(tmp_path: Path) -> None:
    answered: Step = ("update", 0, Body((), "reply"), 300)
    refused: Step = ("update", 0, Body((), "trap"), 300)
    check(tmp_path, "free", [answered, refused, ("submit", 1, Body((), "reply"), 0), answered, answered])

"""Laws of isolation over test suites made at random: fixtures of every scope, parameters, requests within fixtures.

Each fixture leaves its own canister with the count 1. Every test, and the fixture itself when it is torn down, must see
that count, whatever the tests did in between and in whatever order fixtures came and went.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from tests.pytest_plugin.conftest import Run

SCOPES = ("session", "module", "class", "function")

CONFTEST = """
def made(sandbox):
    counter = counter_in(sandbox)
    assert counter.call("inc") == 1
    return counter

def check(*counters):
    for counter in counters:
        assert counter.call("get") == 1

@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(sandbox):
    before = sandbox.state_hash()
    yield
    assert sandbox.state_hash() == before
"""


@dataclass(frozen=True)
class Fixture:
    """`plain`: no parameter is needed for it, so that it can be asked for without being an argument."""

    name: str
    scope: int
    plain: bool
    text: str


def fixture_of(random: Random, number: int, known: list[Fixture]) -> Fixture:
    """A fixture that may depend on others of the same or a wider scope, by argument or by request."""
    scope = random.randrange(len(SCOPES))
    wider = [each for each in known if each.scope <= scope]
    needs = random.sample(wider, min(len(wider), random.choice((0, 0, 1, 2))))
    askable = [each for each in wider if each.plain and each not in needs]
    asks = random.sample(askable, min(len(askable), random.choice((0, 0, 1))))
    parametrised = random.random() < 0.25
    names = [each.name for each in needs]
    lines = [
        f'@pytest.fixture(scope="{SCOPES[scope]}"{", params=[1, 2]" if parametrised else ""})',
        f"def f{number}({', '.join(['sandbox', 'request', *names])}):",
        *(f"    check(request.getfixturevalue('{each.name}'))" for each in asks),
        "    counter = made(sandbox)",
        f"    check({', '.join(names)})",
        "    yield counter",
    ]
    if SCOPES[scope] != "function":  # else the test has counted on
        lines.append(f"    check({', '.join(['counter', *names])})")
    plain = not parametrised and all(each.plain for each in needs)
    return Fixture(f"f{number}", scope, plain, "\n".join(lines) + "\n\n")


def text_of_test(random: Random, number: int, known: list[Fixture]) -> str:
    """A test, three of four in a class, that counts on whatever it gets."""
    used = [each.name for each in random.sample(known, random.randrange(4))]
    plain = [each.name for each in known if each.plain]
    asked = random.sample(plain, min(len(plain), random.choice((0, 0, 0, 1))))
    indent = "    " if number % 4 < 3 else ""
    arguments = [*(["self"] if indent else []), "request", "sandbox", *used]
    counters = [*used, *(f"request.getfixturevalue('{name}')" for name in asked)]
    lines = [
        f"def test_{number}({', '.join(arguments)}):",
        f"    counters = [{', '.join(counters)}]",
        "    check(*counters)",
        "    for counter in set(counters): assert counter.call('inc') == 2",
        f"    {random.choice(('sandbox.advance_time(1)', 'counter_in(sandbox)', 'pytest.skip()'))}",
    ]
    head = f"class Test{number}:\n" if number % 4 == 0 else ""
    return head + "".join(f"{indent}{line}\n" for line in lines) + "\n"


def suite(random: Random) -> dict[str, str]:
    """The files of a suite."""
    known: list[Fixture] = []
    for number in range(8):
        known.append(fixture_of(random, number, known))
    files = {"conftest": CONFTEST + "".join(each.text for each in known)}
    for letter in "ab":
        texts = [text_of_test(random, number, known) for number in range(12)]
        files[f"test_{letter}"] = "from conftest import check\n\n" + "".join(texts)
    return files


@pytest.mark.parametrize("seed", range(4))
def test_every_fixture_keeps_the_state_that_it_left(run: Run, seed: int) -> None:
    result = run("", **suite(Random(seed)))
    outcomes = result.parseoutcomes()
    assert set(outcomes) <= {"passed", "skipped"}, result.stdout.str()
    assert sum(outcomes.values()) >= 24

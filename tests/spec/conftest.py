"""A sample for each claim: two universal guests in their first state. What a claim does is undone after it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from sandbox import Sandbox
from tests.conftest import FEW_INSTRUCTIONS
from tests.spec.guest import Guest, guest

BOTH = pytest.mark.parametrize("bits", [32, 64])
"""For claims in which pointers matter."""
CYCLES = 1_000_000_000_000


@cache
def _sample(bits: int) -> tuple[Sandbox, Guest, Guest]:
    sandbox = Sandbox(instruction_limits=FEW_INSTRUCTIONS, max_snapshots=10)
    return sandbox, guest(sandbox, bits=bits, cycles=CYCLES), guest(sandbox, bits=bits, cycles=CYCLES)


@pytest.fixture
def bits() -> int:
    return 32


@pytest.fixture
def sample(bits: int) -> Iterator[tuple[Sandbox, Guest, Guest]]:
    sandbox, a, b = _sample(bits)
    with sandbox.anchor():
        yield sandbox, a, b


@pytest.fixture
def sandbox(sample: tuple[Sandbox, Guest, Guest]) -> Sandbox:
    return sample[0]


@pytest.fixture
def a(sample: tuple[Sandbox, Guest, Guest]) -> Guest:
    return sample[1]


@pytest.fixture
def b(sample: tuple[Sandbox, Guest, Guest]) -> Guest:
    return sample[2]

"""A served sandbox with a counter and a list of people, and its owner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.conftest import fixture
from tests.http.admin.owner import Owner
from tests.http.served import served


def filled(state: Path) -> Path:
    """Make a state directory with the canisters `c` (a counter) and `people`."""
    with Sandbox.open(state, max_snapshots=10) as sandbox:
        sandbox.create_canister(name="c").install(fixture("counter.enhanced"))
        sandbox.create_canister(name="people").install(fixture("people_v1.classical"))
    return state


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    state = filled(tmp_path_factory.mktemp("admin") / "state")
    with served(state, "--saving", "exit") as server:
        yield Owner(server, state)

"""A served counter that the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sandbox import Principal, Sandbox
from sandbox.candid import NAT, decode
from tests.conftest import fixture
from tests.http.served import Served, served


@dataclass(frozen=True)
class Place:
    """A server, the root key of its state, and a counter there."""

    server: Served
    root_key: bytes
    counter: Principal

    def count(self) -> int:
        """What the counter says."""
        reply = self.server.ask("query", self.counter, "get")[1]["reply"]["arg"]
        [value] = decode([NAT], reply)
        assert isinstance(value, int)
        return value


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    state = tmp_path_factory.mktemp("served") / "state"
    with Sandbox.open(state) as sandbox:
        counter = sandbox.create_canister()
        counter.install(fixture("counter.enhanced"))
        root_key = sandbox.root_key
    with served(state, "--saving", "exit") as server:
        yield Place(server, root_key, counter.id)

"""A served counter that the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.network.place import Place, placed


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("network")) as made:
        yield made

"""A record of a whole life, and room for another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.life import recorded


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / "life"
    recorded(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "record"

"""`canister-sandbox cache`: compiled code on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def test_the_cache_is_shown_and_cleared(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / "code"
    monkeypatch.setenv("CANISTER_SANDBOX_CACHE", str(where))
    monkeypatch.setenv("CANISTER_SANDBOX_CACHE_LIMIT", "64")
    assert cli.json("cache", "info") == {"directory": str(where), "modules": 0, "bytes": 0, "limit": 64 << 20}
    (where).mkdir(mode=0o700)
    (where / f"{1:064x}-code").write_bytes(bytes(2048))
    assert cli.json("cache", "info")["bytes"] == 2048
    assert "2.0 KiB of 64.0 MiB" in cli("cache", "info")
    assert cli.json("cache", "clear") == {"deleted": 1, "bytes": 2048}
    assert list(where.iterdir()) == []
    assert cli("cache", "clear") == "deleted 0 modules, 0 B\n"


def test_a_limit_that_is_no_number_is_an_error(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANISTER_SANDBOX_CACHE_LIMIT", "much")
    assert "CANISTER_SANDBOX_CACHE_LIMIT is a number of MiB" in cli("cache", "info", code=2)

"""`state check` and `canister recover`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.store.live import flip

DATA = 70_000
"""An offset in the heap of the counter that holds data."""


@pytest.fixture
def counter(with_canister: Callable[..., Cli]) -> Cli:
    """A counter at 1 with the snapshot `one`, then called again."""
    cli = with_canister("counter", "counter.classical")
    cli("canister", "call", "counter", "inc")
    cli("snapshot", "take", "counter", "--label", "one")
    cli("canister", "call", "counter", "inc")
    return cli


def damage(cli: Cli) -> Path:
    """Flip a bit of the largest memory, which is the heap."""
    file = max((cli.state / "memories").iterdir(), key=lambda file: file.stat().st_size)
    flip(file, DATA)
    return file


def test_an_intact_state_is_said_to_be(counter: Cli) -> None:
    assert counter("state", "check").strip() == "intact"
    found = counter.json("state", "check", "--deep")
    assert found == {"intact": True, "deep": True, "unchecked": 0, "problems": []}


def test_a_directory_that_is_not_there_cannot_be_checked(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "nothing")
    for args in (["state", "check"], ["--output", "json", "state", "check", "--deep"]):
        assert f"there is no state directory {tmp_path / 'nothing'}" in " ".join(cli(*args, code=2).split())
    assert not cli.state.exists()


def test_damage_has_canister_and_page(counter: Cli) -> None:
    damage(counter)
    found = counter.json("state", "check", code=1)
    [problem] = found["problems"]
    assert problem["part"] == "heap"
    assert "page 0x1 (of 64 KiB)" in problem["why"]
    assert "counter" in counter("state", "check", "--deep", code=1)
    assert "canister recover" in counter("canister", "call", "counter", "inc", code=2)


def test_damage_of_every_kind_of_file_is_found_by_a_deep_check(counter: Cli) -> None:
    for folder, part in (("packs", "pack "), ("snapshots", "snapshot ")):
        [file] = (counter.state / folder).iterdir()
        content = file.read_bytes()
        flip(file, 60)
        found = counter.json("state", "check", "--deep", code=1)
        assert any(problem["part"].startswith(part) for problem in found["problems"])
        file.write_bytes(content)
    [module] = (counter.state / "modules").iterdir()
    flip(module, 60)
    assert "SHA-256" in counter("state", "check", code=1)


def test_recovery_brings_back_the_snapshot(counter: Cli) -> None:
    damage(counter)
    found = counter.json("canister", "recover", "counter")
    assert found["label"] == "one"
    assert counter("canister", "query", "counter", "get").strip() == "(1 : nat)"
    assert counter("state", "check", "--deep").strip() == "intact"
    assert "needs no recovery" in counter("canister", "recover", "counter", "--snapshot", "one", code=2)


def test_recovery_by_label_when_the_file_is_gone(counter: Cli) -> None:
    damage(counter).unlink()
    assert "recovered counter" in counter("canister", "recover", "counter", "--snapshot", "one")
    assert counter("canister", "query", "counter", "get").strip() == "(1 : nat)"


def test_accepting_damage_says_it(counter: Cli) -> None:
    damage(counter)
    assert "--accept-damage cannot be combined" in counter(
        "canister", "recover", "counter", "--snapshot", "one", "--accept-damage", code=2
    )
    assert "page 0x1 (of 64 KiB)" in counter("canister", "recover", "counter", "--accept-damage")
    assert counter("canister", "query", "counter", "get").strip() == "(2 : nat)"
    assert "is not damaged" in counter("canister", "recover", "counter", "--accept-damage")

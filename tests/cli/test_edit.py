"""`snapshot edit`: explicit, recorded, refused where it does not fit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Cli, module

Make = Callable[..., Cli]


@pytest.fixture
def counter(with_canister: Make) -> Cli:
    cli = with_canister("counter", "counter.classical")
    cli("canister", "call", "counter", "inc")
    cli("snapshot", "take", "counter", "--label", "one", "--keep", "5")
    return cli


def test_an_edited_snapshot_is_listed_with_its_history_and_loads(counter: Cli) -> None:
    [parent] = counter.json("snapshot", "list")
    shown = counter(
        "snapshot", "edit", "one", "--resize", "stable=1MiB", "--patch", "stable:0x40:00ff", "--label", "two"
    )
    assert "edited from " + parent["id"] in shown
    assert "resize stable to 1048576 bytes" in shown
    assert "patch stable:0x40 00ff" in shown
    before, edited = counter.json("snapshot", "list")
    assert before == parent
    assert parent["derived"] == []
    [step] = edited["derived"]
    assert (step["parent"], step["checksum"]) == (parent["id"], parent["checksum"])
    assert step["edits"] == ["resize stable to 1048576 bytes", "patch stable:0x40 00ff", "label 'two'"]
    [told] = [line for line in counter("snapshot", "inspect", "two").splitlines() if line.startswith("derived ")]
    assert f" from {parent['id']}: resize stable to 1048576 bytes, patch" in told
    assert counter.json("snapshot", "inspect", "two")["fields"]["derived"] == edited["derived"]
    row = counter("snapshot", "list").splitlines()[-1]
    assert "everything, edited" in row
    counter("snapshot", "load", "counter", "two")
    assert counter.json("canister", "status", "counter")["stable_size"] == 1 << 20
    assert counter("canister", "call", "counter", "get") == "(1 : nat)\n"


def test_as_json_it_is_what_list_says(counter: Cli) -> None:
    made = counter.json("snapshot", "edit", "one", "--certified-data", "00ff")
    assert counter.json("snapshot", "list")[-1] == made


def test_a_module_that_does_not_fit_changes_nothing(counter: Cli) -> None:
    listed = counter.json("snapshot", "list")
    other = module("people_stable_rs_v1")
    assert "the module's globals are [" in counter("snapshot", "edit", "one", "--wasm", other, code=1)
    assert "cannot be edited" in counter("snapshot", "edit", "one", "--patch", "heap:0xffffffffff:00", code=1)
    assert "nothing to edit" in counter("snapshot", "edit", "one", code=1)
    assert counter.json("snapshot", "list") == listed


def test_without_room_for_another_snapshot_it_is_refused(with_canister: Make) -> None:
    cli = with_canister("counter", "counter.classical")
    cli("snapshot", "take", "counter", "--label", "one")
    assert "maximum number of snapshots allowed: 1" in cli("snapshot", "edit", "one", "--label", "two", code=1)
    cli("snapshot", "edit", "one", "--label", "two", "--keep", "2")
    assert [s["label"] for s in cli.json("snapshot", "list")] == ["one", "two"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--patch", "stable"),
        ("--patch", "module:0:00"),
        ("--patch", "heap:x:00"),
        ("--patch", "heap:0:0"),
        ("--global", "7"),
        ("--global", "=7"),
        ("--global", "7=x"),
        ("--resize", "heap=10XB"),
        ("--resize", "table=10MiB"),
        ("--certified-data", "xx"),
    ],
)
def test_what_cannot_be_read_says_how_it_is_written(counter: Cli, option: str, value: str) -> None:
    assert f"{value!r} is not " in counter("snapshot", "edit", "one", option, value, code=2)


def test_a_snapshot_that_is_not_there(counter: Cli) -> None:
    for which in ("no", "00" * 8 + "00000000000000010101"):
        assert "neither the id nor the label" in counter("snapshot", "edit", which, "--label", "x", code=2)

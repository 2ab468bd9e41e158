"""`canister-sandbox replay`: what it says, and its exit codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.record import Header, Outcome, read
from tests.api.life import changed, recorded
from tests.cli.conftest import Cli


@pytest.fixture
def record(tmp_path: Path) -> Path:
    recorded(tmp_path / "life")
    return tmp_path / "life"


def test_the_same(cli: Cli, record: Path) -> None:
    state = recorded(record.with_name("again"))
    assert cli("replay", str(record)) == f"the same: 45 steps\nstate hash {state}\n"
    assert not cli.state.exists()


def test_as_json(cli: Cli, record: Path) -> None:
    facts = cli.json("replay", str(record))
    assert (facts["same"], facts["steps"], facts["complete"], facts["end"]) == (True, 45, True, "closed")
    assert (facts["instructions_compared"], facts["states_compared"]) == (True, True)


def test_a_difference_is_exit_code_1(cli: Cli, record: Path, tmp_path: Path) -> None:
    def outcome(item: Outcome) -> Outcome:
        return replace(item, answer=["reply", b"recorded"]) if item.answer[0] == "reply" else item

    header = next(read(record))
    assert isinstance(header, Header)
    other = changed(record, tmp_path / "other", replace(header, counted_by="another engine"), outcome=outcome)
    shown = cli("replay", str(other), code=1)
    assert "counts of instructions are not compared: recorded with another engine, replayed with classic" in shown
    assert "step 5 differs: update update of rwlgt-iiaaa-aaaaa-aaaaa-cai by" in shown
    assert f"answer\n  recorded  reply 0x{b'recorded'.hex()}\n  now       reply 0x" in shown
    facts = cli.json("replay", str(other), code=1)
    assert (facts["same"], facts["steps"], facts["difference"]["what"]) == (False, 4, "answer")


def test_a_torn_record_says_where_it_ends(cli: Cli, record: Path) -> None:
    record.write_bytes(record.read_bytes()[:-200])
    shown = cli("replay", str(record))
    assert "the same: 44 steps\nthe record ends there: torn at byte" in shown
    assert "not replayed, unfinished when the record ended: start_canister of" in shown


@pytest.mark.parametrize("content", [b"", b"canister-sandbox record 9\n", b"canister-sandbox record 1\nxx"])
def test_what_is_no_record_is_misuse(cli: Cli, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert "record" in cli("replay", str(tmp_path / "file"), code=2)
    assert cli.json("replay", str(tmp_path / "file"), code=2)["error"]["kind"] == "misuse"
    cli("replay", str(tmp_path / "nothing"), code=2)

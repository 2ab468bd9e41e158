"""What is chosen when a sandbox is made: ids of new canisters and backtraces, as the platform's first runner has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import Canister, ErrorCode, Principal, Sandbox
from sandbox.api import runtime_of
from sandbox.errors import Unsupported
from sandbox.replay import replay
from tests.conftest import fixture, rejected

FIRST = "lxzze-o7777-77777-aaaaa-cai"
"""Where ids of canisters begin that a canister of the first runner creates (`dfinity/ic` `rs/drun/src/lib.rs`)."""
START = 0xFFFFFFFFFFE00000
SECOND = "rrkah-fqaaa-aaaaa-aaaaq-cai"


def traced(canister: Canister, expected: bool) -> None:
    """Whether the error of a trap has the backtrace, which the evidence and the log have anyway."""
    owner = canister.status().settings.controllers[0]
    error = rejected(ErrorCode.CANISTER_CALLED_TRAP, "boom", canister.update, "boom", sender=owner)
    assert ("Canister Backtrace:" in error.message) is expected
    assert error.result.backtrace
    assert b"Canister Backtrace:" in canister.logs()[-1].content


def installed(sandbox: Sandbox) -> Canister:
    canister = sandbox.create_canister()
    canister.install(fixture("counter.classical"))
    return canister


@pytest.mark.parametrize("backtraces", [True, False])
def test_errors_carry_backtraces_if_wished(backtraces: bool) -> None:
    traced(installed(Sandbox(backtraces=backtraces)), backtraces)
    traced(installed(Sandbox()), True)


@pytest.mark.parametrize("first", [FIRST, Principal.from_text(FIRST), Principal.from_index(0), SECOND])
def test_ids_begin_where_it_is_said(first: Principal | str) -> None:
    sandbox = Sandbox(first_canister=first)
    index = int.from_bytes(bytes(Principal.of(first))[:8], "big")
    chosen = sandbox.create_canister(canister_id=Principal.from_index(index + 1)).id
    made = [sandbox.create_canister().id for _ in range(2)]
    assert made == [Principal.of(first), Principal.from_index(index + 2)]
    assert chosen not in made


@pytest.mark.parametrize("first", ["aaaaa-aa", "2vxsx-fae", Principal(bytes(9) + b"\1"), Principal(b"\1\1")])
def test_ids_that_no_new_canister_has(first: Principal | str) -> None:
    with pytest.raises(ValueError, match="made of an index"):
        Sandbox(first_canister=first)


def test_they_are_kept_with_the_state(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state", backtraces=False, first_canister=FIRST) as sandbox:
        assert installed(sandbox).id == Principal.from_text(FIRST)
    with Sandbox.open(tmp_path / "state", first_canister=SECOND) as sandbox:
        [canister] = sandbox.canisters()
        traced(canister, False)
        assert sandbox.create_canister().id == Principal.from_index(START + 1)
    with Sandbox.open(tmp_path / "state", backtraces=True) as sandbox:
        traced(sandbox.canister(FIRST), True)
    with Sandbox.open(tmp_path / "state") as sandbox:
        traced(sandbox.canister(FIRST), True)


def test_they_are_part_of_a_record(tmp_path: Path) -> None:
    sandbox = Sandbox(backtraces=False, first_canister=FIRST)
    with sandbox.record(tmp_path / "record"):
        traced(installed(sandbox), False)
    found = replay(tmp_path / "record")
    assert found.difference is None, found
    assert (found.header.backtraces, found.header.next_canister) == (False, START)
    assert found.state_hash == sandbox.state_hash()


def test_a_file_is_asked_as_the_sandbox_is(tmp_path: Path) -> None:
    sandbox = Sandbox(backtraces=False)
    canister = installed(sandbox)
    sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "file")
    owner = sandbox.identity("default")
    error = rejected(
        ErrorCode.CANISTER_CALLED_TRAP, "", sandbox.snapshots.query, tmp_path / "file", "boom_in_query", sender=owner
    )
    assert "Canister Backtrace:" not in error.message


def test_instructions_are_counted_by_rules_that_have_a_name(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r'metering="2026", the rules of July 2026, which charge the first access'):
        Sandbox(metering="2026")
    with pytest.raises(ValueError, match="metering is classic, not 'fuel'"):
        Sandbox(metering="fuel")
    with Sandbox.open(tmp_path / "state", metering="classic") as sandbox:
        assert runtime_of(sandbox).subnet.metering == "classic"
    with Sandbox.open(tmp_path / "state") as sandbox:
        assert runtime_of(sandbox).subnet.metering == "classic"
        with pytest.raises(Unsupported):
            runtime_of(sandbox).configure(metering="2026")

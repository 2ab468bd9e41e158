"""What opening and saving a state directory costs when it has more canisters."""

from __future__ import annotations

from pathlib import Path

from sandbox import Sandbox
from tests.conftest import guest, operations

FEW, MANY = 10, 40
MODULE = guest('(func (export "canister_update put") (i32.store (i32.const 0) (i32.const 7)) (call $msg_reply))')


def made(path: Path, canisters: int) -> Path:
    """A saved state with so many canisters."""
    with Sandbox.open(path) as sandbox:
        for _ in range(canisters):
            sandbox.create_canister().install(MODULE)
    return path


def test_opening_a_state_costs_the_same_for_every_canister(tmp_path: Path) -> None:
    def opening(canisters: int) -> int:
        path = made(tmp_path / str(canisters), canisters)
        return operations(lambda: Sandbox.open(path).close())

    opening(1)  # whatever is done once in a process
    one, few, many = opening(1), opening(FEW), opening(MANY)
    assert (many - few) / (MANY - FEW) <= 1.25 * (few - one) / (FEW - 1)

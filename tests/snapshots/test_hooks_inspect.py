"""What a canister or a snapshot is via hooks, looked at without making a snapshot of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox import CallRejected, ErrorCode, Sandbox
from sandbox.principal import Principal
from sandbox.snapshots.inspect.target import InspectionTarget
from tests.conftest import rejected
from tests.snapshots.hook_guests import TRAP, Install, added, module, untouched
from tests.snapshots.inspect.images import new, part, variables


def kept(target: InspectionTarget) -> dict[str, Any]:
    return variables(part(target.decode(), "variables"))


@pytest.mark.parametrize("mode", ["classical", "enhanced"])
def test_the_present_variables_of_a_canister_are_seen_and_nothing_changes(sandbox: Sandbox, mode: str) -> None:
    canister = new(f"people_v1.{mode}", sandbox)
    canister.call("fill", 20)
    before, versions = sandbox.state_hash(), canister.status().version
    found = sandbox.snapshots.inspect_via_hooks(canister)
    assert (sandbox.state_hash(), canister.status().version, canister.list_snapshots()) == (before, versions, [])
    assert kept(found)["people"] == kept(sandbox.snapshots.inspect(canister.take_snapshot(via_hooks=True).id))["people"]
    canister.call("set_age", 3, 99)
    later = sandbox.snapshots.inspect_via_hooks(str(canister.id))
    assert (kept(found)["edits"], kept(later)["edits"]) == (0, 1)


@pytest.mark.parametrize("mode", ["classical", "enhanced"])
def test_a_plain_snapshot_is_seen_as_it_was(sandbox: Sandbox, mode: str) -> None:
    canister = new(f"people_v1.{mode}", sandbox)
    canister.call("fill", 20)
    snapshot = canister.take_snapshot("then")
    canister.call("set_age", 3, 99)
    assert kept(sandbox.snapshots.inspect_via_hooks("then"))["edits"] == 0
    assert canister.list_snapshots() == [snapshot]
    via_hooks = canister.take_snapshot(via_hooks=True)
    assert kept(sandbox.snapshots.inspect_via_hooks(via_hooks))["edits"] == 1


def test_a_hook_that_traps_is_an_error_and_nothing_changes(install: Install, sandbox: Sandbox) -> None:
    canister = install(module(TRAP))
    added(canister, 3)
    untouched(sandbox, canister, lambda: sandbox.snapshots.inspect_via_hooks(canister))
    with pytest.raises(CallRejected) as caught:
        sandbox.snapshots.inspect_via_hooks(canister)
    assert caught.value.reject.error_code is ErrorCode.CANISTER_CALLED_TRAP
    assert caught.value.result.logs == ("saved",)


def test_nobody_else_may_and_neither_files_nor_empty_canisters_have_hooks(sandbox: Sandbox, tmp_path: Path) -> None:
    canister = new("people_v1.enhanced", sandbox)
    rejected(
        ErrorCode.CANISTER_INVALID_CONTROLLER, "", sandbox.snapshots.inspect_via_hooks, canister, Principal.anonymous()
    )
    with pytest.raises(ValueError, match="upload it"):
        sandbox.snapshots.inspect_via_hooks(tmp_path / "some.icsnap")
    with pytest.raises(CallRejected, match="empty"):
        sandbox.snapshots.inspect_via_hooks(sandbox.create_canister())

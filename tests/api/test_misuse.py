"""Misuse of a sandbox is a `SandboxError` that says what is wrong, whatever was called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Canister, Sandbox, SandboxError
from tests.conftest import fixture

USES: tuple[Callable[[Sandbox, Canister], object], ...] = (
    lambda sandbox, canister: sandbox.create_canister(),
    lambda sandbox, canister: sandbox.canisters(),
    lambda sandbox, canister: sandbox.advance_time(1),
    lambda sandbox, canister: sandbox.save(),
    lambda sandbox, canister: sandbox.raw_state(canister),
    lambda sandbox, canister: canister.call("inc"),
    lambda sandbox, canister: canister.update("inc"),
    lambda sandbox, canister: canister.status(),
    lambda sandbox, canister: canister.take_snapshot(),
    lambda sandbox, canister: canister.install(fixture("counter.classical")),
    lambda sandbox, canister: sandbox.snapshots.list(),
)


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_closed_sandbox_says_so(tmp_path: Path, on_disk: bool) -> None:
    with Sandbox.open(tmp_path / "state") if on_disk else Sandbox() as sandbox:
        canister = sandbox.create_canister()
        canister.install(fixture("counter.classical"))
        sandbox.close()
        sandbox.close()
        for use in USES:
            with pytest.raises(SandboxError, match="this sandbox is closed"):
                use(sandbox, canister)


def test_a_module_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        canister = sandbox.create_canister()
        for path, why in ((tmp_path / "none.wasm", "No such file"), (tmp_path, "directory")):
            for given in (path, str(path)):
                with pytest.raises(SandboxError, match=f"the module {path} cannot be read: .*{why}"):
                    canister.install(given)


def test_a_file_is_no_state_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(SandboxError, match="file cannot be used as a state directory"):
        Sandbox.open(tmp_path / "file")

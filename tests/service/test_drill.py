"""Claims about the restore drill: a backup counts when the canister's own checks hold of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.service.backups import Backups
from sandbox.service.drill import Checks, DrillFailed, drill
from sandbox.snapshots.content_id import content_id
from sandbox.state import SnapshotState
from tests.conftest import FIXTURES, fixture
from tests.service.test_backups import content_of

SCENARIO = """\
parameters: {backup: none}
canisters:
  counter: {snapshot: $backup}
steps:
  - call: inc
    expect: {reply: [%s]}
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnapshotState]:
    """A backup of a counter at 1."""
    folder = tmp_path_factory.mktemp("drill")
    with Sandbox() as sandbox, Backups(folder / "backups") as backups:
        canister = sandbox.create_canister()
        canister.install(fixture("counter.enhanced"))
        canister.call("inc")
        with content_of(canister, folder) as content:
            yield backups.add(content)


def test_a_restored_canister_has_the_content_of_the_backup(kept: SnapshotState) -> None:
    assert drill(kept, Checks(), content_id(kept))["content_id"] == content_id(kept)
    with pytest.raises(DrillFailed, match="the restored canister has content id"):
        drill(kept, Checks(), "00" * 32)


def test_a_next_version_must_be_a_safe_upgrade(kept: SnapshotState) -> None:
    same = Checks(next_module=FIXTURES / "counter.enhanced.wasm")
    with pytest.raises(DrillFailed, match=r"is risky: .*query"):
        drill(kept, same, content_id(kept))  # a query of the counter tells its version
    same = Checks(next_module=FIXTURES / "counter.enhanced.wasm", accept=("query-differs",))
    assert drill(kept, same, content_id(kept))["upgrade"] == "safe"
    other = Checks(next_module=FIXTURES / "people_v1.enhanced.wasm")
    with pytest.raises(DrillFailed, match=r"an upgrade to people_v1\.enhanced\.wasm is (broken|risky)"):
        drill(kept, other, content_id(kept))


@pytest.mark.parametrize(("count", "holds"), [(2, True), (7, False)])
def test_a_scenario_begins_with_the_backup(kept: SnapshotState, tmp_path: Path, count: int, holds: bool) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO % count)
    checks = Checks(scenario=path)
    if holds:
        assert drill(kept, checks, content_id(kept))["scenario"] == "1 cases held"
    else:
        with pytest.raises(DrillFailed, match=r"scenario\.yaml does not hold at"):
            drill(kept, checks, content_id(kept))

"""What the public face answers with: exact bytes as far as they fit, and facts that can be carried elsewhere."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sandbox import Canister, Sandbox, Snapshot
from sandbox.errors import StateCorrupt, StateError
from sandbox.limits import GIB
from tests.conftest import fixture, guest, sandbox_of

WASM_PAGE = 1 << 16
LARGE = guest(
    """(func (export "canister_update grow")
      (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 8))
      (call $reply64 (call $stable64_grow (i64.load (i32.const 0)))))
    (func (export "canister_update write")
      (i32.store (i32.const 65528) (i32.const -1))
      (call $stable64_write
        (i64.sub (i64.mul (call $stable64_size) (i64.const 65536)) (i64.const 4)) (i64.const 65528) (i64.const 4))
      (call $reply64 (i64.const 0)))"""
)


@pytest.fixture
def counter() -> Canister:
    canister = Sandbox().create_canister()
    canister.install(fixture("counter.classical"))
    canister.call("inc")
    return canister


def test_the_raw_state_of_a_huge_sparse_memory_is_refused_with_its_size(install: Callable[..., Canister]) -> None:
    canister = install(LARGE)
    canister.update("grow", (500 * GIB // WASM_PAGE).to_bytes(8, "little"))
    with pytest.raises(StateError, match=rf"stable memory of canister {canister.id} has 536,870,912,000 bytes"):
        canister.raw_state()
    before = canister.take_snapshot()
    canister.update("write")
    changed = sandbox_of(canister).snapshots.diff(before.id).stable
    assert changed.changed or changed.added, "the message names what works"


def test_the_raw_state_of_a_smaller_memory_is_exact(install: Callable[..., Canister]) -> None:
    canister = install(LARGE)
    canister.update("grow", (3).to_bytes(8, "little"))
    assert canister.raw_state().stable == bytes(3 * WASM_PAGE)


def same(one: Snapshot, other: Snapshot) -> bool:
    return one == other and one.checksum == other.checksum and one.taken_at == other.taken_at


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_snapshot_can_be_copied_and_pickled(counter: Canister, copied: Callable[[Snapshot], Snapshot]) -> None:
    snapshot = counter.take_snapshot("one")
    found = copied(snapshot)
    assert same(found, snapshot)
    counter.call("inc")
    counter.load_snapshot(found.id)
    assert counter.call("get") == 1


def test_a_pickled_snapshot_says_its_checksum_where_its_bytes_are_gone(counter: Canister, tmp_path: Path) -> None:
    snapshot = counter.take_snapshot("one")
    (tmp_path / "facts").write_bytes(pickle.dumps({"snapshots": [snapshot]}))
    program = "import pickle, sys; [s] = pickle.load(open(sys.argv[1], 'rb'))['snapshots']; print(s.label, s.checksum)"
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "facts"], capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["one", snapshot.checksum], "")


def test_a_pickled_damaged_snapshot_stays_damaged(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path) as sandbox:
        canister = sandbox.create_canister()
        canister.install(fixture("counter.classical"))
        canister.take_snapshot("one")
    [manifest] = (tmp_path / "snapshots").iterdir()
    manifest.write_bytes(manifest.read_bytes()[:-1])
    with closing(Sandbox.open(tmp_path)) as sandbox:
        [snapshot] = sandbox.snapshots.list()
        found = pickle.loads(pickle.dumps(snapshot))
    assert found == snapshot
    assert found.damage
    with pytest.raises(StateCorrupt, match=snapshot.id.hex()):
        _ = found.checksum

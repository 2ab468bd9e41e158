"""What a text names: a canister, a snapshot or a file, and what is said if it names nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import CallRejected, Canister, PrincipalError, Sandbox, SnapshotFileError
from sandbox.errors import AmbiguousName, UnknownName
from tests.conftest import fixture


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(max_snapshots=5)


@pytest.fixture
def canister(sandbox: Sandbox) -> Canister:
    made = sandbox.create_canister(name="counter")
    made.install(fixture("counter.classical"))
    return made


def test_a_canister_is_given_in_four_ways(sandbox: Sandbox, canister: Canister) -> None:
    for given in (canister, canister.id, str(canister.id), "counter"):
        assert sandbox.canister(given) == canister
        assert sandbox.raw_state(given) == canister.raw_state()
        assert sandbox.query(given, "get", b"DIDL\0\0").reply is not None
        assert sandbox.update(given, "inc", b"DIDL\0\0").reply is not None
        assert sandbox.snapshots.list(given) == []
    with pytest.raises(PrincipalError, match=r"'other' is neither the name .* \(names: counter\)"):
        sandbox.canister("other")
    assert canister.name == "counter"
    assert "name='counter'" in repr(canister)


def test_a_caller_is_given_in_three_ways(sandbox: Sandbox, canister: Canister) -> None:
    bob = sandbox.identity("bob")
    for given in (bob, str(bob), "bob"):
        assert canister.call("whoami", sender=given) == bob
        assert (
            sandbox.update(canister, "whoami", b"DIDL\0\0", given).reply == canister.update("whoami", sender=bob).reply
        )
        canister.update_settings(controllers=[given], log_visibility=[given])
        assert canister.status(given).settings.controllers == (bob,)
        assert canister.logs(given) == ()
        assert sandbox.create_canister(controllers=[given]).status(bob).settings.controllers == (bob,)
        assert sandbox.create_canister(settings={"controllers": [given]}).status(bob).settings.controllers == (bob,)
    assert sandbox.identity(str(bob)) == bob
    with pytest.raises(CallRejected, match=str(sandbox.identity("eve"))):
        canister.stop(sender="eve")
    for wrong in (str(bob)[:-1] + "x", " "):
        with pytest.raises(PrincipalError):
            canister.call("whoami", sender=wrong)


def test_a_snapshot_is_given_in_five_ways(sandbox: Sandbox, canister: Canister) -> None:
    snapshot = canister.take_snapshot("one")
    for given in (snapshot, snapshot.id, snapshot.id.hex(), "one", "latest", snapshot.id.hex()[:4]):
        canister.load_snapshot(given)
        assert sandbox.snapshots.verify(given).id == snapshot.id
        assert sandbox.snapshots.query(given, "get").reply is not None
    canister.take_snapshot("one")
    with pytest.raises(AmbiguousName, match="several snapshots are labelled 'one'"):
        canister.load_snapshot("one")
    with pytest.raises(AmbiguousName, match="several ids begin with"):
        canister.load_snapshot(snapshot.id.hex()[:4])
    canister.delete_snapshot("latest")
    assert [s.id for s in canister.list_snapshots()] == [snapshot.id]


def test_what_names_no_snapshot_is_said_with_what_there_is(sandbox: Sandbox, canister: Canister) -> None:
    canister.take_snapshot("one")
    for text in ("zz", "é", "", "0123"):
        with pytest.raises(UnknownName):
            canister.delete_snapshot(text)
    with pytest.raises(UnknownName, match=r"'two' is neither .*\(there is [0-9a-f]+ \(one\)\)"):
        canister.load_snapshot("two")
    with pytest.raises(UnknownName, match="'two' is neither a file nor the id or the label"):
        sandbox.snapshots.query("two", "get")
    with pytest.raises(UnknownName, match="nor a canister"):
        sandbox.snapshots.diff("two", canister)
    for missing in ("missing.icsnap", "no/such/directory"):
        with pytest.raises(SnapshotFileError, match=r"missing.icsnap|no/such/directory"):
            sandbox.snapshots.query(missing, "get")
    with pytest.raises(CallRejected, match=r"Could not find the snapshot|not found"):
        canister.load_snapshot("ff" * 18)


def test_names_are_kept_with_the_state_and_taken_back_with_it(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state") as sandbox:
        first = sandbox.create_canister(name="first")
        with sandbox.anchor():
            sandbox.create_canister(name="second")
        assert sandbox.create_canister().name is None
        with pytest.raises(ValueError, match="there is a canister named 'first' already"):
            sandbox.create_canister(name="first")
        assert len(sandbox.canisters()) == 2
    with Sandbox.open(tmp_path / "state") as sandbox:
        assert sandbox.canister("first").id == first.id
        with pytest.raises(PrincipalError, match=r"names: first"):
            sandbox.canister("second")

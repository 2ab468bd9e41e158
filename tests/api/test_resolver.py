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
        assert sandbox.snapshots.query_raw(given, "get").reply is not None
    canister.take_snapshot("one")
    with pytest.raises(AmbiguousName, match="several snapshots are labelled 'one'"):
        canister.load_snapshot("one")
    with pytest.raises(AmbiguousName, match="several ids begin with"):
        canister.load_snapshot(snapshot.id.hex()[:4])
    canister.delete_snapshot("latest")
    assert [s.id for s in canister.list_snapshots()] == [snapshot.id]


def test_short_names_mean_the_snapshots_of_one_canister(sandbox: Sandbox, canister: Canister) -> None:
    other = sandbox.create_canister(name="other")
    other.install(fixture("counter.classical"))
    own = [canister.take_snapshot("one"), canister.take_snapshot("two")]
    others = [other.take_snapshot("one"), other.take_snapshot("7:8")]
    for made, name in ((own, "counter"), (others, str(other.id))):
        for number, snapshot in enumerate(made):
            for text in (f"{name}:{number}", f"{name}:{snapshot.label}", f"{name}:{snapshot.id.hex()[:16]}"):
                assert sandbox.snapshots.verify(text).id == snapshot.id
        assert sandbox.snapshots.verify(f"{name}:latest").id == made[-1].id
    assert sandbox.snapshots.verify("7:8").id == others[1].id
    canister.load_snapshot("1")
    canister.load_snapshot(own[0].id.hex()[:16])
    other.load_snapshot("counter:two", sandbox.identity("default"))
    with pytest.raises(AmbiguousName, match="CANISTER:LABEL"):
        sandbox.snapshots.verify("one")
    for text in ("counter:2", "nobody:1", "counter:", ":1", "1"):
        with pytest.raises(UnknownName):
            sandbox.snapshots.verify(text)


def test_what_names_no_snapshot_is_said_with_what_there_is(sandbox: Sandbox, canister: Canister) -> None:
    canister.take_snapshot("one")
    for text in ("zz", "é", "", "0123"):
        with pytest.raises(UnknownName):
            canister.delete_snapshot(text)
    with pytest.raises(UnknownName, match=r"'two' is neither .*\(there is [0-9a-f]+ \(one\)\)"):
        canister.load_snapshot("two")
    with pytest.raises(UnknownName, match="'two' is neither a file nor the id or the label"):
        sandbox.snapshots.query_raw("two", "get")
    with pytest.raises(UnknownName, match="nor a canister"):
        sandbox.snapshots.diff("two", canister)
    for missing in ("missing.icsnap", "no/such/directory"):
        with pytest.raises(SnapshotFileError, match=r"missing.icsnap|no/such/directory"):
            sandbox.snapshots.query_raw(missing, "get")
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

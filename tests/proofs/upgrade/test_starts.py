"""Where a proof may begin: a canister just installed, calls, snapshots in files and directories, stable memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import CallRejected, Sandbox, Version, verify_upgrade
from sandbox.api.identity import identity
from sandbox.proofs.calls import CallFileError, read_calls
from sandbox.proofs.upgrade import ProofError
from sandbox.proofs.upgrade.back import check_snapshot
from sandbox.proofs.upgrade.observe import plain_queries
from sandbox.proofs.upgrade.start import OWNER, Start
from sandbox.proofs.upgrade.trial import Trial
from tests.conftest import fixture, guest

V1, GOOD, DROPS = "people_stable_rs_v1", "people_stable_rs_v2_good", "people_stable_rs_v2_drops"


def filled(sandbox: Sandbox, count: int = 12) -> str:
    canister = sandbox.create_canister(name="people")
    canister.install(fixture(V1))
    canister.call("fill", count)
    canister.take_snapshot(label="filled")
    return str(canister.id)


@pytest.mark.parametrize("name", ["state.icsnap", "state", "image"])
def test_every_form_of_a_state_is_a_starting_point(tmp_path: Path, name: str) -> None:
    with Sandbox() as sandbox:
        canister_id = filled(sandbox)
        if name == "image":
            (tmp_path / name).write_bytes(sandbox.raw_state(canister_id).stable)
        else:
            sandbox.snapshots.download("filled", tmp_path / name)
    good = verify_upgrade(fixture(V1), fixture(GOOD), state=tmp_path / name)
    assert (good.verdict, good.start) == ("safe", str(tmp_path / name))
    bad = verify_upgrade(fixture(V1), fixture(DROPS), state=tmp_path / name)
    [lost] = [finding for finding in bad.findings if finding.id == "data-lost"]
    assert lost.text == "12 of 12 entries: memory 0[].email gone"
    assert lost.details[0] == 'memory 0[0].email: "person0@example.org" → gone'


def test_a_snapshot_via_hooks_is_a_starting_point(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        canister = sandbox.create_canister()
        canister.install(fixture("people_v1.classical"))
        canister.call("fill", 5)
        sandbox.snapshots.download(canister.take_snapshot(via_hooks=True), tmp_path / "state.icsnap")
    new = fixture("people_v2_drops.classical")
    report = verify_upgrade(fixture("people_v1.classical"), new, state=tmp_path / "state.icsnap")
    assert "5 values: people.blocks[][].email gone" in [finding.text for finding in report.findings]


def test_the_canister_keeps_its_id_and_its_time(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        canister_id = filled(sandbox)
        sandbox.advance_time(5)
        then = sandbox.snapshots.list()[0].taken_on
        sandbox.snapshots.download("filled", tmp_path / "state.icsnap")
    opened, canister = Start(tmp_path / "state.icsnap").open(Version("v1", fixture(V1)))
    with opened:
        assert (str(canister.id), opened.time) == (canister_id, then)
        assert canister.status().settings.controllers == (OWNER,)


def test_a_state_of_another_module_is_refused(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        filled(sandbox)
        sandbox.snapshots.download("filled", tmp_path / "state.icsnap")
    with pytest.raises(ProofError, match=r"is a state of the module .* give the module that wrote the state"):
        verify_upgrade(fixture(GOOD), fixture(V1), state=tmp_path / "state.icsnap")


def test_arguments_of_both_versions_are_used() -> None:
    old = Version("v1", fixture(V1), {"title": "first", "max_people": None})
    new = Version("v2", fixture(GOOD), {"title": "second", "max_people": 9})
    report = verify_upgrade(old, new, queries=["config()"])
    [config] = [finding for finding in report.findings if finding.text == "config()"]
    assert config.id == "query-differs"
    assert "first" in config.details[0]
    assert "second" in config.details[1]


def test_accepted_findings_do_not_change_the_verdict() -> None:
    def verdict(*accept: str) -> str:
        return verify_upgrade(fixture(GOOD), fixture(V1), accept=accept).verdict

    assert verdict() == "risky"
    assert verdict("interface-breaks") == "safe"


def test_a_failing_call_ends_the_proof_before_it_begins() -> None:
    trap = guest('(func (export "canister_update go") unreachable)')
    with pytest.raises(CallRejected, match="unreachable"):
        verify_upgrade(trap, trap, calls=["go()"])


def test_a_snapshot_of_another_state_is_not_the_way_back() -> None:
    """The finding `rollback-differs`: what is loaded is not what was observed before the upgrade."""
    old = Version("v1", fixture(V1))
    sandbox, canister = Start().open(old)
    with sandbox:
        empty = canister.take_snapshot()
        canister.call("fill", 3)
        trial = Trial(sandbox, canister, old, old, plain_queries(old), (), True)
        trial.snapshot = canister.take_snapshot()
        assert trial.before.answers
        assert check_snapshot(trial).findings == ()
        trial.snapshot = empty
        [finding] = check_snapshot(trial).findings
    assert finding.id == "rollback-differs"
    assert finding.text == "heap differs; stable differs"


def test_calls_are_read_from_a_file_with_senders_and_lines(tmp_path: Path) -> None:
    file = tmp_path / "calls"
    file.write_text(
        '# people\nfill(2)\n\nalice: add(record { name = "A (1)"; email = "a@b";\n  age = 3; tags = vec {} })\n'
    )
    fill, add = read_calls(file, Version("v1", fixture(V1)).interface)
    assert (fill.method, fill.sender, fill.where) == ("fill", None, f"{file}:2")
    assert (add.method, add.sender, add.where) == ("add", "alice", f"{file}:4")
    assert identity("alice") != OWNER


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fill(2)\nfill 3\n", ":2: expected method(arguments)"),
        ("\nfil(2)\n", ":2: fil: the service has no method fil"),
        ('fill("x")\n', ":1: fill: "),
        ("fill(2)\nadd(record {\n", ":2: brackets are not closed"),
    ],
)
def test_a_file_of_calls_that_cannot_be_used_says_the_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "calls").write_text(text)
    with pytest.raises(CallFileError) as caught:
        read_calls(tmp_path / "calls", Version("v1", fixture(V1)).interface)
    assert str(caught.value).startswith(f"{tmp_path / 'calls'}{said}")


def test_a_query_that_answers_the_version_of_the_canister_is_no_fault_of_the_way_back() -> None:
    versioned = guest('(func (export "canister_query version") (call $reply64 (call $canister_version)))')
    report = verify_upgrade(versioned, versioned)
    check = report.check("rollback")
    assert check is not None
    assert check.findings == ()
    assert check.text == "loading the snapshot brings back every byte; other answers, as of versions, from version()"


@pytest.mark.parametrize("mode", ["classical", "enhanced"])
def test_motoko_state_is_counted_in_variables(mode: str) -> None:
    module = fixture(f"counter.{mode}")
    texts = {check.name: check.text for check in verify_upgrade(module, module).checks}
    assert texts["state"].startswith("5 decoded variables; heap ")
    assert texts["data"] == "5 variables: all equal"

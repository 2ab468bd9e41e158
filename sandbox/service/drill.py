"""The restore drill: a backup is loaded in a sandbox, and the canister's own checks run on it. No network is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sandbox import candid
from sandbox.api import Canister, Sandbox, runtime_of
from sandbox.api.typed import init_types, metadata
from sandbox.candid import Interface
from sandbox.errors import CallRejected, CandidError, SandboxError
from sandbox.principal import Principal
from sandbox.proofs.calls import Line, call_of
from sandbox.proofs.scenario.loader import Choices, load
from sandbox.proofs.scenario.runner import Run
from sandbox.proofs.upgrade import Version, verify_upgrade
from sandbox.service.failure import BackupError
from sandbox.snapshots import portable
from sandbox.snapshots.content_id import content_id
from sandbox.state import SnapshotState

PARAMETER = "backup"
"""The parameter by which a scenario gets the path of the snapshot file."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query to ask of the restored canister; `expected`: its answer in Candid, None if any reply will do."""

    line: Line
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Checks:
    """What must hold of a restored canister. `scenario`: a file that begins with the snapshot in its parameter
    `backup`; `next_module`: a version to which an upgrade must be safe, `next_arg` its argument in Candid; `accept`:
    ids of findings of that proof which do no harm."""

    queries: tuple[Query, ...] = ()
    scenario: Path | None = None
    next_module: Path | None = None
    next_arg: str | None = None
    accept: tuple[str, ...] = ()


class DrillFailed(BackupError):
    """A backup that does not pass its checks."""


def drill(state: SnapshotState, checks: Checks, expected_id: str) -> dict[str, Any]:
    """Restore a backup in a sandbox and run its checks; return what was seen. `DrillFailed` names the first check that
    does not hold; `expected_id`: the content id that the restored canister must have."""
    try:
        with restored(state) as canister:
            found = content_id(runtime_of(canister).state_of(canister.id))
            if found != expected_id:
                raise DrillFailed(f"the restored canister has content id {found}, the backup {expected_id}")
            interface = _interface(canister)
            for query in checks.queries:
                _ask(canister, query, interface)
    except CallRejected as error:
        raise DrillFailed(f"the backup cannot be loaded: {error}") from error
    seen: dict[str, Any] = {"content_id": found, "queries": len(checks.queries)}
    if checks.scenario is None and checks.next_module is None:
        return seen
    with TemporaryDirectory(prefix="drill-") as folder:
        file = Path(folder) / "backup.icsnap"
        portable.write(portable.of_state(state), file)
        if checks.scenario is not None:
            seen["scenario"] = _run_scenario(checks.scenario, file)
        if checks.next_module is not None:
            seen["upgrade"] = _prove(state, checks, file)
    return seen


@contextmanager
def restored(state: SnapshotState) -> Iterator[Canister]:
    """Load a backup into a canister with its own id, in a sandbox that lives as long as the block."""
    with Sandbox() as sandbox:
        yield sandbox.snapshots.create_canister(
            portable.of_state(state), controllers=[Principal.anonymous()], canister_id=state.canister_id
        )


def _interface(canister: Canister) -> Interface | None:
    code = runtime_of(canister).state_of(canister.id).code
    text = None if code is None else metadata(code, "candid:service")
    try:
        return None if text is None else candid.parse_did(text.decode("utf-8", "replace"))
    except CandidError:
        return None


def _ask(canister: Canister, query: Query, interface: Interface | None) -> None:
    call = call_of(query.line, interface, query.line.where)
    try:
        reply = canister.query_raw(call.method, call.arg).reply or b""
    except CallRejected as error:
        raise DrillFailed(f"the query {query.line.text} was rejected: {error}") from error
    why = answer_differs(query, call.method, reply, interface)
    if why is not None:
        raise DrillFailed(why)


def answer_differs(query: Query, method: str, reply: bytes, interface: Interface | None) -> str | None:
    """Return how the reply of a query differs from what is expected; None if it does not."""
    if query.expected is None:
        return None
    types = interface.method(method).results if interface else None
    try:
        wanted = candid.encode_text(query.expected, types)
    except CandidError as error:
        return f"{query.line.where}: the expected answer of {query.line.text} is not Candid: {error}"
    if reply == wanted:
        return None
    try:
        came = candid.decode_to_text(reply, types)
    except CandidError:
        came = f"0x{reply.hex()}"
    return f"the query {query.line.text} answered {came}, expected {query.expected}"


def _run_scenario(path: Path, snapshot: Path) -> str:
    report = Run([load(path, Choices({PARAMETER: str(snapshot)}))]).run()
    if not report.held:
        found = (each for scenario in report.scenarios for case in scenario.cases for each in case.all_failures())
        step, failure = next(found, (None, None))
        where = "" if step is None else f" at {step.place}"
        raise DrillFailed(f"the scenario {path} does not hold{where}: {failure}")
    return f"{report.count('held')} cases held"


def _prove(state: SnapshotState, checks: Checks, snapshot: Path) -> str:
    assert state.upload is not None
    assert checks.next_module is not None
    old = state.upload.module.read(0, state.upload.module_size)
    new = checks.next_module.read_bytes()
    try:
        after = Version(checks.next_module.name, new)
        arg = None if checks.next_arg is None else candid.encode_text(checks.next_arg, init_types(after.code))
        after = replace(after, arg=arg)
        report = verify_upgrade(Version("the backup", old), after, state=snapshot, accept=checks.accept)
    except SandboxError as error:
        raise DrillFailed(f"the proof of an upgrade to {checks.next_module.name} cannot begin: {error}") from error
    if report.verdict != "safe":
        raise DrillFailed(f"an upgrade to {checks.next_module.name} is {report.verdict}: {report.why}")
    return str(report.verdict)

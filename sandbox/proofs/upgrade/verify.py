"""`verify_upgrade`: every check of an upgrade, in order, on a throw-away copy."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

from sandbox.errors import CallRejected
from sandbox.proofs.calls import Call, call_of
from sandbox.proofs.findings import finding
from sandbox.proofs.upgrade import again, back, data, growth, hooks, interface, queries, stable_types, tries, writes
from sandbox.proofs.upgrade.observe import plain_queries
from sandbox.proofs.upgrade.report import Check, Smallest, UpgradeReport
from sandbox.proofs.upgrade.start import ProofError, Start, Version
from sandbox.proofs.upgrade.trial import Trial
from sandbox.state import InstructionLimits

Progress = Callable[[str], None]
"""A callback with the name of the check that begins."""


def verify_upgrade(
    old: bytes | str | Path | Version,
    new: bytes | str | Path | Version,
    *,
    state: str | Path | None = None,
    calls: Iterable[Call | str] = (),
    queries: Iterable[Call | str] = (),
    accept: Iterable[str] = (),
    limits: InstructionLimits | None = None,
    explore: int = 0,
    seed: int = 0,
    profile: bool = False,
    progress: Progress | None = None,
) -> UpgradeReport:
    """Prove the effects of an upgrade from `old` to `new` on data, interface and cost, and the ways back.

    `old`, `new`: modules as bytes or files, or `Version` to add arguments and interfaces. `state`: the data to begin
    with, an `.icsnap` file, a snapshot directory of dfx or icp-cli, or an image of stable memory; without it a canister
    just installed. `calls`: made on the old version first, as text such as `put("a", 5)`. `queries`: asked before and
    after, besides those that take no argument. `accept`: ids of findings that do not change the verdict. `limits`:
    other instruction limits than the platform's. Everything happens in a sandbox of its own; nothing outside changes.

    `explore`: the number of sequences of at most eight generated calls that are tried on `old`; the proof goes on from
    the state that they make. `report.sequences` are the fewest calls that cause findings. The same `seed` generates the
    same calls. While they are tried, a message may execute 100 million instructions. Needs the extra
    `canister-sandbox[explore]`. `profile`: collect the instructions of the hooks of the upgrade by function, as
    `report.profile`; not with `explore`, whose hooks run many times.

    `ProofError`, `SnapshotFileError`: the proof cannot begin; `CallRejected`: the old version cannot be installed, or
    one of the calls fails.
    """
    if explore < 0:
        raise ValueError(f"explore is the number of sequences, not {explore}")
    if explore and profile:
        raise ValueError("profile and explore exclude each other")
    versions = _version(old, "old"), _version(new, "new")
    made = tuple(call_of(call, versions[0].interface, "calls") for call in calls)
    asked = tuple(call_of(call, versions[0].interface, "queries") for call in queries)
    start = Start(None if state is None else Path(state), made, limits)
    sandbox, canister = start.open(versions[0])
    with sandbox:
        every = {call.text: call for call in (*plain_queries(versions[0]), *asked)}
        trial = Trial(sandbox, canister, *versions, tuple(every.values()), made, state is not None, profile)
        report = progress or _silent
        if explore:
            checked, sequences = _explored(trial, explore, seed, report)
        else:
            checked, sequences = tuple(checks(trial, report)), ()
    begin = f"{_described(start)}, calls made up with seed {seed}" if explore else _described(start)
    named = versions[0].name, versions[1].name
    return UpgradeReport(*named, begin, checked, frozenset(accept), sequences, trial.profile)


def _explored(
    trial: Trial, count: int, seed: int, progress: Progress
) -> tuple[tuple[Check, ...], tuple[Smallest, ...]]:
    try:
        from sandbox.proofs.upgrade.explored import ExploredProof
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ProofError(
            "making up calls (explore) needs hypothesis: pip install 'canister-sandbox[explore]'"
        ) from error
    return ExploredProof(trial, checks, count, seed, progress).prove()


def _version(module: bytes | str | Path | Version, name: str) -> Version:
    if isinstance(module, Version):
        return module
    if isinstance(module, bytes):
        return Version(name, module)
    return Version(Path(module).name, Path(module).read_bytes())


def _described(start: Start) -> str:
    begin = "a canister just installed" if start.state is None else str(start.state)
    return f"{begin}, {len(start.calls)} calls" if start.calls else begin


def _silent(_: str) -> None:
    pass


def checks(trial: Trial, progress: Progress = _silent, names: Container[str] | None = None) -> Iterator[Check]:
    """Yield every check of a trial whose canister is at its starting point, in order; the canister is upgraded.
    `names`: only these checks, and those that come before the upgrade is made."""

    def wanted(name: str) -> bool:
        return names is None or name in names

    if wanted("interface"):
        progress("interface")
        yield interface.check(trial)
    progress("state before")
    trial.snapshot = trial.canister.take_snapshot(label="before the upgrade")
    yield _start(trial)
    tried = None
    if wanted("writes"):
        progress("writes before")
        tried = tries.try_old(trial)
    progress("hooks")
    ran = hooks.check(trial)
    if wanted("stable types") and stable_types.applies(trial):
        yield stable_types.check(trial)
    yield ran
    if isinstance(trial.upgraded, CallRejected):
        return
    progress("state after")
    trial.after = trial.observe(trial.new)
    for name, check in _AFTER.items():
        if wanted(name):
            progress(name)
            yield check(trial)
    if tried is not None:
        progress("writes")
        yield writes.check(trial, tried)
    if wanted("rollback"):
        progress("rollback")
        yield back.check_snapshot(trial)


_AFTER: dict[str, Callable[[Trial], Check]] = {
    "data": data.check,
    "queries": queries.check,
    "second upgrade": again.check,
    "downgrade": back.check_downgrade,
    "growth": growth.check,
}
"""The checks that look at an upgraded canister, in order."""


def _start(trial: Trial) -> Check:
    """Return a check that reports the data before the upgrade."""
    decoded, status = trial.before.decoded, trial.canister.status()
    sizes = f"heap {status.heap_size:,} and stable memory {status.stable_size:,} bytes"
    text = f"{data.decoded_count(decoded, 'decoded ')}; {sizes}"
    if trial.has_state or trial.calls:
        return Check("state", text)
    little = finding(
        "little-proved", "the proof began with a canister just installed, and no call was made: only an empty state"
    )
    return Check("state", text, (little,))

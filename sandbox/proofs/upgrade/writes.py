"""Writes: the same update calls on copies of the canister before and after the upgrade, and what they leave.

Structures that a new version reads well may be dead at the first write, or be damaged by it: a key that is longer than
the new version allows, a value for which the old layout has no room, a Candid value that the new type cannot replace.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.execution import CallResult
from sandbox.proofs.calls import Call
from sandbox.proofs.findings import Finding, finding
from sandbox.proofs.upgrade.observe import saved_data
from sandbox.proofs.upgrade.queries import same_answer, shown
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.start import perform
from sandbox.proofs.upgrade.texts import cut, first_line
from sandbox.proofs.upgrade.trial import Trial
from sandbox.proofs.upgrade.tries import Longer, Tries, Try, attempt, limited, longest, make
from sandbox.snapshots.inspect.target import InspectionTarget

_NAME = "writes"
_SHORT = 50_000_000
"""Instructions of a query that is asked again after writes."""


def check(trial: Trial, tries: Tries) -> Check:
    """Make on the upgraded canister the calls that the old version takes, and longer ones that only the new takes."""
    if not tries.tries:
        what = f"none of {tries.methods} update methods took a call" if tries.methods else "no update method is known"
        return Check(_NAME, what, done=False)
    with limited(trial):
        results = [(each, attempt(trial, trial.new, each.call)) for each in tries.tries]
        findings = [*_failed(results), *_different(trial, results), *_damaged(trial, tries)]
    methods = len({each.call.method for each in tries.tries})
    text = f"{len(tries.tries)} calls of {methods} methods that the old version takes, {len(findings)} findings"
    return Check(_NAME, text, tuple(findings), {"calls": len(tries.tries), "methods": methods})


_Results = list[tuple[Try, CallResult | None]]


def _failed(results: _Results) -> Iterator[Finding]:
    """Yield a finding for each method with a call that the old version takes and the new one does not."""
    failed: dict[str, list[tuple[Try, CallResult | None]]] = {}
    for each, now in results:
        if now is None or now.reject is not None:
            failed.setdefault(each.call.method, []).append((each, now))
    for method, calls in failed.items():
        each, now = calls[0]
        every = sum(one.call.method == method for one, _ in results)
        why = "more instructions or rounds" if now is None or now.reject is None else first_line(now.reject.message)
        frames = () if now is None else now.backtrace
        count = f"{len(calls)} of {every} calls"
        yield finding("write-fails", f"{method}: {why}", (f"{count}, such as {cut(each.call.text)}", *frames))


def _different(trial: Trial, results: _Results) -> Iterator[Finding]:
    """Yield a finding for each method whose reply is another one, if it does not depend on the time."""
    reported = set()
    for each, now in results:
        if not each.steady or now is None or now.reject is not None or each.call.method in reported:
            continue
        if not same_answer(trial.old, each.call, each.result, now):
            reported.add(each.call.method)
            old, new = shown(trial.old, each.call, each.result), shown(trial.new, each.call, now)
            yield finding("write-differs", cut(each.call.text), (f"before  {cut(old)}", f"after   {cut(new)}"))


def _damaged(trial: Trial, tries: Tries) -> Iterator[Finding]:
    """Yield a finding for each method with a call that succeeds and damages what is stored: a longest value that the
    new version takes. All calls are made one after the other first; each alone only if they damage something."""
    assert trial.after is not None
    calls = [call for longer in tries.longer for call in _longer_calls(trial, longer)]
    known = set[str]()
    if not _harm(trial, calls, known):
        return
    known = damages(trial.after.data)
    reported = set()
    for call in calls:
        harm = [] if call.method in reported else _harm(trial, [call], known)
        if harm:
            reported.add(call.method)
            yield finding("write-damages", f"{call.method}: {harm[0]}", (cut(call.text), *harm[1:]))


def _longer_calls(trial: Trial, longer: Longer) -> Iterator[Call]:
    """Yield the longest call that the old version takes, and a longer one that only the new one takes."""
    if longer.method not in trial.new.methods:
        return
    most = longest(trial, trial.new, longer)
    for size in sorted({min(longer.taken, most), most} - {0}):
        yield longer.call(size)


def _harm(trial: Trial, calls: list[Call], known: set[str]) -> list[str]:
    """Return what calls damage: bytes that no decoder understands any more, short queries that fail."""
    assert trial.after is not None
    with trial.sandbox.anchor():
        results = [make(trial, trial.new, call) for call in calls]
        if all(result is None or result.reject is not None for result in results):
            return []
        harm = sorted(damages(saved_data(trial.sandbox, trial.canister)[0]) - known)
        for query in trial.queries:
            before = trial.after.answers[query.text]
            short = before.reject is None and before.instructions <= _SHORT
            if short and query.method in trial.new.methods:
                now = perform(trial.canister, trial.new, query)
                harm += [f"{query.text}: {first_line(now.reject.message)}"] if now.reject is not None else []
        return harm


def damages(data: InspectionTarget) -> set[str]:
    """Return what decoders say is unreadable or contradictory in a state."""
    parts = data.decode().parts
    problems = {f"{part.name}: {part.problem}" for part in parts if part.problem is not None}
    return problems | {f"{part.name}: {damage}" for part in parts for damage in part.checked.damages}

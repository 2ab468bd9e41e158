"""The check of writes: the same update calls on copies before and after the upgrade, and their effects.

Structures that a new version reads well may be dead at the first write, or be damaged by it: a key that is longer than
the new version allows, a value for which the old layout has no room, a Candid value that the new type cannot replace.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from sandbox.execution import CallResult
from sandbox.proofs.calls import Call
from sandbox.proofs.findings import Finding, finding
from sandbox.proofs.upgrade.data import compare_data, lost_data
from sandbox.proofs.upgrade.forgotten import check_next_upgrade
from sandbox.proofs.upgrade.observe import decode_data, observe, saved_data
from sandbox.proofs.upgrade.queries import same_answer, shown
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.start import perform
from sandbox.proofs.upgrade.texts import cut, why
from sandbox.proofs.upgrade.trial import Trial
from sandbox.proofs.upgrade.tries import Tries, Try, attempt, limited, longest, make, short_queries
from sandbox.snapshots.inspect.target import InspectionTarget

_NAME = "writes"


def check(trial: Trial, tries: Tries) -> Check:
    """Make on the upgraded canister the calls that the old version takes, and longer ones that only the new takes.
    Missing methods belong to the check of the interface."""
    common = [each for each in tries.tries if trial.new.methods.get(each.call.method) == "update"]
    if not common:
        what = f"none of {tries.methods} update methods took a call" if tries.methods else "no update method is known"
        return Check(_NAME, what, done=False)
    with limited(trial, "update"):
        results = [(each, attempt(trial, trial.new, each.call)) for each in common]
        findings = [*_failed(results), *_different(trial, results), *_damaged(trial, tries), *_sequence(trial, tries)]
    methods = len({each.call.method for each in common})
    text = f"{len(common)} calls of {methods} methods that the old version takes, {len(findings)} findings"
    return Check(_NAME, text, tuple(findings), {"calls": len(common), "methods": methods})


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
        text = "more instructions or rounds" if now is None or now.reject is None else why(now.reject.message)
        frames = () if now is None else now.backtrace
        count = f"{len(calls)} of {every} calls"
        yield finding("write-fails", f"{method}: {text}", (f"{count}, such as {cut(each.call.text)}", *frames))


def _different(trial: Trial, results: _Results) -> Iterator[Finding]:
    """Yield a finding for each method with another reply."""
    reported = set()
    for each, now in results:
        if now is None or now.reject is not None or each.call.method in reported:
            continue
        if not same_answer(trial.old, each.call, each.result, now):
            reported.add(each.call.method)
            old, new = shown(trial.old, each.call, each.result), shown(trial.new, each.call, now)
            yield finding("write-differs", cut(each.call.text), (f"before  {cut(old)}", f"after   {cut(new)}"))


def _damaged(trial: Trial, tries: Tries) -> Iterator[Finding]:
    """Yield a finding for each method with a call that succeeds and damages stored data: a call with the longest value
    that the new version takes. All calls are made on one copy first, and one by one only if that does harm."""
    assert trial.after is not None
    common = [longer for longer in tries.longer if longer.short.method in trial.new.methods]
    calls = [longer.call(longest(trial, trial.new, longer)) for longer in common]
    if not _harm(trial, calls, ()):
        return
    known = damages(trial.after.data)
    together = _harm(trial, calls, known)
    if not together:
        return
    harms: dict[str, tuple[Call, list[str]]] = {}
    for call in calls:
        if call.method not in harms and (harm := _harm(trial, [call], known)):
            harms[call.method] = call, harm
    for method, (call, harm) in harms.items():
        yield finding("write-damages", f"{method}: {harm[0]}", (cut(call.text), *harm[1:]))
    if not harms:
        yield finding("write-damages", together[0], (*together[1:], *(f"after {cut(call.text)}" for call in calls)))


def _sequence(trial: Trial, tries: Tries) -> Iterator[Finding]:
    """Make one call of each method, and compare the data with those of the old version after the same calls: a
    structure may be lost at its first use, and not in the upgrade."""
    assert tries.after is not None
    with trial.sandbox.anchor():
        results = [make(trial, trial.new, call) for call in tries.sequence]
        if any(result is None or result.reject is not None for result in results):
            return
        seen = observe(trial.sandbox, trial.canister, trial.new, short_queries(trial))
        losses = compare_data(trial, tries.after.data, seen.data)
        forgotten = list(check_next_upgrade(trial, tries, seen))
    known = {group.place for group in trial.losses.lost} if trial.losses is not None else set()
    yield from lost_data("write-loses", replace(losses, groups=tuple(g for g in losses.groups if g.place not in known)))
    yield from forgotten
    for query in short_queries(trial):
        if _stayed(trial, query):
            was, now = tries.after.answers[query.text], seen.answers[query.text]
            if not same_answer(trial.old, query, was, now):
                texts = shown(trial.old, query, was), shown(trial.new, query, now)
                details = (f"before  {cut(texts[0])}", f"after   {cut(texts[1])}")
                yield finding("write-differs", f"{query.text} after the same {len(results)} calls", details)


def _stayed(trial: Trial, query: Call) -> bool:
    """Return whether the upgrade alone does not change the answer."""
    assert trial.after is not None
    was, now = trial.before.answers[query.text], trial.after.answers[query.text]
    return was.reject is None and now.reject is None and same_answer(trial.old, query, was, now)


def _harm(trial: Trial, calls: Collection[Call], known: Collection[str]) -> list[str]:
    """Return the damage by calls: structures that become undecodable, queries that fail. `known`: names of
    structures that were damaged before."""
    assert trial.after is not None
    with trial.sandbox.anchor():
        for call in calls:
            make(trial, trial.new, call)
        damaged = damages(saved_data(trial.sandbox, trial.canister)[0])
        harm = [f"{name}: {text}" for name, text in damaged.items() if name not in known]
        for query in short_queries(trial):
            if trial.after.answers[query.text].reject is None:
                now = perform(trial.canister, trial.new, query)
                harm += [f"{query.text}: {why(now.reject.message)}"] if now.reject is not None else []
        return harm


def damages(data: InspectionTarget) -> dict[str, str]:
    """Return the first problem that its decoder reports, by the name of each damaged structure."""
    problems = {part.name: (part.problem, *part.checked.damages) for part in decode_data(data).parts}
    said = {name: [text for text in texts if text is not None] for name, texts in problems.items()}
    return {name: texts[0] for name, texts in said.items() if texts}

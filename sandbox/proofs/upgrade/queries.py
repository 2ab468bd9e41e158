"""The check of queries: the same queries before and after the upgrade, for a client of the old interface."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox import candid
from sandbox.errors import CandidError
from sandbox.execution import CallResult
from sandbox.proofs.calls import Call
from sandbox.proofs.findings import Finding, finding
from sandbox.proofs.upgrade.observe import Observation
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.start import Version
from sandbox.proofs.upgrade.texts import cut, why
from sandbox.proofs.upgrade.trial import Trial


def check(trial: Trial) -> Check:
    """Compare the answers to all queries."""
    if not trial.queries:
        return Check("queries", "the old version has no query without arguments, and none was given", done=False)
    assert trial.after is not None
    findings = tuple(differences(trial, trial.before, trial.after))
    asked = sum(call.method in trial.new.methods for call in trial.queries)
    text = f"{asked} asked, {asked - len(findings)} with equal answers"
    return Check("queries", text, findings, {"queries": [_row(trial, call) for call in trial.queries]})


def _row(trial: Trial, call: Call) -> dict[str, object]:
    assert trial.after is not None
    before, after = trial.before.answers[call.text], trial.after.answers[call.text]
    return {
        "query": call.text,
        "before": shown(trial.old, call, before),
        "after": shown(trial.new, call, after),
        "same": same_answer(trial.old, call, before, after),
    }


def differences(trial: Trial, before: Observation, after: Observation, when: str = "") -> Iterator[Finding]:
    """Yield a finding for each query with another answer; missing methods belong to the check of the interface. `when`:
    added to the name of the query."""
    for call in trial.queries:
        was, now = before.answers[call.text], after.answers[call.text]
        if was.reject is not None or call.method not in trial.new.methods:
            continue
        if now.reject is not None:
            yield finding("query-fails", f"{call.text}{when}: {why(now.reject.message)}", now.backtrace)
        elif not same_answer(trial.old, call, was, now):
            old, new = shown(trial.old, call, was), shown(trial.new, call, now)
            yield finding("query-differs", f"{call.text}{when}", (f"before  {cut(old)}", f"after   {cut(new)}"))


def same_answer(version: Version, call: Call, was: CallResult, now: CallResult) -> bool:
    """Return whether two answers are equal for a client with the interface of `version`, or without one by their
    bytes."""
    if was.reply == now.reply:
        return True
    if version.interface is None or was.reply is None or now.reply is None:
        return False
    types = version.interface.method(call.method).results
    try:
        return candid.decode_to_text(was.reply, types) == candid.decode_to_text(now.reply, types)
    except CandidError:
        return False


def shown(version: Version, call: Call, result: CallResult) -> str:
    """Return an answer as Candid text, or the reject."""
    if result.reject is not None:
        return result.reject.message
    assert result.reply is not None
    interface = version.interface
    types = (
        interface.methods[call.method].results if interface is not None and call.method in interface.methods else None
    )
    try:
        return candid.decode_to_text(result.reply, types)
    except CandidError:
        return result.reply.hex()

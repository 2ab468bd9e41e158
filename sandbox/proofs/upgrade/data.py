"""The check of data: whether each entry, field and value of the old version exists after the upgrade."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.proofs.findings import Finding, finding
from sandbox.proofs.upgrade.losses import Group, Losses, find_losses
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.trial import Trial
from sandbox.snapshots.diff import compare_memories
from sandbox.snapshots.diff.picture import FateMap
from sandbox.snapshots.inspect.model import Decoded
from sandbox.snapshots.inspect.motoko.decode import LAYOUT as MOTOKO
from sandbox.snapshots.inspect.target import InspectionTarget


def check(trial: Trial) -> Check:
    """Compare the decoded state before and after the upgrade."""
    assert trial.after is not None
    losses = trial.losses = compare_data(trial, trial.before.data, trial.after.data)
    decoded = trial.before.decoded
    stable = compare_memories(trial.before.data.stable, trial.after.data.stable)
    unknown = [part.name for part in decoded.parts if part.kind == "bytes" and part.data.size]
    findings = [
        *lost_data("data-lost", losses),
        *_overwritten(trial),
        *changed_data("data-changed", losses),
        *_problems(losses, unknown),
    ]
    parts = [part for part in decoded.parts if part.count is not None]
    where = "" if decoded.layout == MOTOKO else f" in {counted(len(parts), 'structure')}"
    text = f"{decoded_count(decoded)}{where}: {summary(losses)}"
    if not parts:
        text = " ".join(decoded.notes) or "no structure was decoded"
    maps = {"stable memory as pre_upgrade leaves it": FateMap(stable)} if stable.before or stable.after else {}
    return Check("data", text, tuple(findings), facts(losses), maps=maps)


def compare_data(trial: Trial, old: InspectionTarget, new: InspectionTarget) -> Losses:
    """Return the differences of two states, grouped by place."""
    return find_losses(old, new, trial.names)


def summary(losses: Losses) -> str:
    """Return the numbers of lost, changed, moved and added values in one line."""
    counts = {
        "lost": sum(group.lost or group.changed for group in losses.lost),
        "changed": sum(group.changed for group in losses.changed),
        "moved or reshaped": sum(group.lost + group.reshaped for group in losses.moved),
        "added": sum(group.added for group in losses.added),
    }
    said = [f"{count:,} {word}" for word, count in counts.items() if count]
    return ", ".join(said) or "all equal"


def facts(losses: Losses) -> dict[str, object]:
    """Return the groups as values for JSON."""
    return {
        "places": [
            {
                "place": group.place,
                "lost": group.lost,
                "changed": group.changed,
                "added": group.added,
                "reshaped": group.reshaped,
                "moved": group.moved,
                "examples": group.examples,
            }
            for group in losses.groups
        ],
        "problems": list(losses.problems),
    }


def lost_data(rule: str, losses: Losses) -> Iterator[Finding]:
    """Yield a finding of the rule for each place with lost values."""
    for group in losses.lost:
        yield finding(rule, f"{_of_all(group, losses)}: {group.place} gone", group.examples)


def _of_all(group: Group, losses: Losses) -> str:
    before = losses.counts[group.structure][0]
    if group.keyed and before is not None and before >= group.lost > 1:
        return f"{group.lost:,} of {before:,} entries"
    return counted(group.lost, "value")


def counted(count: int, noun: str) -> str:
    """Return a number and its noun, `1 value` or `3,000 values`."""
    if count != 1:
        noun = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count:,} {noun}"


def decoded_count(decoded: Decoded, before_noun: str = "") -> str:
    """Return the number of a state's entries, which are variables in Motoko, with words before the noun."""
    noun = "variable" if decoded.layout == MOTOKO else "entry"
    return counted(sum(part.count or 0 for part in decoded.parts), before_noun + noun)


def changed_data(rule: str, losses: Losses) -> Iterator[Finding]:
    """Yield a finding of the rule for each place with changed values."""
    for group in losses.changed:
        yield finding(rule, f"{counted(group.changed, 'value')} changed: {group.place}", group.examples)


def _overwritten(trial: Trial) -> Iterator[Finding]:
    """Yield a finding if pre_upgrade of the old version writes over stable structures: no upgrade reads them again."""
    lost = [f"{part.name} ({part.kind}, {counted(part.count or 0, 'entry')})" for part in trial.before.overwritten]
    if lost:
        yield finding("data-lost", f"canister_pre_upgrade of the old version writes over {len(lost)} structures", lost)


def _problems(losses: Losses, unknown: list[str]) -> Iterator[Finding]:
    for problem in losses.problems:
        yield finding("data-unreadable", problem)
    for name in unknown:
        yield finding("data-unreadable", f"{name}: no decoder knows these bytes")

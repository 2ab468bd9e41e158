"""Quiet hours: when a canister is used least, by its own statistics.

Each sample has the canister's version, which every executed message raises, and the calls of `query_stats`; both only
grow, so that the difference of two samples is the use between them. `canister_metrics`, which has more, is not asked.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from sandbox.network.remote import Remote
from sandbox.service.schedules.schedule import DEFAULT_HOUR, SECOND, zone_of

INTERVAL: Final = 3600 * SECOND
"""Nanoseconds between two samples."""
_LONGEST: Final = 2 * INTERVAL
"""A longer gap between samples says nothing about single hours."""
_NEEDED: Final = 2
"""Days of which every hour must be known."""
_WINDOW: Final = 28 * 24
"""Samples that count: those of four weeks."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`at`: nanoseconds since 1970; `messages`, `queries`: so far, since the canister was made."""

    at: int
    messages: int
    queries: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """The quietest hour of the day and why. `uses`: messages and queries in each hour, on average, where they are
    known."""

    hour: int
    reason: str
    uses: dict[int, float]


def sample(remote: Remote, at: int) -> Sample:
    """Ask a canister for its statistics."""
    status = remote.status()
    return Sample(at, status["version"], status["query_stats"]["num_calls_total"])


def quiet_hour(samples: Sequence[Sample], zone: str) -> Quiet:
    """Return the hour with the least use, the earliest after midnight of equal ones; 3 o'clock while too little is
    known."""
    local = zone_of(zone)
    seen: dict[int, list[float]] = defaultdict(list)
    for first, second in pairwise(samples[-_WINDOW:]):
        gap = second.at - first.at
        if 0 < gap <= _LONGEST:
            used = max(0, second.messages - first.messages) + max(0, second.queries - first.queries)
            middle = datetime.fromtimestamp((first.at + gap // 2) // SECOND, local)
            seen[middle.hour].append(used * INTERVAL / gap)
    uses = {hour: sum(values) / len(values) for hour, values in sorted(seen.items())}
    known = min((len(seen[hour]) for hour in range(24)), default=0)
    if known < _NEEDED:
        reason = (
            f"the statistics cover {len(uses)} of 24 hours, {_NEEDED} days are needed: {DEFAULT_HOUR}:00 until then"
        )
        return Quiet(DEFAULT_HOUR, reason, uses)
    hour = min(uses, key=lambda h: (uses[h], h))
    mean = sum(uses.values()) / len(uses)
    reason = f"{uses[hour]:.1f} messages and queries between {hour}:00 and {hour + 1}:00, {mean:.1f} in other hours"
    return Quiet(hour, f"{reason} (mean, {known} days, {zone})", uses)


def add_sample(folder: Path, name: str, taken: Sample) -> None:
    """Add a sample to the file of a canister."""
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps([taken.at, taken.messages, taken.queries]) + "\n"
    descriptor = os.open(folder / f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_samples(folder: Path, name: str) -> list[Sample]:
    """Return the samples of a canister, oldest first; torn lines are left out."""
    file = folder / f"{name}.jsonl"
    samples = []
    for line in file.read_text("utf-8", "replace").splitlines() if file.exists() else []:
        try:
            at, messages, queries = json.loads(line)
            samples.append(Sample(int(at), int(messages), int(queries)))
        except (ValueError, TypeError):
            continue
    return samples

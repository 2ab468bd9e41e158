"""What came of a run: one line of JSON, and a file in the OpenMetrics text format. Neither ever holds a secret."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sandbox.pagestore.durable_files import write_durably
from sandbox.principal import Principal

Line = dict[str, Any]
"""A line of the log: the facts of a report."""
LOG: Final = "log.jsonl"

SAFE: Final = {
    "connect": (
        "nothing was changed",
        "look whether the network can be reached and the key is right, then run it again",
    ),
    "resume": ("what an earlier run stored is safe", "run it again when the network answers"),
    "stop": ("no snapshot was taken", "run it again; `stop: false` takes the snapshot of the running canister"),
    "take": (
        "no snapshot was taken; earlier backups are safe",
        "at the limit of snapshots, delete one (snapshot delete) or set `delete: true`; then run it again",
    ),
    "start": ("the snapshot is safe at the network", "start the canister (canister start), or run it again"),
    "download": (
        "the snapshot is safe at the network, what was received is kept",
        "run it again: it goes on from there",
    ),
    "store": ("the snapshot is safe at the network", "make room on the disk, then run it again: it goes on from there"),
    "verify": ("the snapshot is safe at the network", "check the disk; then run it again"),
    "drill": (
        "the snapshot is safe at the network and in the repository; earlier backups were not given up",
        "look at the check that failed: the data of the canister, or the check, are not as expected",
    ),
    "delete": ("the backup is stored and proven", "delete the snapshot at the network by hand (snapshot delete)"),
    "retain": ("the backup is stored and proven; no other one was given up", "run it again"),
    "safety": ("the canister was not changed", "run it again"),
    "upload": (
        "the canister was not changed; its safety snapshot is at the network",
        "run it again: it goes on from there",
    ),
    "load": ("the safety snapshot is at the network", "load the safety snapshot (snapshot load), or run it again"),
    "check": ("the backup is loaded; the safety snapshot is at the network", "load the safety snapshot to go back"),
}
"""For each step that may fail: what is safe then, and what to do next."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was done. `seconds`: by the clock; `facts`: what was seen."""

    name: str
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one run for one canister. `at`: nanoseconds since 1970; `failed`: the step that failed, None if all
    went well; `stopped`: whether the canister may have been left stopped."""

    kind: str
    name: str
    canister_id: Principal
    at: int
    steps: tuple[Step, ...]
    snapshot: str | None = None
    content_id: str | None = None
    failed: str | None = None
    error: str | None = None
    stopped: bool = False

    @property
    def ok(self) -> bool:
        """Whether all went well."""
        return self.failed is None

    @property
    def safe(self) -> str | None:
        """What is safe after a failure."""
        return None if self.failed is None else SAFE[self.failed][0]

    @property
    def next(self) -> str | None:
        """What to do after a failure."""
        if self.failed is None:
            return None
        first = "THE CANISTER MAY BE STOPPED: canister start, or the next run, starts it; " if self.stopped else ""
        return first + SAFE[self.failed][1]

    @property
    def facts(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "canister_id": str(self.canister_id),
            "at": self.at,
            "ok": self.ok,
            "snapshot": self.snapshot,
            "content_id": self.content_id,
            "seconds": round(sum(step.seconds for step in self.steps), 3),
            "failed": self.failed,
            "error": self.error,
            "safe": self.safe,
            "next": self.next,
            "stopped": self.stopped,
            "steps": {step.name: {"seconds": round(step.seconds, 3), **step.facts} for step in self.steps},
        }


def append(path: Path, report: Report) -> None:
    """Add the report to the log, one line."""
    descriptor = os.open(path / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, (json.dumps(report.facts) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_log(path: Path) -> list[Line]:
    """Return the lines of the log, oldest first; a torn one is left out."""
    file = path / LOG
    if not file.exists():
        return []
    lines = []
    for line in file.read_text("utf-8", "replace").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


_METRICS: Final[tuple[tuple[str, str, str, Callable[[Line, Line | None], float]], ...]] = (
    ("backup_success", "gauge", "1 if the last run went well.", lambda last, good: int(last["ok"])),
    ("backup_last_run_timestamp_seconds", "gauge", "When the last run began.", lambda last, good: last["at"] / 1e9),
    (
        "backup_last_success_timestamp_seconds",
        "gauge",
        "When the last run that went well began.",
        lambda last, good: good["at"] / 1e9 if good else 0,
    ),
    ("backup_duration_seconds", "gauge", "How long the last run took.", lambda last, good: last["seconds"]),
    ("backup_canister_stopped", "gauge", "1 if it may be stopped.", lambda last, good: int(last["stopped"])),
)


def write_metrics(path: Path, log: list[Line]) -> None:
    """Write the newest results of each canister in the OpenMetrics text format; the file is replaced as a whole."""
    last = {line["canister_id"]: line for line in log if line["kind"] == "backup"}
    good = {line["canister_id"]: line for line in log if line["kind"] == "backup" and line["ok"]}
    lines = []
    for name, kind, text, value in _METRICS:
        lines += [f"# TYPE canister_{name} {kind}", f"# HELP canister_{name} {text}"]
        for canister, line in last.items():
            labels = f'canister="{canister}",name="{_escaped(line["name"])}"'
            lines.append(f"canister_{name}{{{labels}}} {value(line, good.get(canister))}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, ("\n".join([*lines, "# EOF"]) + "\n").encode(), 0o644)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

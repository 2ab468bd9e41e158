"""The story of one canister: fill, snapshot, break by upgrade, roll back, prove, go on, upgrade well."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.api import Canister, RawState, Sandbox, Snapshot
from sandbox.cli.demo.cast import BATCH, EDITS, PEOPLE, Role, person
from sandbox.cli.demo.facts import Answers, Step, compare, lost_fields, reject_text
from sandbox.errors import CallRejected, SandboxError


class Act:
    """The story of one canister. `activity` is called with the current activity, `report` with each finished step."""

    def __init__(
        self, role: Role, fixtures: Path, activity: Callable[[str], None], report: Callable[[Step], None]
    ) -> None:
        self.role = role
        self.fixtures = fixtures
        self.sandbox = Sandbox()
        self.activity = activity
        self.report = report

    def play(self) -> None:
        """Play all steps, from the first installation to the good upgrade."""
        with self.sandbox:
            try:
                self._play()
            except SandboxError as error:
                self.report(Step(f"aborted: {error}", 0, proof="whole story", holds=False))

    def _play(self) -> None:
        canister = self.sandbox.create_canister()
        self._fill(canister)
        snapshot, before, raw = self._snapshot(canister)
        self._upgrade_that_traps(canister, snapshot, raw)
        self._upgrade_that_drops(canister, snapshot, before, raw)
        self._work_on(canister, before)
        self._good_upgrade(canister)
        if self.role.pretraps is not None:
            self._pre_upgrade_that_traps(self.role.pretraps)

    def _module(self, name: str) -> Path:
        self.activity(name)
        return self.fixtures / name

    def _fill(self, canister: Canister) -> None:
        clock = _Clock()
        canister.install(self._module(self.role.v1))
        for first in range(0, PEOPLE, BATCH):
            self.activity(f"add_many: {first:,} of {PEOPLE:,} people")
            canister.call("add_many", [person(k) for k in range(first, min(first + BATCH, PEOPLE))])
        for index in range(EDITS):
            canister.call("set_age", index * 7, 30 + index)
        self._done(
            f"installed {self.role.v1}; {PEOPLE:,} people in {PEOPLE // BATCH} calls of add_many, {EDITS} ages edited",
            clock,
            people=PEOPLE,
            edits=EDITS,
        )

    def _snapshot(self, canister: Canister) -> tuple[Snapshot, Answers, RawState]:
        before, raw = Answers.of(canister), self.sandbox.raw_state(canister)
        clock = _Clock()
        snapshot = canister.take_snapshot(label="before v2")
        self._done(
            f"took snapshot 'before v2': {snapshot.total_size:,} bytes, nothing copied",
            clock,
            snapshot=snapshot.id.hex(),
            total_size=snapshot.total_size,
            checksum=snapshot.checksum,
        )
        return snapshot, before, raw

    def _upgrade_that_traps(self, canister: Canister, snapshot: Snapshot, raw: RawState) -> None:
        clock, reject = _Clock(), None
        try:
            canister.upgrade(self._module(self.role.traps))
        except CallRejected as error:
            reject = error
        seconds = clock.seconds()
        unchanged = self.sandbox.raw_state(canister) == raw
        self.report(
            Step(
                f"upgrade to {self.role.traps}: clears the data, then traps in post_upgrade",
                seconds,
                proof="trap undone",
                holds=reject is not None and unchanged,
                reject=reject,
                details=(_unchanged(unchanged, "after the trap"),),
            )
        )
        canister.call("set_age", 1, 99)
        self._roll_back(canister, snapshot, raw, "rolled back by load_snapshot after version 1 went on working")

    def _upgrade_that_drops(self, canister: Canister, snapshot: Snapshot, before: Answers, raw: RawState) -> None:
        clock = _Clock()
        canister.upgrade(self._module(self.role.drops))
        seconds = clock.seconds()
        after = Answers.of(canister)
        lost = lost_fields(before.people, after.people)
        details = [f"lost: {name} of {count:,} of {before.size:,} people" for name, count in lost.items()]
        details.append(
            f"edit_count was {before.edits}, is {after.edits}; checksum was {before.checksum}, is {after.checksum}"
        )
        example = sorted(lost)[:1]
        details += [
            f"person 7: {name} was {before.people[7][name]!r}, is {after.people[7][name]!r}" for name in example
        ]
        self.report(
            Step(
                f"upgrade to {self.role.drops}: succeeds, but loses data",
                seconds,
                proof="loss detected",
                holds=bool(lost) and after.checksum != before.checksum,
                details=tuple(details),
                numbers={"lost_fields": lost, "checksum_before": before.checksum, "checksum_after": after.checksum},
            )
        )
        canister.call("add_many", [person(k) for k in range(PEOPLE, PEOPLE + BATCH)])
        self._roll_back(
            canister, snapshot, raw, f"rolled back by load_snapshot after {BATCH} more people were added", proof=True
        )

    def _roll_back(
        self, canister: Canister, snapshot: Snapshot, raw: RawState, title: str, *, proof: bool = False
    ) -> None:
        broken = self.sandbox.raw_state(canister)
        clock = _Clock()
        canister.load_snapshot(snapshot.id)
        seconds = clock.seconds()
        parts = compare(raw, broken, self.sandbox.raw_state(canister))
        identical = all(part.identical for part in parts)
        self.report(
            Step(
                title,
                seconds,
                proof="rollback 2" if proof else "rollback 1",
                holds=identical and any(part.changed for part in parts),
                details=() if proof else (_unchanged(identical, "with the snapshot"),),
                parts=parts if proof else (),
            )
        )

    def _work_on(self, canister: Canister, before: Answers) -> None:
        clock = _Clock()
        newcomer = person(PEOPLE)
        new_id = canister.call("add", newcomer)
        added = canister.call("get", new_id)
        works = (
            new_id == before.size and added == {"id": new_id, **newcomer} and canister.call("size") == before.size + 1
        )
        self.report(
            Step(
                f"works on: person {new_id:,} added and read back, {before.edits} edits still counted",
                clock.seconds(),
                proof="works on",
                holds=works and canister.call("edit_count") == before.edits,
            )
        )

    def _good_upgrade(self, canister: Canister) -> None:
        before = Answers.of(canister)
        clock = _Clock()
        canister.upgrade(self._module(self.role.good))
        seconds = clock.seconds()
        after = Answers.of(canister)
        lost, active = lost_fields(before.people, after.people), canister.call("active_count")
        kept = not lost and (after.size, after.checksum, after.edits) == (before.size, before.checksum, before.edits)
        self.report(
            Step(
                f"upgrade to {self.role.good}: nothing is lost",
                seconds,
                proof="good upgrade",
                holds=kept and active == after.size,
                details=(
                    f"all fields of {after.size:,} people are kept, {active:,} of them gain active = true",
                    f"edit_count was {before.edits}, is {after.edits}; "
                    f"checksum was {before.checksum}, is {after.checksum}",
                ),
                numbers={"checksum": after.checksum, "records": after.size, "active": active, "lost_fields": lost},
            )
        )

    def _pre_upgrade_that_traps(self, name: str) -> None:
        """Play the upgrade of a second canister, whose pre_upgrade traps."""
        canister = self.sandbox.create_canister()
        canister.install(self._module(name))
        canister.call("add_many", [person(k) for k in range(BATCH)])
        before, raw = Answers.of(canister), self.sandbox.raw_state(canister)
        clock, reject = _Clock(), None
        try:
            canister.upgrade(self._module(self.role.good))
        except CallRejected as error:
            reject = error
        seconds = clock.seconds()
        unchanged = self.sandbox.raw_state(canister) == raw
        skipped = self._skip_pre_upgrade(canister, before)
        undone = self.sandbox.raw_state(canister) == raw
        canister.call("set_pretrap", False)
        canister.upgrade(self._module(self.role.good))
        kept = not lost_fields(before.people, Answers.of(canister).people)
        self.report(
            Step(
                f"upgrade from {name}: clears the data, then traps in pre_upgrade",
                seconds,
                proof="pre_upgrade trap",
                holds=reject is not None and unchanged and undone and kept,
                reject=reject,
                details=(
                    _unchanged(unchanged, "after the trap"),
                    f"tried with skip_pre_upgrade, within sb.anchor(): {skipped}",
                    _unchanged(undone, "after the anchor"),
                    "with the trap switched off, the upgrade " + ("keeps all" if kept else "LOSES data"),
                ),
                numbers={"skip_pre_upgrade": skipped},
            )
        )

    def _skip_pre_upgrade(self, canister: Canister, before: Answers) -> str:
        """Upgrade with skip_pre_upgrade, undo it, and return a text about the remaining data."""
        with self.sandbox.anchor():
            try:
                canister.upgrade(self._module(self.role.good), skip_pre_upgrade=True)
                left = canister.call("size")
            except CallRejected as error:
                return f"rejected, {error.error_code}: {reject_text(error)}"
        if left == before.size:
            return f"the upgrade succeeds, all {left:,} people are there (they live in the heap, which is kept)"
        return f"the upgrade succeeds, {left:,} of {before.size:,} people are there: pre_upgrade did not save them"

    def _done(self, title: str, clock: _Clock, **numbers: Any) -> None:
        self.report(Step(title, clock.seconds(), numbers=numbers))


class _Clock:
    def __init__(self) -> None:
        self._start = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._start


def _unchanged(same: bool, when: str) -> str:
    result = "identical" if same else "DIFFERENT"
    return f"{when}: module, globals, heap and stable memory {result}, byte for byte"

"""Operations on time and state: clock, rounds, anchors, saving, the hash."""

from __future__ import annotations

from datetime import UTC, datetime

from sandbox.http.admin import model
from sandbox.http.admin.desk import Desk
from sandbox.http.answer import Refused
from sandbox.units import nanoseconds

_MOST = 1 << 63
_STEPS = 10_000


def show_time(desk: Desk, _: model.Nothing) -> model.Time:
    """Show the time."""
    due = desk.sandbox.next_due
    return model.Time(
        time=str(desk.sandbox.time), at=date(desk.sandbox.time), next_due=None if due is None else str(due)
    )


def date(time: int) -> str:
    """A time in nanoseconds since 1970 as a date in UTC, to the second."""
    return datetime.fromtimestamp(min(time, 253_402_300_799 * 10**9) // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def advance_time(desk: Desk, asked: model.Advance) -> model.Time:
    """Let time pass. Nothing runs by itself."""
    return _travel(desk, desk.sandbox.time + span_of(asked.by))


def set_time(desk: Desk, asked: model.SetTime) -> model.Time:
    """Move the time forward."""
    return _travel(desk, int(asked.to))


def _travel(desk: Desk, time: int) -> model.Time:
    if time < desk.sandbox.time:
        raise Refused(409, f"time never goes back: it is {desk.sandbox.time}")
    if time >= _MOST:
        raise Refused(400, "a time has 63 bits")
    desk.replica.travel(time)
    return show_time(desk, model.Nothing())


def span_of(text: str) -> int:
    """A duration in nanoseconds; `Refused` for any other text."""
    span = nanoseconds(text)
    if span is None:
        raise Refused(400, f"{text!r} is not a duration such as 500ms, 90s, 5m, 2h or 1d")
    return span


def tick(desk: Desk, asked: model.Tick) -> model.RoundsDone:
    """Execute rounds: due timers and heartbeats, then messages."""
    desk.sandbox.tick(asked.rounds)
    return model.RoundsDone(rounds=asked.rounds, time=str(desk.sandbox.time))


def run(desk: Desk, asked: model.Run) -> model.RoundsDone:
    """Execute rounds until no message and no due timer is left, and let time pass meanwhile."""
    span, step = span_of(asked.span), None if asked.step is None else span_of(asked.step)
    if step == 0:
        raise Refused(400, "a step is longer than nothing")
    if step is not None and span > step * _STEPS:
        raise Refused(400, f"at most {_STEPS:,} steps at once")
    if desk.sandbox.time + span >= _MOST:
        raise Refused(400, "a time has 63 bits")
    rounds = desk.sandbox.run_for(nanoseconds=span, step=None if step is None else step / 10**9)
    desk.replica.arrived()
    return model.RoundsDone(rounds=rounds, time=str(desk.sandbox.time))


def list_anchors(desk: Desk, _: model.Nothing) -> model.Anchors:
    """List the open anchors."""
    return model.Anchors(
        anchors=[model.Anchor(anchor=one.number, label=one.label, time=str(one.time)) for one in desk.anchors]
    )


def begin_anchor(desk: Desk, asked: model.BeginAnchor) -> model.Anchor:
    """Open an anchor: what is done from now on is undone when it ends, or when the server ends. Until then nothing is
    saved."""
    made = desk.begin_anchor(asked.label)
    return model.Anchor(anchor=made.number, label=made.label, time=str(made.time))


def end_anchor(desk: Desk, asked: model.OfAnchor) -> model.Done:
    """End an anchor, and those that were opened inside it: everything since is undone."""
    if not desk.undo(asked.anchor):
        raise Refused(404, f"there is no open anchor {asked.anchor}")
    return model.Done()


def show_state(desk: Desk, _: model.Nothing) -> model.State:
    """Show the sandbox as a whole."""
    sandbox = desk.sandbox
    return model.State(
        time=str(sandbox.time),
        at=date(sandbox.time),
        canisters=len(sandbox.canisters()),
        snapshots=len(sandbox.snapshots.list()),
        anchors=len(desk.anchors),
        saving=desk.saving,
        unsaved=desk.unsaved(),
        root_key=sandbox.root_key.hex(),
        subnet_id=str(sandbox.subnet_id),
    )


def state_hash(desk: Desk, _: model.Nothing) -> model.StateHash:
    """Compute the hash of the whole state."""
    return model.StateHash(state_hash=desk.sandbox.state_hash())


def save(desk: Desk, _: model.Nothing) -> model.Done:
    """Save the state; refused while an anchor is open."""
    if desk.anchors:
        raise Refused(409, "an anchor is open: nothing is saved until it ends")
    desk.save()
    return model.Done()


def make_link(desk: Desk, _: model.Nothing) -> model.Link:
    """Make an address of the console that is good for one visit."""
    return model.Link(url=desk.link())

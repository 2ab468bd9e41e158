"""What pages show, read in the thread that uses the sandbox."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from sandbox.candid import Interface
from sandbox.errors import SandboxError
from sandbox.http.admin import canisters, model, snapshots, time
from sandbox.http.admin.desk import Desk
from sandbox.snapshots.diff.picture import STYLE, FateMap
from sandbox.snapshots.inspect import picture

_POINTS = 1 << 16
"""Most points of a map."""


@dataclass(frozen=True)
class Overview:
    """What the first page shows."""

    state: model.State
    canisters: list[model.Canister]
    snapshots: list[model.Snapshot]
    anchors: list[model.Anchor]
    next_due: str | None


@dataclass(frozen=True)
class CanisterFacts:
    """What the page of a canister shows. `interface`: None if it carries none."""

    state: model.State
    canister: model.Canister
    interface: Interface | None
    snapshots: list[model.Snapshot]
    logs: list[model.LogRecord]


@dataclass(frozen=True)
class DiffFacts:
    """What the page of a difference shows. `maps`: PNG in base 64, and how many pages a point stands for."""

    state: model.State
    difference: model.Difference
    maps: dict[str, tuple[str, int]]


def overview(desk: Desk) -> Overview:
    """Read what the first page shows."""
    nothing = model.Nothing()
    due = time.show_time(desk, nothing).next_due
    return Overview(
        state=time.show_state(desk, nothing),
        canisters=canisters.list_canisters(desk, nothing).canisters,
        snapshots=snapshots.list_snapshots(desk, model.ListSnapshots()).snapshots,
        anchors=time.list_anchors(desk, nothing).anchors,
        next_due=None if due is None else time.date(int(due)),
    )


def canister_facts(desk: Desk, which: str) -> CanisterFacts:
    """Read what the page of a canister shows."""
    asked = model.OfCanister(canister=which)
    try:
        interface = canisters.interface_with_text(desk.sandbox.canister(which))[1]
    except SandboxError:
        interface = None
    return CanisterFacts(
        state=time.show_state(desk, model.Nothing()),
        canister=canisters.show_canister(desk, asked),
        interface=interface,
        snapshots=snapshots.list_snapshots(desk, model.ListSnapshots(canister=which)).snapshots,
        logs=canisters.show_logs(desk, asked).logs,
    )


def diff_facts(desk: Desk, old: str, new: str | None) -> DiffFacts:
    """Read what the page of a difference shows."""
    asked = model.Compare(old=old, new=new or None, limit=50)
    diff = snapshots.difference(desk, asked)
    maps = {}
    for name, memory in (("heap", diff.heap), ("stable memory", diff.stable)):
        if memory:
            image, each = picture.drawn(FateMap(memory), STYLE, _POINTS)
            written = io.BytesIO()
            image.save(written, "PNG")
            maps[name] = base64.b64encode(written.getvalue()).decode(), each
    return DiffFacts(time.show_state(desk, model.Nothing()), snapshots.compare(desk, asked), maps)

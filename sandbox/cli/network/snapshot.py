"""The commands `snapshot take`, `load`, `list`, `delete`, `download` and `upload` at a network.

A snapshot is given by its id, the id's first digits, `CANISTER:latest`, or CANISTER:NUMBER as `snapshot list` shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.text import Text

from sandbox.cli.app import App, Misuse
from sandbox.cli.interrupt import interruptible, saying
from sandbox.cli.network.connection import agent_of, principal, remote_of
from sandbox.cli.render import output
from sandbox.cli.snapshot.transfer import bar
from sandbox.management.snapshot_rules import owner_id
from sandbox.network import download as downloads
from sandbox.network import upload as uploads
from sandbox.network.remote import Remote, RemoteSnapshot
from sandbox.principal import Principal
from sandbox.snapshots import portable

_ID = 2 * 8
"""Digits of a snapshot's number, before the canister's id."""


def take(app: App, canister: str, label: str | None, keep: int | None, via_hooks: bool, no_stop: bool) -> None:
    """Take a snapshot; a running canister is stopped meanwhile."""
    _only_here({"--label": label, "--keep": keep, "--via-hooks": via_hooks})
    with remote_of(app, canister) as remote, _stopped(remote, no_stop):
        taken = remote.take()
    app.emit(
        _facts(taken, remote.id),
        Text.assemble(("taken ", "green"), f"snapshot {taken.id.hex()} of {remote.id}, {taken.total_size:,} bytes"),
    )


def load(app: App, canister: str, which: str | None, no_stop: bool, **options: Any) -> None:
    """Load a snapshot; a running canister is stopped meanwhile."""
    _only_here({f"--{name.replace('_', '-')}": value for name, value in options.items()})
    with remote_of(app, canister) as remote:
        chosen = _chosen(remote, which)
        with _stopped(remote, no_stop):
            remote.load(chosen)
    app.emit(
        {"canister_id": remote.id, "loaded": chosen},
        Text.assemble(("loaded ", "green"), f"snapshot {chosen.hex()} into {remote.id}"),
    )


def list_(app: App, canister: str | None) -> None:
    """List the snapshots of a canister."""
    if canister is None:
        raise Misuse("at a network, give the CANISTER whose snapshots to list")
    with remote_of(app, canister) as remote:
        listed = remote.snapshots()
    rows = [
        (s.id.hex(), f"{remote.id}:{number}", output.date(s.taken_at), output.size(s.total_size))
        for number, s in enumerate(listed, 1)
    ]
    facts = [_facts(snapshot, remote.id) for snapshot in listed]
    app.emit(facts, output.Listing(("id", "short", "taken", "size"), rows, ("size",)) if rows else "No snapshots.")


def delete(app: App, which: str) -> None:
    """Delete a snapshot."""
    with _located(app, which) as (remote, chosen):
        remote.delete(chosen)
    app.emit({"deleted": chosen}, Text.assemble(("deleted ", "green"), f"snapshot {chosen.hex()}"))


def download(app: App, which: str, path: Path, form: str | None) -> None:
    """Download a snapshot and verify it."""
    kept = f"{path}{downloads.FOLDER} is kept; run it again to go on"
    with _located(app, which) as (remote, chosen), bar(app, "downloading") as progress, saying(kept):
        content = downloads.download(remote, chosen, path, form, progress)
    app.emit(
        {"id": chosen, "canister_id": remote.id, "path": str(path), "content_id": content},
        Text.assemble(("downloaded ", "green"), f"snapshot {chosen.hex()} to {path}, content id {content}"),
    )


def upload(app: App, canister: str, path: Path, keep_time: bool) -> None:
    """Upload a snapshot from a file or directory."""
    _only_here({"--keep-time": keep_time})
    log = path.with_name(path.name + uploads.LOG)
    with (
        portable.opened(path) as content,
        remote_of(app, canister) as remote,
        bar(app, "uploading") as progress,
        saying("run it again to go on"),
    ):
        made = uploads.upload(remote, content, log, progress)
    app.emit(
        {"id": made, "canister_id": remote.id, "path": str(path)},
        Text.assemble(("uploaded ", "green"), f"snapshot {made.hex()} of {remote.id} from {path}"),
    )


@contextmanager
def _stopped(remote: Remote, no_stop: bool) -> Iterator[None]:
    """Stop a running canister for the block, and start it again, also after an error or Ctrl-C."""
    if no_stop or remote.state() != "running":
        yield
        return
    with interruptible():
        try:
            remote.stop()
            yield
        finally:
            remote.start()


@contextmanager
def _located(app: App, which: str) -> Iterator[tuple[Remote, bytes]]:
    """Find the canister and the snapshot that a text names."""
    owner, separator, rest = which.rpartition(":")
    with agent_of(app) as agent:
        remote = Remote(agent, principal(owner) if separator else _owner(which))
        yield remote, _chosen(remote, rest)


def _owner(text: str) -> Principal:
    try:
        return owner_id(bytes.fromhex(text))
    except ValueError:
        raise Misuse(f"at a network a snapshot is given by its whole id, or as CANISTER:NUMBER, not {text!r}") from None


def _chosen(remote: Remote, which: str | None) -> bytes:
    """Return the id of one of the snapshots of a canister."""
    listed = remote.snapshots()
    names = ", ".join(snapshot.id.hex() for snapshot in listed) or "none"
    if which is None and len(listed) == 1:
        return listed[0].id
    if which == "latest" and listed:
        return listed[-1].id
    if which is not None and which.isdigit() and len(which) < _ID and 0 < int(which) <= len(listed):
        return listed[int(which) - 1].id
    matching = [snapshot.id for snapshot in listed if which and snapshot.id.hex().startswith(which)]
    if len(matching) != 1:
        raise Misuse(f"which snapshot of {remote.id}? There are: {names}")
    return matching[0]


def _facts(snapshot: RemoteSnapshot, canister_id: Principal) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "canister_id": canister_id,
        "taken_on": snapshot.taken_at,
        "total_size": snapshot.total_size,
    }


def _only_here(options: dict[str, Any]) -> None:
    """Misuse for options that only the sandbox has."""
    given = [name for name, value in options.items() if value]
    if given:
        raise Misuse(f"{given[0]} is the sandbox's own: a network has no such option")

"""Completion in the shell: names of canisters; labels and short names of snapshots.

Everything is imported late: the options of every command import this, and only a shell that completes needs more.
"""

from __future__ import annotations

from pathlib import Path

import click


def canisters(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of canisters that begin so; read from their file alone."""
    from sandbox.api.names import Names  # imported late, see above
    from sandbox.errors import SandboxError

    try:
        names = Names(_state(ctx)).known()
    except SandboxError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def snapshots(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The labels and short names of snapshots that begin so."""
    from sandbox.api import Sandbox, resolver  # imported late, see above
    from sandbox.errors import SandboxError

    path = _state(ctx)
    if path is None or not path.exists():
        return []
    texts: list[str] = []
    try:
        with Sandbox.open(path, read_only=True, lock_timeout=0) as sandbox:
            for canister in sandbox.canisters():
                for snapshot in canister.list_snapshots():
                    texts += [f"{canister.name or canister.id}:{resolver.number_of(snapshot.id)}", snapshot.label or ""]
    except SandboxError:
        return []
    return [text for text in dict.fromkeys(texts) if text and text.startswith(incomplete)]


def _state(ctx: click.Context) -> Path | None:
    """The state directory of the command that is being completed."""
    path = getattr(ctx.find_root().obj, "state", None)
    return path if isinstance(path, Path) else None

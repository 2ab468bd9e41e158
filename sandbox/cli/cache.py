"""The commands `cache info` and `cache clear`: compiled code on disk."""

from __future__ import annotations

import click
from rich.text import Text

from sandbox.cli.app import App, Group, with_app
from sandbox.cli.render import output
from sandbox.engine import cache as code


@click.group(cls=Group)
def cache() -> None:
    """Show or delete the compiled code that is kept on disk.

    It is in ~/.cache/canister-sandbox/code, or where CANISTER_SANDBOX_CACHE says. It takes at most 1 GiB, or
    CANISTER_SANDBOX_CACHE_LIMIT MiB: what was not used for longest is deleted first.
    """


@cache.command()
@with_app
def info(app: App) -> None:
    """Show where the cache is, its size and its limit."""
    where, most = code.directory(), code.limit()
    entries = code.entries(where)
    size = sum(entry.size for entry in entries)
    app.emit(
        {"directory": str(where), "modules": len(entries), "bytes": size, "limit": most},
        output.fields({"directory": str(where), "modules": len(entries), "size": _of(size, most)}),
    )


@cache.command()
@with_app
def clear(app: App) -> None:
    """Delete all compiled code. Modules are compiled again when they are used next."""
    gone = code.trim(code.directory(), 0)
    size = sum(entry.size for entry in gone)
    app.emit({"deleted": len(gone), "bytes": size}, Text(f"deleted {len(gone)} modules, {output.size(size)}"))


def _of(size: int, most: int) -> str:
    return f"{output.size(size)} of {output.size(most)}"

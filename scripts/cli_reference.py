"""Write `sandbox/cli/REFERENCE.md`, every command with its help, from the commands themselves.

`python -m scripts.cli_reference` writes the file; tests/cli/test_reference.py compares it with `reference()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from sandbox.cli import root

FILE = Path(__file__).parent.parent / "sandbox" / "cli" / "REFERENCE.md"
_WIDTH = 100
_HEAD = """# Command line reference

Written by `python -m scripts.cli_reference` from the commands; do not edit. Every command also takes the options of
`canister-sandbox` itself (`--state`, `--as`, `--output`, `--lock-timeout`), at any place.
"""


def reference() -> str:
    """Return the whole file as Markdown: one section for each command, in alphabetical order."""
    return "\n".join([_HEAD, *(text for _, text in sorted(_sections(root, "canister-sandbox", None)))])


def _sections(command: click.Command, path: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    """Yield (path, Markdown) of a command and of all commands below it."""
    name = path.rsplit(" ", 1)[-1]
    with click.Context(
        command, info_name=name, parent=parent, terminal_width=_WIDTH, **command.context_settings
    ) as context:
        yield path, f"## {path}\n\n```text\n{command.get_help(context)}\n```\n"
        if isinstance(command, click.Group):
            for child_name in command.list_commands(context):
                child = command.get_command(context, child_name)
                if child is not None and not child.hidden:
                    yield from _sections(child, f"{path} {child_name}", context)


if __name__ == "__main__":
    FILE.write_text(reference(), "utf-8")

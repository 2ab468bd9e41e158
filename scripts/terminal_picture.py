"""Draw a real terminal session as SVG: `python scripts/terminal_picture.py OUT.svg [--until TEXT] -- COMMAND...`.

The command runs in a pseudo-terminal of 100 columns, so that it prints as it does for people, with colours. What it
prints is drawn by rich, without spinners and cursor movements; `--until` cuts before the first line with that text.
"""

from __future__ import annotations

import argparse
import io
import os
import pty
import re
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100
_ERASE = re.compile(r"(?:[^\n]*\r|\x1b\[\d*[AK]|\x1b\[\?25[lh])")
"""A line that was written over (a spinner), and movements of the cursor."""
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Fonts that a browser would load from elsewhere; its own monospace font will do."""


def session(command: list[str]) -> str:
    """Run `command` in a pseudo-terminal and return everything printed, with its colours. `SystemExit` if it fails."""
    printed = bytearray()

    def read(fd: int) -> bytes:
        data = os.read(fd, 65536)
        printed.extend(data)
        return data

    os.environ |= {"COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    status = pty.spawn(command, read)
    if status:
        raise SystemExit(f"{shlex.join(command)} ended with status {status}")
    return printed.decode(errors="replace")


def picture(text: str, command: list[str], until: str | None) -> str:
    """The session as SVG, below a prompt with its command."""
    plain = _ERASE.sub("", text.replace("\r\n", "\n"))
    lines = plain.split("\n")
    if until is not None:
        lines = lines[: next((n for n, line in enumerate(lines) if until in line), len(lines))]
    body = "\n".join(lines).strip("\n")
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "dim"), (shlex.join(command), "bold")))
    console.print(Text.from_ansi(body))
    return _FONTS.sub("", console.export_svg(title=command[0], unique_id="session"))


def main() -> None:
    split = sys.argv.index("--")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--until")
    options = parser.parse_args(sys.argv[1:split])
    command = sys.argv[split + 1 :]
    options.out.write_text(picture(session(command), command, options.until))


if __name__ == "__main__":
    main()

"""The command line reference agrees with the commands."""

from __future__ import annotations

import re

from scripts.cli_reference import FILE, reference


def test_reference_is_the_help_of_every_command() -> None:
    """Without white space: versions of click break lines differently."""
    assert "".join(FILE.read_text("utf-8").split()) == "".join(reference().split()), (
        "run python -m scripts.cli_reference"
    )


def test_no_line_of_a_list_of_commands_is_cut() -> None:
    """Only an argument that may be repeated ends in dots, such as `FILE...`."""
    assert "..." not in re.sub(r"[A-Z]+\]?\.\.\.", "", reference())

"""The options `--profile` and `--coverage` of commands that execute a canister."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from sandbox.cli.app import App, F, Misuse, Session
from sandbox.cli.render import output
from sandbox.cli.render.profile import render_coverage, render_profile
from sandbox.errors import CallRejected
from sandbox.profile import FORMATS, Profile

_TABLE = "-"
_ENDINGS = ", ".join(FORMATS)


_PROFILE = click.option(
    "--profile",
    metavar="FILE",
    help=f"Count instructions by function: a table, and FILE, which ends in {_ENDINGS}; - is the table alone.",
)
_COVERAGE = click.option("--coverage", is_flag=True, help="List the functions of the modules that were executed.")


def profile_options(function: F) -> F:
    """Add `--profile` and `--coverage`, which are passed as `profile` and `coverage`."""
    return profile_option(_COVERAGE(function))


def profile_option(function: F) -> F:
    """Add `--profile`, which is passed as `profile`."""
    return _PROFILE(function)


@dataclass
class Profiled:
    """What to do with the profile of a command, and afterwards the facts and parts of its output."""

    file: str | None = None
    coverage: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    parts: list[RenderableType] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.file not in (None, _TABLE) and not str(self.file).endswith(tuple(FORMATS)):
            raise Misuse(f"the file of --profile ends in {_ENDINGS}, or is -")

    @contextmanager
    def during(self, app: App, session: Session) -> Iterator[None]:
        """Profile what is executed within, if an option says so; also of a call that was rejected."""
        if self.file is None and not self.coverage:
            yield
            return
        with session.sandbox.profile() as profile:
            try:
                yield
            except CallRejected:
                self.finish(profile)
                if not app.json and profile.executions:
                    output.show(*self.parts, Text())
                raise
        self.finish(profile)

    def finish(self, profile: Profile) -> None:
        """Write the file, and make the facts and parts."""
        if self.file is not None:
            if self.file != _TABLE:
                profile.save(Path(self.file))
            facts, parts = render_profile(profile)
            self.facts["profile"] = facts
            self.parts += [Text(), *parts]
        if self.coverage:
            facts, parts = render_coverage(profile.coverage())
            self.facts |= facts
            self.parts += [Text(), *parts]

"""`snapshot verify` of a file or a directory: everything is read, and compared with the checksums that it carries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from sandbox.cli.render import output
from sandbox.errors import SnapshotFileCorrupt
from sandbox.snapshots import portable


@dataclass(frozen=True)
class VerifiedFile:
    """`checksums`: whether all bytes have one; in a directory that another tool made, only sizes and chunks can be
    checked. `why`: what is not as it should be."""

    path: Path
    checksums: bool
    why: str | None

    @property
    def intact(self) -> bool:
        return self.why is None

    @property
    def facts(self) -> dict[str, Any]:
        return {"file": str(self.path), "intact": self.intact, "checksums": self.checksums, "why": self.why}

    @property
    def told(self) -> Text:
        if self.why is not None:
            return Text(output.one_line(self.why), "bold red")
        plain = "" if self.checksums else ", as far as can be told: it carries no checksums"
        return Text.assemble(str(self.path), "  ", ("intact", "green"), plain)


def verified_file(path: Path, progress: portable.Progress | None) -> VerifiedFile:
    """Read all of it. A file that is not there is an error of the caller; one that is damaged is an answer."""
    checksums = True
    try:
        with portable.opened(path) as content:
            checksums = path.is_file() or bool(content.sums)
            portable.verify(content, progress)
    except SnapshotFileCorrupt as error:
        return VerifiedFile(path, checksums, str(error))
    return VerifiedFile(path, checksums, None)

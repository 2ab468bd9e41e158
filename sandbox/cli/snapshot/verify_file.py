"""`snapshot verify` of a file or a directory: read every byte and compare it with the checksums in the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from sandbox.cli.render import output
from sandbox.errors import SnapshotFileCorrupt
from sandbox.snapshots import portable
from sandbox.snapshots.content_id import content_id


@dataclass(frozen=True)
class VerifiedFile:
    """The result of verifying one file or directory.

    `checksums`: whether the file has checksums of all bytes; in a directory of another tool, only sizes and chunks can
    be checked. `why`: the fault, or None. `content_id`: None if there is a fault.
    """

    path: Path
    checksums: bool
    why: str | None
    content_id: str | None = None

    @property
    def intact(self) -> bool:
        return self.why is None

    @property
    def facts(self) -> dict[str, Any]:
        facts = {"file": str(self.path), "intact": self.intact, "checksums": self.checksums, "why": self.why}
        return facts | {"content_id": self.content_id}

    @property
    def text(self) -> Text:
        if self.why is not None:
            return Text(output.one_line(self.why), "bold red")
        plain = "" if self.checksums else ", as far as sizes and chunks show: it carries no checksums"
        return Text.assemble(str(self.path), "  ", ("intact", "green"), plain, f"  content id {self.content_id}")


def verified_file(path: Path, progress: portable.Progress | None) -> VerifiedFile:
    """Read and check all bytes. A damaged file is a result with `why`; SnapshotFileError if it does not exist."""
    checksums = True
    try:
        with portable.opened(path) as content:
            checksums = path.is_file() or bool(content.sums)
            portable.verify(content, progress)
            known = content_id(content)
    except SnapshotFileCorrupt as error:
        return VerifiedFile(path, checksums, str(error))
    return VerifiedFile(path, checksums, None, known)

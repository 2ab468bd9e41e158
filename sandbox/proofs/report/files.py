"""Report files: refused before a proof runs if they cannot be written, and written as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sandbox.pagestore.durable_files import put_in_place


def check_writable(paths: Iterable[Path]) -> None:
    """OSError that names the first path that cannot become a file, or be replaced: no such directory, no permission."""
    for path in paths:
        folder = path.parent
        if path.is_dir():
            raise IsADirectoryError(f"{path} cannot be written: it is a directory")
        if not folder.is_dir():
            raise FileNotFoundError(f"{path} cannot be written: there is no directory {folder}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{path} cannot be written: no permission to write in {folder}")


def write_report(path: Path, text: str) -> None:
    """Replace a file with `text` in UTF-8, atomically: an interrupted run leaves the old file."""
    put_in_place(path, text.encode("utf-8", "backslashreplace"), 0o644)

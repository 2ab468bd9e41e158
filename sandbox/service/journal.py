"""The journal of one canister: a file from which the next run learns what an interrupted run had begun.

It is written, durably, before each step that changes something at the network, and deleted when nothing is left to do.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from sandbox.memory.host import sync
from sandbox.pagestore.durable_files import write_durably
from sandbox.service.failure import BackupError


@dataclass(frozen=True, slots=True)
class Entry:
    """What was begun. `stopped`: the canister was running and has been asked to stop; `before`: the snapshots at the
    network, hexadecimal, when one was about to be taken, None if none was; `snapshot`: the one taken; `guessed`:
    whether it is only known as new at the network, and may be of somebody else; `stored`: whether it is in the
    repository."""

    stopped: bool = False
    before: tuple[str, ...] | None = None
    snapshot: str | None = None
    guessed: bool = False
    stored: bool = False


class Journal:
    """The journal in a file. `entry`: what the file says, with which every method agrees."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.entry = _read(file)

    @property
    def empty(self) -> bool:
        """Whether nothing is unfinished."""
        return self.entry == Entry()

    def note(self, **changes: Any) -> None:
        """Change the entry; it is on the disk when this returns."""
        entry = replace(self.entry, **changes)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self._file, json.dumps(asdict(entry)).encode())
        self.entry = entry

    def clear(self) -> None:
        """Note that nothing is left to do."""
        with suppress(FileNotFoundError):
            self._file.unlink()
            sync(self._file.parent)
        self.entry = Entry()


def _read(file: Path) -> Entry:
    try:
        record = json.loads(file.read_bytes())
        known = {field.name: record[field.name] for field in fields(Entry)}
    except FileNotFoundError:
        return Entry()
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(
            f"{file} is damaged ({error}): look whether the canister runs (canister status), then delete the file"
        ) from None
    before = known["before"]
    return Entry(**(known | {"before": None if before is None else tuple(before)}))

"""The notices of one sandbox: `maintenance.json` in the state directory, replaced by rename.

The file is no part of the state: it needs no lock, and a server reads it again when it has changed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from sandbox.errors import PrincipalError, StateCorrupt
from sandbox.http.maintenance.notice import ACTIVE, LATEST, OVER, Notice
from sandbox.pagestore.durable_files import write_durably
from sandbox.principal import Principal

FILE: Final = "maintenance.json"
VERSION: Final = 1
LOG: Final = logging.getLogger("canister_sandbox.http")


def read_notices(directory: Path) -> dict[Principal, Notice]:
    """The notices in a state directory, none if there is no file; `StateCorrupt` if it is damaged."""
    file = directory / FILE
    try:
        content = json.loads(file.read_text("utf-8"))
        if content["version"] != VERSION:
            raise StateCorrupt(f"{file} is of version {content['version']}, and only {VERSION} is known")
        notices = [_notice(fields) for fields in content["notices"]]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, PrincipalError) as error:
        raise StateCorrupt(f"{file} is damaged: {error!r}") from error
    return {notice.canister_id: notice for notice in notices}


def write_notices(directory: Path, notices: Iterable[Notice]) -> None:
    """Replace the notices of a state directory, as a whole."""
    rows = [
        {
            "canister_id": str(notice.canister_id),
            "begins": notice.begins,
            "ends": notice.ends,
            "message": notice.message,
            "page": notice.page,
        }
        for notice in notices
    ]
    write_durably(directory / FILE, (json.dumps({"version": VERSION, "notices": rows}, indent=2) + "\n").encode())


def _notice(fields: Mapping[str, Any]) -> Notice:
    canister_id, begins, ends = Principal.from_text(fields["canister_id"]), fields["begins"], fields["ends"]
    message, page = fields["message"], fields["page"]
    if not (isinstance(begins, int) and isinstance(ends, int) and isinstance(message, str)):
        raise ValueError("a time is no number, or a message no text")
    if not 0 <= begins < ends <= LATEST:
        raise ValueError("the times are no times, or it ends before it begins")
    if not (page is None or isinstance(page, str)):
        raise ValueError("a page is no text")
    return Notice(canister_id, begins, ends, message, page)


class Notices:
    """The notices as a server sees them. `directory`: None for a sandbox in memory, which has none."""

    def __init__(self, directory: Path | None, clock: Callable[[], int] = time.time_ns) -> None:
        self._directory = directory
        self.clock = clock
        self._read: dict[Principal, Notice] = {}
        self._stamp: tuple[int, int, int] | None = None

    def of(self, canister_id: Principal) -> Notice | None:
        """The notice of a canister that is not over."""
        notice = self._current().get(canister_id)
        return None if notice is None or notice.status(self.clock()) == OVER else notice

    def closed(self, canister_id: Principal) -> Notice | None:
        """The notice of a canister that is under maintenance now."""
        notice = self.of(canister_id)
        return notice if notice is not None and notice.status(self.clock()) == ACTIVE else None

    def _current(self) -> dict[Principal, Notice]:
        """The notices in the file; what was read last if it is damaged."""
        stamp = self._stamp_of_file()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._read = {} if self._directory is None else read_notices(self._directory)
            except StateCorrupt as error:
                LOG.error("%s; maintenance goes on as it was", error)
        return self._read

    def _stamp_of_file(self) -> tuple[int, int, int] | None:
        if self._directory is None:
            return None
        try:
            found = (self._directory / FILE).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

"""Names of canisters: `names.json` in the state directory, from name to id; replaced by rename."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from sandbox.errors import PrincipalError, StateCorrupt
from sandbox.pagestore.durable_files import write_durably
from sandbox.principal import Principal

FILE = "names.json"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")


class Names:
    """The names of the canisters of one sandbox, kept in `directory` if there is one; read when first needed, which is
    while the state directory is locked.

    Names are taken back with the calls and anchors that gave them. They are no part of the subnet: state hashes,
    records and the platform know nothing of them.
    """

    def __init__(self, directory: Path | None) -> None:
        self._file = None if directory is None else directory / FILE
        self._ids: Mapping[str, Principal] | None = None
        self._saved: Mapping[str, Principal] | None = None

    @property
    def ids(self) -> Mapping[str, Principal]:
        """The canisters by their names; `StateCorrupt` if the file is damaged."""
        if self._ids is None:
            self._ids = self._saved = {} if self._file is None else _read(self._file)
        return self._ids

    def prune(self, existing: Collection[Principal]) -> None:
        """Forget names of canisters that do not exist."""
        self._ids = {name: canister_id for name, canister_id in self.ids.items() if canister_id in existing}

    def get(self, name: str) -> Principal | None:
        """The canister with this name, if there is one."""
        return self.ids.get(name)

    def of(self, canister_id: Principal) -> str | None:
        """The canister's name, if it has one."""
        return next((name for name, known in self.ids.items() if known == canister_id), None)

    def known(self) -> list[str]:
        """All names, sorted."""
        return sorted(self.ids)

    def add(self, name: str, canister_id: Principal) -> None:
        """Name a canister; another one that had the name loses it."""
        self._ids = {**self.ids, name: canister_id}

    def forget(self, canister_id: Principal) -> None:
        """Take the name of a canister away, if it has one."""
        self._ids = {name: known for name, known in self.ids.items() if known != canister_id}

    def mark(self) -> Mapping[str, Principal] | None:
        """The present names, for `return_to`; nothing is read for it."""
        return self._ids

    def return_to(self, mark: Mapping[str, Principal] | None) -> None:
        """Make the names what they were at the mark."""
        self._ids = self._saved if mark is None else mark

    def save(self) -> None:
        """Write the names if they changed: the file is the old or the new one, never something between."""
        if self._file is None or self._ids is None or self._ids == self._saved:
            return
        content = json.dumps({name: str(self._ids[name]) for name in self.known()}, indent=2) + "\n"
        write_durably(self._file, content.encode())
        self._saved = self._ids


def problem_with(name: str) -> str | None:
    """Why this cannot be the name of a canister, if it cannot."""
    if not _NAME.fullmatch(name):
        return f"{name!r} cannot be a name: letters, digits, '_', '.' and '-', at most 63, a letter first"
    try:
        Principal.from_text(name)
    except PrincipalError:
        return None
    return f"{name!r} cannot be a name: it is a principal"


def _read(file: Path) -> dict[str, Principal]:
    try:
        content = json.loads(file.read_text("utf-8"))
        return {str(name): Principal.from_text(text) for name, text in content.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError) as error:
        raise StateCorrupt(f"{file} is damaged: {error}") from error

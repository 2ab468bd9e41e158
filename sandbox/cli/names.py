"""Names of canisters: `names.json` in the state directory, from name to id; replaced by rename."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

from sandbox.errors import PrincipalError, StateCorrupt
from sandbox.pagestore.durable_files import write_durably
from sandbox.principal import Principal

FILE = "names.json"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")


class Names:
    """The names kept in `directory`. To be used while the state directory is locked."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE
        self._ids = _read(self._file)
        self._changed = False

    def prune(self, existing: Collection[Principal]) -> None:
        """Forget names of canisters that do not exist."""
        kept = {name: canister_id for name, canister_id in self._ids.items() if canister_id in existing}
        self._changed |= len(kept) < len(self._ids)
        self._ids = kept

    def get(self, name: str) -> Principal | None:
        return self._ids.get(name)

    def of(self, canister_id: Principal) -> str | None:
        """The canister's name, if it has one."""
        return next((name for name, known in self._ids.items() if known == canister_id), None)

    def known(self) -> list[str]:
        return sorted(self._ids)

    def add(self, name: str, canister_id: Principal) -> None:
        self._ids[name] = canister_id
        self._changed = True

    def save(self) -> None:
        """Write what changed: the file is the old or the new one, never something between."""
        if not self._changed:
            return
        content = json.dumps({name: str(self._ids[name]) for name in self.known()}, indent=2) + "\n"
        write_durably(self._file, content.encode())
        self._changed = False


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

"""The edits of a snapshot as records in a file, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.state import Derived

History = tuple[Mapping[str, Any], ...]


def history_of(steps: Sequence[Derived]) -> History:
    """Return edits as records of text and numbers, ids and checksums in hexadecimal."""
    return tuple(
        {"parent": step.parent.hex(), "checksum": step.checksum.hex(), "at": step.at, "edits": [*step.edits]}
        for step in steps
    )


def steps_of(history: History) -> tuple[Derived, ...]:
    """Return the edits of records made by `history_of`. A record of another tool becomes a step without a
    parent whose only edit is the record."""
    return tuple(_step(item) for item in history)


def _step(item: Mapping[str, Any]) -> Derived:
    match item:
        case {"parent": str(parent), "checksum": str(checksum), "at": int(at), "edits": [*edits]}:
            try:
                if len(item) == 4 and 0 <= at < 1 << 64 and all(isinstance(edit, str) for edit in edits):
                    "".join(edits).encode()  # ValueError for lone surrogates, which JSON can hold
                    return Derived(bytes.fromhex(parent), bytes.fromhex(checksum), at, tuple(edits))
            except ValueError:
                pass
    return Derived(b"", b"", 0, (json.dumps(dict(item), default=str, ensure_ascii=True),))

"""What the platform's reject leaves open and the sandbox can tell, as notes of the exception."""

from __future__ import annotations

from sandbox.api.typed import metadata
from sandbox.errors import CallRejected, InspectError, InvalidModule
from sandbox.state import WasmModule

_STABLE_TYPES = "motoko:stable-types"
_MOST = 10
"""Most changes that are named."""
_ABOUT_TYPES = ("Memory-incompatible program upgrade", "stable variable", "IDL error")
"""Parts of the texts with which the runtime of Motoko refuses the old values."""


def explain_upgrade(error: CallRejected, old: WasmModule, new: WasmModule) -> None:
    """Add a note to the reject of an upgrade of Motoko that names the stable variables whose types do not fit."""
    if not any(text in error.message for text in _ABOUT_TYPES):
        return
    from sandbox.snapshots.diff.stable_types import Verdict, compare_stable_types  # imported late: few need it

    try:
        sections = [metadata(code, _STABLE_TYPES) for code in (old, new)]
        before, after = (None if section is None else section.decode("utf-8", "replace") for section in sections)
        if before is None or after is None:
            return
        changes = compare_stable_types(before, after).changes
    except (InvalidModule, InspectError):
        return
    refused = [change for change in changes if change.verdict in (Verdict.INCOMPATIBLE, Verdict.LOSES_DATA)]
    if refused:
        more = f"; and {len(refused) - _MOST} more" if len(refused) > _MOST else ""
        error.add_note(
            f"Stable variables that do not fit: {'; '.join(change.text for change in refused[:_MOST])}{more}"
        )

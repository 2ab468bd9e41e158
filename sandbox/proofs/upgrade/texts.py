"""Texts of calls, answers and rejects in reports."""

from __future__ import annotations

from sandbox.ic0.error_help import DOCUMENTATION, TOOLCHAIN

_MOST = 200
"""Characters of a call or an answer in a report."""
_MOST_REASON = 500


def cut(text: str, most: int = _MOST) -> str:
    """Return a text in one line, its end left out if it is long."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def why(message: str) -> str:
    """Return the message of a reject in one line, without the canister's name, its backtrace and the platform's
    help."""
    lines = message.partition("\nCanister Backtrace:")[0].splitlines()
    if len(lines) > 1 and (DOCUMENTATION in lines[-1] or lines[-1] == TOOLCHAIN):
        lines.pop()
    text = "\n".join(lines)
    return cut(text.partition(": ")[2] or text, _MOST_REASON)

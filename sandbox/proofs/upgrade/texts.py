"""Texts of calls, answers and rejects, as reports show them."""

from __future__ import annotations

_MOST = 200
"""Characters of a call or an answer in a report."""


def cut(text: str) -> str:
    """Return a text in one line, its end left out if it is long."""
    text = " ".join(text.split())
    return text if len(text) <= _MOST else text[: _MOST - 1] + "…"


def first_line(message: str) -> str:
    """Return the first line of a reject, without the name of the canister."""
    return message.partition("\n")[0].partition(": ")[2] or message

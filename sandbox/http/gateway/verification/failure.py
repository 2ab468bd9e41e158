"""The one error of this package."""

from __future__ import annotations


class Unverified(Exception):
    """The response is not proven by its certificate; the text says why, as the end of a sentence."""

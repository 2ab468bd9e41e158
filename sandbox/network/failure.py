"""The errors of this package."""

from __future__ import annotations

from sandbox.errors import SandboxError


class NetworkError(SandboxError):
    """A network that does not answer, refuses a request, or answers with something else than it should."""


class ClockSkew(NetworkError):
    """The clock of this machine and the time of the network are too far apart for requests to be taken."""


class UnknownOutcome(NetworkError):
    """A call was sent, and whether it was executed could not be learned before its expiry."""


class KeyFileError(SandboxError):
    """A file that is no private key that can be used here; the text never shows its content."""

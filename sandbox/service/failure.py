"""The errors of this package."""

from __future__ import annotations

from sandbox.errors import SandboxError


class BackupError(SandboxError):
    """A backup or a restoration that cannot go on; the text says why."""


class BackupsLocked(BackupError):
    """Another process works on the same repository of backups."""

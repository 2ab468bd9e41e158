"""The error of this package."""

from __future__ import annotations

from sandbox.errors import SandboxError


class CertificateError(SandboxError):
    """Bytes that are no hash tree or certificate, a certificate that proves nothing, or a value that has no hash."""

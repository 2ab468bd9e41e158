"""Errors as answers: status codes and records."""

from __future__ import annotations

import logging
from typing import Final

from sandbox.errors import (
    CallRejected,
    CandidError,
    InspectError,
    InvalidModule,
    PrincipalError,
    RequestTooLarge,
    SandboxError,
    SnapshotFileError,
    StateError,
    StillWaiting,
    UnknownName,
    Unsupported,
)
from sandbox.http.admin import model
from sandbox.http.admin.canisters import rejected
from sandbox.http.answer import Refused

LOG: Final = logging.getLogger("canister_sandbox.http")
_STATUS: Final[tuple[tuple[type[SandboxError], int], ...]] = (
    (UnknownName, 404),
    (PrincipalError, 404),
    (CandidError, 400),
    (SnapshotFileError, 400),
    (RequestTooLarge, 413),
    (CallRejected, 409),
    (InspectError, 409),
    (InvalidModule, 409),
    (StateError, 409),
    (StillWaiting, 409),
    (Unsupported, 409),
)
"""The first class that fits counts; any other error is ours: 500."""


def failed(error: Exception) -> tuple[int, model.Failed]:
    """The status code and the record of an error."""
    kind, status = type(error).__name__, next((code for one, code in _STATUS if isinstance(error, one)), 500)
    if isinstance(error, Refused):
        status = error.status
    elif not isinstance(error, SandboxError):
        LOG.error("an operation failed", exc_info=error)
        return 500, model.Failed(error=model.Problem(kind="Error", message="this is a fault of canister-sandbox"))
    if not isinstance(error, CallRejected):
        return status, model.Failed(error=model.Problem(kind=kind, message=str(error)))
    reject = rejected(error.reject)
    problem = model.Problem(
        kind=kind, message=reject.message, reject_code=reject.reject_code, error_code=reject.error_code
    )
    return status, model.Failed(error=problem)

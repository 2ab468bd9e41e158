"""Errors as values that travel."""

from __future__ import annotations

import pickle

from sandbox import CallRejected, ErrorCode
from sandbox.errors import Reject


def test_a_rejected_call_can_be_sent_to_another_process() -> None:
    error = CallRejected(Reject.of(ErrorCode.CANISTER_CALLED_TRAP, "why"), ("evidence",))
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.reject, copy.result, str(copy)) == (error.reject, error.result, str(error))

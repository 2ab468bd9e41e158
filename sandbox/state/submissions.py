"""Users' calls by request id, with their status: interface specification, "Request status"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.errors import Reject
from sandbox.principal import Principal
from sandbox.state.savepoint import RevertibleDict, RevertibleSet, Savepoint, Savepoints

RECEIVED, PROCESSING, REPLIED, REJECTED = "received", "processing", "replied", "rejected"
REFUSED = "refused"
"""Rejected by the ingress filter: not part of the state tree, and the same call may be submitted again."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One submitted call. Times in nanoseconds since 1970."""

    number: int
    """The number of its message."""
    canister_id: Principal
    method: str
    sender: Principal
    expiry: int = 0
    """The time until which it must begin; 0: no limit."""
    status: str = RECEIVED
    answer: bytes | Reject | None = None
    answered_at: int = 0

    @property
    def known(self) -> bool:
        """Whether it is part of the state tree."""
        return self.status != REFUSED


class Submissions(RevertibleDict[bytes, Submission]):
    """The calls by request id. They change only by assignment and deletion of items.

    `changed`: request ids of calls that changed since `execution.certificates` last replaced the set by an empty one.
    `ids`: request ids by the calls' numbers. `answered`: those with an answer, in the order of the answers.
    """

    __slots__ = ("answered", "changed", "ids")

    def __init__(self, savepoints: Savepoints, content: Iterable[tuple[bytes, Submission]] = ()) -> None:
        super().__init__(savepoints, content)
        self.changed: RevertibleSet[bytes] = RevertibleSet(savepoints, ((name, None) for name in self))
        self._index()

    def _index(self) -> None:
        self.ids: dict[int, bytes] = {submission.number: name for name, submission in self.items()}
        answered = sorted((s.answered_at, s.number, name) for name, s in self.items() if s.answer is not None)
        self.answered: dict[bytes, None] = {name: None for _, _, name in answered}

    def __setitem__(self, request_id: bytes, submission: Submission) -> None:
        super().__setitem__(request_id, submission)
        self.changed.add(request_id)
        self.ids[submission.number] = request_id
        if submission.answer is not None:
            self.answered[request_id] = None

    def __delitem__(self, request_id: bytes) -> None:
        number = self[request_id].number
        super().__delitem__(request_id)
        self.ids.pop(number, None)
        self.answered.pop(request_id, None)
        self.changed.add(request_id)

    def revert(self, savepoint: Savepoint) -> None:
        """Restore the content, `ids` and `answered`."""
        super().revert(savepoint)
        if self in savepoint.whole:
            self._index()

    def _restore(self, request_id: bytes, submission: Submission) -> None:
        if submission.answer is None:
            self.answered.pop(request_id, None)
        super()._restore(request_id, submission)

    def _remove(self, request_id: bytes) -> None:
        self.ids.pop(self[request_id].number, None)
        self.answered.pop(request_id, None)
        super()._remove(request_id)

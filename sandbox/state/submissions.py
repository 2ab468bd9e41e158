"""Users' calls by request id, and how they are doing: interface specification, "Request status"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.errors import Reject
from sandbox.principal import Principal

RECEIVED, PROCESSING, REPLIED, REJECTED = "received", "processing", "replied", "rejected"
REFUSED = "refused"
"""Not let in: the state tree does not know of it, and the same call may be submitted again."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One call. Times in nanoseconds since 1970."""

    number: int
    """The number of the message that it became."""
    canister_id: Principal
    method: str
    sender: Principal
    expiry: int = 0
    """When it is given up if it has not begun; 0: never."""
    status: str = RECEIVED
    answer: bytes | Reject | None = None
    answered_at: int = 0

    @property
    def known(self) -> bool:
        """Whether the state tree tells of it."""
        return self.status != REFUSED


class Submissions(dict[bytes, Submission]):
    """The calls by request id. They change by assignment and deletion of items alone.

    `changed`: those that did, since whoever keeps the state tree has emptied it. `ids`: request ids by the calls'
    numbers. `answered`: those with an answer, in the order in which the answers came.
    """

    __slots__ = ("answered", "changed", "ids")

    def __init__(self, submissions: Mapping[bytes, Submission] | None = None) -> None:
        super().__init__(submissions or {})
        self.changed: set[bytes] = set(self)
        self.ids: dict[int, bytes] = {submission.number: name for name, submission in self.items()}
        answered = sorted((s.answered_at, s.number, name) for name, s in self.items() if s.answer is not None)
        self.answered: dict[bytes, None] = {name: None for _, _, name in answered}

    def copied(self) -> Submissions:
        """The same calls, to be changed apart."""
        twin = Submissions(self)
        twin.changed = set(self.changed)
        return twin

    def __setitem__(self, request_id: bytes, submission: Submission) -> None:
        super().__setitem__(request_id, submission)
        self.changed.add(request_id)
        self.ids[submission.number] = request_id
        if submission.answer is not None:
            self.answered[request_id] = None

    def __delitem__(self, request_id: bytes) -> None:
        del self.ids[self[request_id].number]
        super().__delitem__(request_id)
        self.changed.add(request_id)
        self.answered.pop(request_id, None)

"""Answers to HTTP requests, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.certify import cbor
from sandbox.errors import Reject, RequestExpired, RequestTooLarge, SandboxError

CBOR, TEXT = "application/cbor", "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status code, content type and body."""

    status: int
    content_type: str = TEXT
    body: bytes = b""


class Refused(SandboxError):
    """A request that is answered with an HTTP error; it has the status code and a text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


ACCEPTED = Answer(202)
"""The request was taken and is not answered yet: `read_state` will tell."""


def of_error(error: SandboxError) -> Answer:
    """The answer to a request that raised this error: 500 for one that is not the sender's."""
    match error:
        case Refused(status=status):
            pass
        case RequestTooLarge():
            status = 413
        case RequestExpired():
            status = 400
        case _:
            status = 500
    return Answer(status, TEXT, str(error).encode(errors="replace"))


def in_cbor(value: Any) -> Answer:
    """Plain data as an answer with status 200. It carries no self-describing tag: two of the Python agents fail on one,
    and no client needs it."""
    return Answer(200, CBOR, cbor.dump(value))


def fields_of(reject: Reject) -> dict[str, Any]:
    """The fields of a reject as they stand in answers."""
    fields = {"reject_code": reject.reject_code.value, "reject_message": reject.message}
    return fields if reject.error_code is None else {**fields, "error_code": str(reject.error_code)}

"""The transitions of the specification: messages, management calls, commits. The only writer of the subnet."""

from sandbox.execution.apply import apply
from sandbox.execution.messages import Call, query, update
from sandbox.execution.result import CallResult

__all__ = ["Call", "CallResult", "apply", "query", "update"]

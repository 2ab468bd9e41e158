"""The transitions of the specification: messages, management calls, commits. The only writer of the subnet."""

from sandbox.execution.kernel import Kernel
from sandbox.execution.management import carry_out
from sandbox.execution.queries import Query, query
from sandbox.execution.result import CallResult
from sandbox.execution.rounds import run_round, run_until_idle, submit, update
from sandbox.execution.time import advance

__all__ = [
    "CallResult",
    "Kernel",
    "Query",
    "advance",
    "carry_out",
    "query",
    "run_round",
    "run_until_idle",
    "submit",
    "update",
]

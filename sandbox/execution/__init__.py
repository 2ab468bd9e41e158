"""The transitions of the specification: messages, management calls, commits. The only writer of the subnet."""

from sandbox.execution.certificates import certificate
from sandbox.execution.context import ExecutionEnvironment
from sandbox.execution.inputs import Advance, Input, Managed, Round, Submit, UntilIdle, UntilStopped, Update, perform
from sandbox.execution.management import carry_out
from sandbox.execution.queries import Query, query
from sandbox.execution.result import CallResult
from sandbox.execution.rounds import next_due, run_round, run_until_idle, submit, update
from sandbox.execution.snapshot_query import query_snapshot
from sandbox.execution.time import advance

__all__ = [
    "Advance",
    "CallResult",
    "ExecutionEnvironment",
    "Input",
    "Managed",
    "Query",
    "Round",
    "Submit",
    "UntilIdle",
    "UntilStopped",
    "Update",
    "advance",
    "carry_out",
    "certificate",
    "next_due",
    "perform",
    "query",
    "query_snapshot",
    "run_round",
    "run_until_idle",
    "submit",
    "update",
]

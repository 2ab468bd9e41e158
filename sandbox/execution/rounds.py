"""Execution of messages in order: a user's call until its answer, one round, rounds until no work is left.

One queue in order of sending keeps the order between every pair of canisters, as the specification requires. A round
runs due timers and heartbeats, then messages until none is left or the round's instructions are used up. Each execution
counts `INSTRUCTIONS_EXECUTION` more than it executes (`dfinity/ic` `rs/execution_environment/src/scheduler.rs`), so
that a round of short messages ends too.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.errors import StillWaiting
from sandbox.execution import calls, ingress, management, policies, responses, tasks, time, waiting
from sandbox.execution.context import ExecutionEnvironment
from sandbox.execution.result import CallResult
from sandbox.limits import INSTRUCTIONS_EXECUTION, INSTRUCTIONS_ROUND, ROUNDS
from sandbox.principal import Principal
from sandbox.state import Ingress, Message, Request, Response, Status

_MANAGEMENT = Principal.management()


def step(env: ExecutionEnvironment) -> bool:
    """Execute the next message of this round; False if there is none."""
    queue = env.subnet.queue
    if not queue:
        return False
    _execute(env, queue.popleft())
    return True


def _execute(env: ExecutionEnvironment, message: Message) -> None:
    if isinstance(message, Ingress):
        if not message.request_id or ingress.begins(env.subnet, message):
            if _is_management(env, message):
                management.begin_ingress(env, message)
            else:
                calls.begin_ingress(env, message)
    elif isinstance(message, Request):
        if 0 < message.deadline <= env.subnet.time:
            calls.give_up_request(env, message)
        elif _is_management(env, message):
            management.begin_request(env, message)
        else:
            calls.begin_request(env, message)
    elif isinstance(message, Response):
        responses.deliver(env, message)
    else:
        tasks.execute(env, message)


def _is_management(env: ExecutionEnvironment, message: Ingress | Request) -> bool:
    """Whether the management canister is called: the subnet's own id is another name of it (`dfinity/ic`
    `rs/execution_environment/src/execution_environment.rs`)."""
    return message.canister_id in (_MANAGEMENT, env.subnet.key.subnet_id)


def submit(env: ExecutionEnvironment, message: Ingress) -> CallResult | None:
    """Queue a user's call; return None, or the result with its reject, which is also recorded as its answer.

    `StateCorrupt` if the canister's memory on disk is damaged."""
    refused = _let_in(env, message)
    if refused is None:
        env.subnet.queue.append(message)
    else:
        env.subnet.results[message.message_id] = refused
    return refused


def _let_in(env: ExecutionEnvironment, message: Ingress) -> CallResult | None:
    """Check and charge a user's call; return None, or the result with its reject."""
    state = env.subnet.canisters.get(message.canister_id)
    if state is not None:
        state.check_intact()
    refused = None if _is_management(env, message) else calls.inspect(env, message)
    if refused is None:
        refused = ingress.full(env.subnet, message)
    if refused is None:
        time.charge_ingress(env, message)
    return refused


def update(env: ExecutionEnvironment, message: Ingress, most: int = ROUNDS) -> CallResult:
    """Execute a user's call until its answer; other messages that it caused stay queued.

    `StillWaiting` if it has no answer within `most` rounds: it is then a submitted call, as if `submit` had taken it.
    """
    refused = _let_in(env, message)
    if refused is not None:
        return refused
    env.awaited = message.message_id
    if until(env, lambda: env.answered is not None, most, message):
        assert env.answered is not None
        return env.answered
    name = ingress.keep(env.subnet, message)
    text = f"{message.canister_id}.{message.method} has no answer {_within(env, most)}"
    raise StillWaiting(f"{text}: {waiting.described(env.subnet)}", name)


def stop(env: ExecutionEnvironment, canister_id: Principal, most: int = ROUNDS) -> None:
    """Execute messages until a stopping canister is stopped; `StillWaiting` if it is not within `most` rounds."""
    canisters = env.subnet.canisters
    if not until(env, lambda: canisters[canister_id].status is not Status.STOPPING, most):
        text = f"{canister_id} is stopping and not stopped {_within(env, most)}"
        raise StillWaiting(f"{text}: {waiting.described(env.subnet, canister_id)}")


def until(env: ExecutionEnvironment, done: Callable[[], bool], most: int, last: Message | None = None) -> bool:
    """Execute messages until `done()`; False if it is not within `most` rounds or no message is left. `last`: a message
    that comes after those in the queue; where there are none, it does not go through the queue."""
    direct = last is not None and not env.subnet.queue and most > 0
    if last is not None and not direct:
        env.subnet.queue.append(last)
    for _ in range(most):
        end = _RoundEnd(env)
        if direct and last is not None:
            _execute(env, last)
            end.count, direct = 1, False
        while not done():
            if end.reached or not step(env):
                break
            end.count += 1
        if done():
            return True
        if not _begin_round(env):
            return False
    return done()


def _within(env: ExecutionEnvironment, most: int) -> str:
    subnet = env.subnet
    if subnet.queue or subnet.later:
        return f"after {most} rounds"
    return "and nothing is left to execute"


class _RoundEnd:
    """The end of a round that begins now; `count` is the number of its executions."""

    def __init__(self, env: ExecutionEnvironment) -> None:
        self.count = 0
        self._env = env
        self._end = env.executed + INSTRUCTIONS_ROUND

    @property
    def reached(self) -> bool:
        return self._env.executed + self.count * INSTRUCTIONS_EXECUTION >= self._end


def _begin_round(env: ExecutionEnvironment) -> bool:
    """Queue the messages that waited for this round; False if no message is to be executed."""
    subnet = env.subnet
    subnet.queue.extend(subnet.later)
    subnet.later.clear()
    return bool(subnet.queue)


def run_round(env: ExecutionEnvironment) -> int:
    """Execute one round; return the number of its tasks and messages."""
    policies.take_due(env)
    responses.expire(env)
    _begin_round(env)
    due = tasks.due(env)
    for task in due:
        tasks.execute(env, task)
    end = _RoundEnd(env)
    while not end.reached and step(env):
        end.count += 1
    return len(due) + end.count


def next_due(env: ExecutionEnvironment) -> int | None:
    """The time, perhaps past, at which the next timer or snapshot of a policy is due; None if there is none."""
    times = (tasks.next_timer(env), policies.next_due(env.subnet))
    return min((due for due in times if due is not None), default=None)


def run_until_idle(env: ExecutionEnvironment, most: int = ROUNDS) -> int:
    """Execute rounds until no message and no due timer is left, return their number; `StillWaiting` after `most`."""
    for rounds in range(1, most + 1):
        run_round(env)
        if not env.subnet.queue and not env.subnet.later and not tasks.due(env, heartbeats=False):
            return rounds
    raise StillWaiting(
        f"still not idle after {most} rounds: {len(env.subnet.queue)} messages are queued, "
        f"{waiting.described(env.subnet)}"
    )

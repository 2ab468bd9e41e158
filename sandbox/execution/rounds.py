"""Messages one after another: a user's call until its answer, rounds of tasks and messages, rounds until all is quiet.

One queue in order of sending keeps the order between every pair of canisters, which is all that the specification asks
for. A round runs due timers and heartbeats, then messages until none is left or the round's instructions are used up,
for which each execution counts `INSTRUCTIONS_EXECUTION` more than it executes (`dfinity/ic`
`rs/execution_environment/src/scheduler.rs`): so that a round ends, however short the messages are.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from sandbox.errors import StillWaiting
from sandbox.execution import calls, ingress, management, policies, responses, tasks, time, waiting
from sandbox.execution.kernel import Kernel
from sandbox.execution.result import CallResult
from sandbox.limits import INSTRUCTIONS_EXECUTION, INSTRUCTIONS_ROUND, ROUNDS
from sandbox.principal import Principal
from sandbox.state import Ingress, Message, Request, Response, Status

_MANAGEMENT = Principal.management()


def step(kernel: Kernel) -> bool:
    """Execute the next message of this round; False if there is none."""
    queue = kernel.subnet.queue
    if not queue:
        return False
    _execute(kernel, queue.popleft())
    return True


def _execute(kernel: Kernel, message: Message) -> None:
    if isinstance(message, Ingress):
        if not message.request_id or ingress.begins(kernel.subnet, message):
            _receiver(kernel, message).begin_ingress(kernel, message)
    elif isinstance(message, Request):
        if 0 < message.deadline <= kernel.subnet.time:
            calls.give_up_request(kernel, message)
        else:
            _receiver(kernel, message).begin_request(kernel, message)
    elif isinstance(message, Response):
        responses.deliver(kernel, message)
    else:
        tasks.execute(kernel, message)


def _receiver(kernel: Kernel, message: Ingress | Request) -> ModuleType:
    """What executes a call: the subnet's own id is another name of the management canister (`dfinity/ic`
    `rs/execution_environment/src/execution_environment.rs`)."""
    receiver = message.canister_id
    return management if receiver == _MANAGEMENT or receiver == kernel.subnet.key.subnet_id else calls


def submit(kernel: Kernel, message: Ingress) -> CallResult | None:
    """Let a user's call in, to be executed when its turn comes; or how it was refused, which is then its answer.

    `StateCorrupt` if the canister's memory on disk is damaged."""
    state = kernel.subnet.canisters.get(message.canister_id)
    if state is not None:
        state.check_intact()
    refused = None if _receiver(kernel, message) is management else calls.inspect(kernel, message)
    if refused is None:
        refused = ingress.full(kernel.subnet, message)
    if refused is None:
        time.charge_ingress(kernel, message)
        kernel.subnet.queue.append(message)
    else:
        kernel.subnet.results[message.message_id] = refused
    return refused


def update(kernel: Kernel, message: Ingress, most: int = ROUNDS) -> CallResult:
    """A user's call from its submission to its answer; what else it set in motion stays queued.

    `StillWaiting` if it has none within `most` rounds: it is then a submitted call, as if `submit` had taken it.
    """
    submit(kernel, message)
    results, number = kernel.subnet.results, message.message_id
    if until(kernel, lambda: number in results, most):
        result = results.pop(number)
        assert isinstance(result, CallResult)
        return result
    name = ingress.keep(kernel.subnet, message)
    text = f"{message.canister_id}.{message.method} has no answer {_within(kernel, most)}"
    raise StillWaiting(f"{text}: {waiting.described(kernel.subnet)}", name)


def stop(kernel: Kernel, canister_id: Principal, most: int = ROUNDS) -> None:
    """Messages until a stopping canister is stopped; `StillWaiting` if it is not within `most` rounds."""
    canisters = kernel.subnet.canisters
    if not until(kernel, lambda: canisters[canister_id].status is not Status.STOPPING, most):
        text = f"{canister_id} is stopping and not stopped {_within(kernel, most)}"
        raise StillWaiting(f"{text}: {waiting.described(kernel.subnet, canister_id)}")


def until(kernel: Kernel, done: Callable[[], bool], most: int) -> bool:
    """Messages until something is done; False if it is not within `most` rounds or nothing is left to execute."""
    for _ in range(most):
        end = _RoundEnd(kernel)
        while not done():
            if end.reached or not step(kernel):
                break
            end.count += 1
        if done():
            return True
        if not _begin_round(kernel):
            return False
    return done()


def _within(kernel: Kernel, most: int) -> str:
    subnet = kernel.subnet
    if subnet.queue or subnet.later:
        return f"after {most} rounds"
    return "and nothing is left to execute"


class _RoundEnd:
    """Where a round that begins now ends; `count` is how many executions it had."""

    def __init__(self, kernel: Kernel) -> None:
        self.count = 0
        self._kernel = kernel
        self._end = kernel.executed + INSTRUCTIONS_ROUND

    @property
    def reached(self) -> bool:
        return self._kernel.executed + self.count * INSTRUCTIONS_EXECUTION >= self._end


def _begin_round(kernel: Kernel) -> bool:
    """Messages that waited for this round are to be executed; False if there are none."""
    subnet = kernel.subnet
    subnet.queue.extend(subnet.later)
    subnet.later.clear()
    return bool(subnet.queue)


def run_round(kernel: Kernel) -> int:
    """One round; returns how many tasks and messages it executed."""
    policies.take_due(kernel)
    responses.expire(kernel)
    _begin_round(kernel)
    due = tasks.due(kernel)
    for task in due:
        tasks.execute(kernel, task)
    end = _RoundEnd(kernel)
    while not end.reached and step(kernel):
        end.count += 1
    return len(due) + end.count


def run_until_idle(kernel: Kernel, most: int = ROUNDS) -> int:
    """Rounds until no message and no due timer is left; `StillWaiting` if that is not reached within `most` rounds."""
    for rounds in range(1, most + 1):
        run_round(kernel)
        if not kernel.subnet.queue and not kernel.subnet.later and not tasks.due(kernel, heartbeats=False):
            return rounds
    raise StillWaiting(
        f"still not idle after {most} rounds: {len(kernel.subnet.queue)} messages are queued, "
        f"{waiting.described(kernel.subnet)}"
    )

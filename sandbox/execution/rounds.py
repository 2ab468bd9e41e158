"""Messages one after another: a user's call until its answer, rounds of tasks and messages, rounds until all is quiet.

One queue in order of sending keeps the order between every pair of canisters, which is all that the specification asks
for. A round runs due timers and heartbeats, then messages until none is left or the round's instructions are used up.
"""

from __future__ import annotations

from types import ModuleType

from sandbox.errors import SandboxError
from sandbox.execution import calls, ingress, management, policies, responses, tasks, time
from sandbox.execution.kernel import Kernel
from sandbox.execution.result import CallResult
from sandbox.limits import INSTRUCTIONS_ROUND
from sandbox.principal import Principal
from sandbox.state import Ingress, Message, Request, Response

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
    """Let a user's call in, to be executed when its turn comes; or how it was refused, which is then its answer."""
    refused = None if _receiver(kernel, message) is management else calls.inspect(kernel, message)
    if refused is None:
        time.charge_ingress(kernel, message)
        kernel.subnet.queue.append(message)
    else:
        kernel.subnet.results[message.message_id] = refused
    return refused


def update(kernel: Kernel, message: Ingress) -> CallResult:
    """A user's call from its submission to its answer; what else it set in motion stays queued."""
    submit(kernel, message)
    results = kernel.subnet.results
    while message.message_id not in results:
        if not step(kernel) and not _begin_round(kernel):
            raise SandboxError(
                f"the call of {message.method!r} on {message.canister_id} has no answer yet and nothing is left to "
                "execute: it waits for a canister to stop, or for time to pass"
            )
    result = results.pop(message.message_id)
    assert isinstance(result, CallResult)
    return result


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
    count, end = len(due), kernel.executed + INSTRUCTIONS_ROUND
    while kernel.executed < end and step(kernel):
        count += 1
    return count


def run_until_idle(kernel: Kernel, most: int = 10_000) -> int:
    """Rounds until no message and no due timer is left; `SandboxError` if that is not reached within `most` rounds."""
    for rounds in range(1, most + 1):
        run_round(kernel)
        if not kernel.subnet.queue and not kernel.subnet.later and not tasks.due(kernel, heartbeats=False):
            return rounds
    raise SandboxError(f"still not idle after {most} rounds: {len(kernel.subnet.queue)} messages are queued")

"""Replay the inputs of a record on an empty sandbox in memory, until the first step that differs.

Compared at each step are answers, logs, HTTP requests, the state of every canister that changed and of the rest.
A record can be replayed by any later version of this program. Another version of it may count instructions differently
(records made before it counted as the platform does), or hash states differently; neither is a fault: counts and hashes
are compared only where they are made as when the record was made (`engine.counting`, `record.state_hash.hashing`).
Answers are always compared, also those that depend on counts; only the numbers of the limits in them are not, since
the limits are then the platform's.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.api import Sandbox, SubnetRuntime, runtime_of
from sandbox.engine import counting
from sandbox.errors import RecordError
from sandbox.execution import Input
from sandbox.management.commands import Command
from sandbox.principal import Principal
from sandbox.record import Begin, Comparison, Divergence, End, Header, Outcome, Step, Undo, described, read
from sandbox.record.state_hash import hashing
from sandbox.record.values import Sparse
from sandbox.state import InstructionLimits


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay. `steps`: the number of steps with the recorded outcome; `difference`: that of the next
    one, `step`; `unfinished`: a step at the end without a recorded outcome, which is not taken.
    """

    steps: int
    header: Header
    end: End | None
    step: str | None = None
    difference: Divergence | None = None
    unfinished: str | None = None
    state_hash: str = ""

    @property
    def counts_compared(self) -> bool:
        """Whether instructions were compared."""
        return self.header.counted_by == counting(self.header.metering)

    @property
    def states_compared(self) -> bool:
        """Whether the hashes of states were compared."""
        return self.header.hashed_by == hashing()


def replay(path: str | Path, *, strategy: str | None = None) -> Replay:
    """Replay the record in file `path`; `RecordError` if it is no record, of another format, or damaged.

    `strategy`: as for `Sandbox`; it has no influence on the result.
    """
    content = read(Path(path))
    header = next(content)
    assert isinstance(header, Header)
    with _sandbox(header, strategy) as sandbox, _Stage(runtime_of(sandbox), header) as stage:
        step: Step | None = None
        for item in content:
            if isinstance(item, End):
                unfinished = None if step is None else described(step)
                return Replay(stage.steps, header, item, unfinished=unfinished, state_hash=sandbox.state_hash())
            if isinstance(item, Outcome):
                if step is None:
                    raise RecordError(f"{path}: after step {stage.steps} stands an outcome of nothing")
                difference = stage.take(step, item)
                if difference is not None:
                    return Replay(stage.steps, header, None, described(step), difference)
                step = None
            else:
                assert not isinstance(item, Header)
                step = item
    raise RecordError(f"{path} has no end")


class _Stage:
    """A subnet on which steps are taken again; anchors left open are undone at the end."""

    def __init__(self, runtime: SubnetRuntime, header: Header) -> None:
        self.steps = 0
        self._runtime = runtime
        self._comparison = Comparison(header.counted_by == counting(header.metering), header.hashed_by == hashing())
        self._anchors: list[AbstractContextManager[None]] = []
        runtime.watch(self._comparison)

    def __enter__(self) -> _Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._comparison.close()
        while self._anchors:
            self._anchors.pop().__exit__(None, None, None)

    def take(self, step: Step, expected: Outcome) -> Divergence | None:
        """Take a step and return the first difference, or None."""
        self._comparison.expect(expected)
        try:
            self._perform(step)
        except Exception:
            if not self._comparison.seen:
                raise
        if self._comparison.found is None:
            self.steps += 1
        return self._comparison.found

    def _perform(self, step: Step) -> None:
        if isinstance(step, Begin):
            self._anchors.append(self._runtime.anchor())
            self._anchors[-1].__enter__()
        elif not isinstance(step, Undo):
            self._runtime.perform(self._with_images(step))
        elif self._anchors:
            self._anchors.pop().__exit__(None, None, None)
        else:
            raise RecordError(f"after step {self.steps} an anchor is undone that never began")

    def _with_images(self, step: Input) -> Input:
        if not isinstance(step, Command):
            return step
        return replace(step, arguments=tuple(map(self._shown, step.arguments)))

    def _shown(self, value: Any) -> Any:
        """Return an argument with the memories of the record as images."""
        if isinstance(value, Sparse):
            return value.image(self._runtime.pool)
        return tuple(map(self._shown, value)) if type(value) is tuple else value


def _limits(header: Header) -> InstructionLimits:
    """The limits of the record, or at least the platform's if they are numbers of other instructions than those that
    are counted now."""
    given = InstructionLimits(**header.instruction_limits)
    if header.counted_by == counting(header.metering):
        return given
    least = asdict(InstructionLimits())
    return InstructionLimits(**{kind: max(limit, least[kind]) for kind, limit in asdict(given).items()})


def _sandbox(header: Header, strategy: str | None) -> Sandbox:
    try:
        sandbox = Sandbox(
            seed=header.seed,
            costs=header.costs,
            metering=header.metering,
            max_snapshots=header.max_snapshots,
            instruction_limits=_limits(header),
            strategy=strategy,
            backtraces=header.backtraces,
            first_canister=Principal.from_index(header.next_canister),
        )
        sandbox.set_time(header.time)
    except (TypeError, ValueError) as error:
        raise RecordError(f"no sandbox can begin as the record says: {error}") from error
    return sandbox

"""Update calls that are tried on copies: for each method some with keys and values that the canister knows, and the
longest texts and blobs that it takes. No structure can be written from outside, so the canister's own methods write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from sandbox import candid
from sandbox.api.runtime import runtime_of
from sandbox.candid import FuncType, Some
from sandbox.errors import ErrorCode, RequestTooLarge, StillWaiting
from sandbox.execution import CallResult
from sandbox.proofs.calls import Call, made_call
from sandbox.proofs.generate import Generator, Pool, Uninhabited
from sandbox.proofs.upgrade.observe import Observation, observe
from sandbox.proofs.upgrade.pools import known_values
from sandbox.proofs.upgrade.start import Version, perform
from sandbox.proofs.upgrade.trial import Trial

_DRAWS = 10
"""Calls of each method with different arguments; `_KNOWN` of them with values that the canister knows, wherever it
knows one of the type."""
_KNOWN = 7
_MOST = 1 << 16
"""Bytes of the longest text or blob that is tried."""
_PLACES = 4
"""Texts and blobs in the arguments of one method that are made longer, one at a time."""
INSTRUCTIONS = 100_000_000
"""Instructions that one message of a try may execute. A call that needs more than half of it is not compared."""
_SHORT = 50_000_000
"""Instructions of a query that is asked again after writes."""
_ENDLESS = 2
"""Calls of a method that may reach that limit before the method is no longer tried."""
_ROUNDS = 20

Path = tuple[str | int, ...]
"""The path of a value in the arguments."""


@dataclass(frozen=True)
class Try:
    """A call that the old version answers. Time and random numbers are the same in both versions' copies."""

    call: Call
    result: CallResult


@dataclass(frozen=True)
class Longer:
    """Arguments with one text or blob that may be made longer; `taken`: the longest that the old version takes."""

    short: Call
    function: FuncType
    values: tuple[Any, ...]
    path: Path
    taken: int = 0

    def call(self, size: int) -> Call:
        """Return the call with a text or blob of this many bytes; its text shows the short one."""
        arg = candid.encode(self.function.args, lengthened(self.values, self.path, size))
        place = "".join(f".{step}" for step in self.path[1:])
        where = f"argument {int(self.path[0]) + 1}{place}"
        return replace(self.short, arg=arg, text=f"{self.short.text} with {size:,} bytes in {where}")


@dataclass
class Tries:
    """The results of update calls of the old version, each on a separate copy, before the upgrade."""

    tries: list[Try] = field(default_factory=list)
    longer: list[Longer] = field(default_factory=list)
    methods: int = 0
    """The update methods that were tried."""
    sequence: list[Call] = field(default_factory=list)
    """One call of each method, made one after the other on the same copy."""
    after: Observation | None = None
    """The observation after the sequence."""


def try_old(trial: Trial) -> Tries:
    """Call every update method of the old version; all changes are undone."""
    tries, interface = Tries(), trial.old.interface
    if interface is None:
        return tries
    pool = known_values(trial.old, trial.before)
    with limited(trial, "update"):
        for method, function in interface.methods.items():
            if trial.old.methods.get(method) == "update" and not function.is_oneway:
                tries.methods += 1
                _try_method(trial, tries, method, pool)
        _make_sequence(trial, tries)
    return tries


def _make_sequence(trial: Trial, tries: Tries) -> None:
    first: dict[str, Call] = {}
    for each in tries.tries:
        first.setdefault(each.call.method, each.call)
    with trial.sandbox.anchor():
        for call in first.values():
            result = make(trial, trial.old, call)
            tries.sequence += [call] if result is not None and result.reject is None else []
        tries.after = observe(trial.sandbox, trial.canister, trial.old, short_queries(trial))


def short_queries(trial: Trial) -> list[Call]:
    """Return the queries that are repeated after writes: those that the old version answers within the limit."""
    answers = trial.before.answers
    return [
        query
        for query in trial.queries
        if answers[query.text].reject is None and answers[query.text].instructions <= _SHORT
    ]


def _try_method(trial: Trial, tries: Tries, method: str, pool: Pool) -> None:
    assert trial.old.interface is not None
    function, endless = trial.old.interface.method(method), 0
    lengthened = False
    for values in _draws(method, function, pool):
        call = made_call(method, function.args, values)
        result = attempt(trial, trial.old, call)
        endless += result is None
        if endless >= _ENDLESS:
            return
        if result is None or result.reject is not None:
            continue
        tries.tries.append(Try(call, result))
        if not lengthened:
            lengthened = True
            for path in [path for path, _ in _places(values)][:_PLACES]:
                longer = Longer(call, function, values, path)
                taken = longest(trial, trial.old, longer)
                tries.longer.append(replace(longer, taken=taken))
                at_most = attempt(trial, trial.old, longer.call(taken)) if taken else None
                if at_most is not None and at_most.reject is None:
                    tries.tries.append(Try(longer.call(taken), at_most))


def _draws(method: str, function: FuncType, pool: Pool) -> Iterator[tuple[Any, ...]]:
    """Yield different arguments; the same ones for the same pool."""
    seen = set()
    random = Random(method)
    for number in range(_DRAWS):
        generator = Generator(random, pool, 1.0 if number < _KNOWN else 0.5)
        try:
            values = generator.arguments(function)
        except Uninhabited:
            return
        encoded = candid.encode(function.args, values)
        if encoded not in seen:
            seen.add(encoded)
            yield values


def attempt(trial: Trial, version: Version, call: Call) -> CallResult | None:
    """Make a call on a copy; None if it takes more rounds or instructions than a try may."""
    with trial.sandbox.anchor():
        return make(trial, version, call)


def make(trial: Trial, version: Version, call: Call) -> CallResult | None:
    """Make a call whose effects stay; None as for `attempt`."""
    try:
        result = perform(trial.canister, version, call, _ROUNDS)
    except (StillWaiting, RequestTooLarge):
        return None
    endless = result.reject is not None and result.reject.error_code == ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED
    return None if endless or result.instructions > INSTRUCTIONS // 2 else result


@contextmanager
def limited(trial: Trial, *kinds: str) -> Iterator[None]:
    """Limit messages of these kinds (fields of `InstructionLimits`) to the instructions of a try."""
    runtime = runtime_of(trial.canister)
    limits = runtime.subnet.instruction_limits
    few = {kind: min(getattr(limits, kind), INSTRUCTIONS) for kind in kinds}
    runtime.configure(instruction_limits=replace(limits, **few))
    try:
        yield
    finally:
        runtime.configure(instruction_limits=limits)


def longest(trial: Trial, version: Version, longer: Longer) -> int:
    """Return the longest size with which a version accepts a call, at most `_MOST`; 0 if it takes none."""

    def takes(size: int) -> bool:
        result = attempt(trial, version, longer.call(size))
        return result is not None and result.reject is None

    return most(takes, _MOST)


def most(takes: Callable[[int], bool], limit: int) -> int:
    """Return the greatest accepted number up to a limit, where all smaller ones are accepted, too."""
    if takes(limit):
        return limit
    taken, size = 0, 1
    while size <= limit and takes(size):
        taken, size = size, size * 2
    refused = min(size, limit + 1)
    while refused - taken > 1:
        size = (taken + refused) // 2
        taken, refused = (size, refused) if takes(size) else (taken, size)
    return taken


def _places(value: Any) -> Iterator[tuple[Path, str | bytes]]:
    """Yield the texts and blobs in a value with their paths."""
    match value:
        case str() | bytes():
            yield (), value
        case Some(inner):
            for path, leaf in _places(inner):
                yield ("?", *path), leaf
        case Mapping():
            for key, inner in value.items():
                for path, leaf in _places(inner):
                    yield (key, *path), leaf
        case list() | tuple():
            for index, inner in enumerate(value):
                for path, leaf in _places(inner):
                    yield (index, *path), leaf


def lengthened(value: Any, path: Path, size: int) -> Any:
    """Return a value whose text or blob at a path has this many bytes: the beginning of the old one, then filling."""
    match value:
        case str():
            short = value.encode()[:size].decode(errors="ignore")
            return short + "n" * (size - len(short.encode()))
        case bytes():
            return value[:size].ljust(size, b"n")
        case Some(inner):
            return Some(lengthened(inner, path[1:], size))
        case Mapping():
            return {key: lengthened(inner, path[1:], size) if key == path[0] else inner for key, inner in value.items()}
    changed = [lengthened(inner, path[1:], size) if at == path[0] else inner for at, inner in enumerate(value)]
    return changed if isinstance(value, list) else tuple(changed)

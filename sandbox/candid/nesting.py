"""Recursion without the interpreter's stack: a recursive function is a generator that yields the calls it needs.

    def total(tree: Tree) -> Nested[int]:
        return tree.number + (yield total(tree.left)) + (yield total(tree.right))

    run(total(tree))

Nesting costs memory instead of stack, and has one bound, independent of the caller's stack.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from types import GeneratorType
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload

MAX_NESTING = 100_000
"""Levels of options, vectors, records and variants in a message."""
MAX_TEXT_NESTING = 10 * MAX_NESTING
"""The bound of text and types, so that every value of a message can be printed and read back."""

_PLAIN_HEIGHT = 16

T = TypeVar("T")
R = TypeVar("R")
Nested: TypeAlias = Generator[Any, Any, T]


@overload
def run(call: Nested[T], limit: int = ...) -> T: ...
@overload
def run(call: object, limit: int = ...) -> Any: ...
def run(call: object, limit: int = MAX_TEXT_NESTING) -> Any:
    """Return the result of a call that yields calls; each yield returns the result of its call, or raises its error.

    Any other yielded value is its own result: a function without calls need not be a generator. RecursionError if
    calls are nested more than `limit` deep.
    """
    if not isinstance(call, GeneratorType):
        return call
    waiting: list[Nested[Any]] = []
    resume: Any = call.send
    value: Any = None
    while True:
        try:
            value = resume(value)
            while type(value) is not GeneratorType:
                value = call.send(value)
        except StopIteration as done:
            value = done.value
            if not waiting:
                return value
            call = waiting.pop()
            resume = call.send
        except Exception as error:
            if not waiting:
                raise
            value = error
            call = waiting.pop()
            resume = call.throw
        else:
            waiting.append(call)
            if len(waiting) >= limit:
                raise RecursionError
            call = value
            resume = call.send
            value = None


def then(call: Any, make: Callable[[Any], R]) -> Nested[R] | R:
    """Return `make` applied to the result of a call; at once if that is a result already.

    Not for a call that leads back here before it yields.
    """
    return _continued(call, make) if isinstance(call, GeneratorType) else make(call)


def _continued(call: Nested[Any], make: Callable[[Any], R]) -> Nested[R]:
    return make((yield call))


class Plan(NamedTuple):
    """The reader or writer of a type: a function, and the levels of composite types in the type.

    Plain calls are the fastest form and suffice for few levels. If the height is None, for a recursive or tall type,
    the function makes generators for `run`.
    """

    function: Any
    height: int | None = 0

    def perform(self, *arguments: Any) -> Any:
        """Read or write one value of a message."""
        call = self.function(*arguments)
        return run(call, MAX_NESTING) if self.height is None else call


def height_over(parts: Iterable[Plan]) -> int | None:
    """Return the height of a type with these parts; None if it is not bounded."""
    highest = 0
    for part in parts:
        if part.height is None or part.height >= _PLAIN_HEIGHT:
            return None
        highest = max(highest, part.height)
    return highest + 1

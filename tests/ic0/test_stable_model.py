"""The companion module does what a model in Python does, in random sequences."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.ic0.stable import PAGE, StableFailure
from sandbox.limits import GIB, STABLE_PAGES, WASM_PAGE
from tests.ic0.companion import LIMIT, MOST, Companion


class Model:
    """Stable memory in Python; `None` for a return, a `StableFailure` for a trap."""

    def __init__(self, pointer64: bool, accessible: int, modifiable: int) -> None:
        self.heap = bytearray(i * 7 % 251 for i in range(WASM_PAGE))
        self.stable = bytearray()
        self.most = 6 * GIB if pointer64 else (1 << 32) - 1
        self.limits = (accessible, modifiable)
        self.begin()

    def begin(self) -> None:
        self.accessed: set[int] = set()
        self.modified: set[int] = set()

    def access(self, write: bool, off: int, heap: int, size: int) -> StableFailure | None:
        if size == 0:
            return None
        if off + size > len(self.stable):
            return StableFailure.STABLE_OUT_OF_BOUNDS
        if heap > self.most or size > self.most:
            return StableFailure.HEAP_OUT_OF_BOUNDS
        pages = set(range(off // PAGE, (off + size - 1) // PAGE + 1))
        if len(self.accessed | pages) > self.limits[0]:
            return StableFailure.ACCESS_LIMIT
        if write and len(self.modified | pages) > self.limits[1]:
            return StableFailure.MODIFY_LIMIT
        if heap + size > len(self.heap):
            return StableFailure.HEAP_OUT_OF_BOUNDS
        self.accessed |= pages
        if write:
            self.modified |= pages
            self.stable[off : off + size] = self.heap[heap : heap + size]
        else:
            self.heap[heap : heap + size] = self.stable[off : off + size]
        return None


NEAR = st.integers(-9, 9)
PLACES = st.builds(
    lambda base, delta: (base + delta) % (1 << 64),
    st.sampled_from([0, 8, PAGE, 3 * PAGE, WASM_PAGE, 2 * WASM_PAGE, 1 << 32, 6 * GIB, 1 << 63]),
    NEAR,
)
SIZES = st.one_of(
    st.integers(0, 17), st.just(8), st.integers(PAGE - 2, PAGE + 2), st.integers(0, 2 * WASM_PAGE), PLACES
)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["read", "write"]), PLACES | st.integers(0, WASM_PAGE), PLACES, SIZES),
    st.tuples(st.just("grow"), st.sampled_from([0, 1, 1, STABLE_PAGES, MOST])),
    st.tuples(st.just("message")),
)


def same(c: Companion, model: Model, step: tuple[Any, ...]) -> bool:
    """Do `step` in both; whether it returned."""
    if step[0] == "message":
        c.begin()
        model.begin()
        return True
    if step[0] == "grow":
        old = len(model.stable) // WASM_PAGE
        possible = old + step[1] <= STABLE_PAGES and step[1] < STABLE_PAGES
        if step[1] != STABLE_PAGES or old:
            assert c.call("stable64_grow", step[1]) == (old if possible else MOST)
            model.stable += bytes(WASM_PAGE * (step[1] if possible else 0))
        return True
    name, off, heap, size = step
    expected = model.access(name == "write", off, heap, size)
    arguments = (off, heap, size) if name == "write" else (heap, off, size)
    if expected is None:
        c.call(f"stable64_{name}", *arguments)
    else:
        assert c.failing(f"stable64_{name}", *arguments) is expected
    return expected is None


@settings(max_examples=150, deadline=None)
@given(
    pointer64=st.booleans(),
    accessible=st.sampled_from([2, 5, LIMIT]),
    modifiable=st.sampled_from([1, 3, LIMIT]),
    steps=st.lists(STEPS, max_size=30),
)
def test_the_companion_does_what_the_model_does(
    pointer64: bool, accessible: int, modifiable: int, steps: list[tuple[Any, ...]]
) -> None:
    c, model = Companion(pointer64, 1, accessible, modifiable), Model(pointer64, accessible, modifiable)
    c.put("heap", 0, bytes(model.heap))
    for step in [("grow", 1), *steps]:
        if not same(c, model, step):
            same(c, model, ("message",))  # a message that trapped is over
    assert c.content("heap", 0, WASM_PAGE) == bytes(model.heap)
    assert c.call("stable64_size") * WASM_PAGE == len(model.stable)
    if model.stable:
        assert c.content("stable", 0, len(model.stable)) == bytes(model.stable)

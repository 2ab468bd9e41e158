"""The companion module: interface specification, "Stable memory"; run directly under the engine."""

from __future__ import annotations

import struct

import pytest
import wasmtime

from sandbox.errors import ErrorCode
from sandbox.ic0.modes import Mode
from sandbox.ic0.stable import FAILURES, MEMORIES, PAGE, StableFailure, companion_wat, page_limit
from sandbox.ic0.table import SYSTEM_API, signatures
from sandbox.limits import GIB, STABLE_PAGES, WASM_PAGE
from sandbox.wasm import Cell
from tests.ic0.companion import ENOUGH, MOST, Companion, Failed, engine, module

KINDS = pytest.mark.parametrize("pointer64", [True, False], ids=["wasm64", "wasm32"])


@KINDS
def test_exports_are_the_tables_functions(pointer64: bool) -> None:
    names = {row.name for row in SYSTEM_API if row.function is None} & set(signatures("l" if pointer64 else "i"))
    letters = {"i": wasmtime.ValType.i32(), "l": wasmtime.ValType.i64()}
    exports = {export.name: export.type for export in module((pointer64, 1)).exports}
    assert set(exports) == names | {"control", "heap", "stable"}
    for name in names:
        params, results = signatures("l")[name] if pointer64 else signatures("i")[name]
        kind = exports[name]
        assert isinstance(kind, wasmtime.FuncType)
        assert [str(letters[letter]) for letter in params] == [str(param) for param in kind.params]
        assert [str(letters[letter]) for letter in results] == [str(result) for result in kind.results]


@KINDS
def test_memories_are_defined_in_the_promised_order(pointer64: bool) -> None:
    text = companion_wat(pointer64, 3, 9)
    places = [text.index(f"(memory ${name} ") for name in MEMORIES]
    assert places == sorted(places)
    assert text.count("\n(memory $") == len(MEMORIES)
    without = companion_wat(pointer64, None)
    assert "$heap (export" not in without
    heap = next(export.type for export in wasmtime.Module(engine(), text).exports if export.name == "heap")
    assert isinstance(heap, wasmtime.MemoryType)
    assert (heap.limits.min, heap.limits.max, heap.is_64) == (3, 9, pointer64)


def test_growth_to_the_limit_and_no_further() -> None:
    c = Companion()
    assert c.call("stable64_size") == 0
    assert c.call("stable64_grow", 3) == 0
    assert c.call("stable64_grow", 0) == 3
    assert c.call("stable64_grow", MOST) == MOST
    assert c.call("stable64_grow", 1 << 48) == MOST
    assert c.call("stable64_grow", STABLE_PAGES - 2) == MOST
    assert c.call("stable64_size") == 3
    assert c.call("stable64_grow", STABLE_PAGES - 3) == 3
    assert c.call("stable64_size") == STABLE_PAGES
    assert c.call("stable64_grow", 1) == MOST


def test_the_last_page_of_the_largest_memory_works() -> None:
    c = Companion()
    c.call("stable64_grow", STABLE_PAGES)
    end = STABLE_PAGES * WASM_PAGE
    c.put("heap", 0, b"end")
    c.call("stable64_write", end - 3, 0, 3)
    c.call("stable64_read", 100, end - 3, 3)
    assert c.content("heap", 100, 103) == b"end"
    assert c.failing("stable64_write", end - 2, 0, 3) is StableFailure.STABLE_OUT_OF_BOUNDS


def test_32_bit_growth() -> None:
    c = Companion(pointer64=False)
    assert c.call("stable_grow", 2) == 0
    assert c.call("stable_size") == 2
    assert c.call("stable_grow", 65_535) == (1 << 32) - 1
    assert c.call("stable_grow", (1 << 32) - 1) == (1 << 32) - 1
    assert c.call("stable_grow", 65_534) == 2
    assert c.call("stable_size") == 65_536
    assert c.call("stable_grow", 0) == 65_536


def test_32_bit_functions_refuse_a_larger_memory() -> None:
    c = Companion(pointer64=False, accessible=0, modifiable=0)
    c.call("stable64_grow", 65_537)
    for name, arguments in (
        ("stable_size", ()),
        ("stable_grow", (0,)),
        ("stable_grow", ((1 << 32) - 1,)),
        ("stable_read", (0, 0, 1)),
        ("stable_write", (0, 0, 1)),
        ("stable_write", (0, 0, 0)),
    ):
        assert c.failing(name, *arguments) is StableFailure.TOO_BIG_FOR_32_BIT
    c.call("stable_read", 0, 0, 0)
    assert c.call("stable64_size") == 65_537


@KINDS
def test_an_empty_access_is_not_checked(pointer64: bool) -> None:
    c = Companion(pointer64, accessible=0, modifiable=0)
    c.call("stable64_write", MOST, MOST, 0)
    c.call("stable64_read", MOST, MOST, 0)
    if not pointer64:
        c.call("stable_read", 1, 1, 0)
        c.call("stable_write", 0, (1 << 32) - 1, 0)
        assert c.failing("stable_write", 1, 0, 0) is StableFailure.STABLE_OUT_OF_BOUNDS


@KINDS
@pytest.mark.parametrize("warm", [False, True], ids=["first access", "page accessed before"])
def test_ranges(pointer64: bool, warm: bool) -> None:
    c = Companion(pointer64)
    c.call("stable64_grow", 1)
    if warm:
        c.call("stable64_write", 0, 0, WASM_PAGE)
    for size in (1, 4, 8, 9, PAGE, PAGE + 1):
        last = WASM_PAGE - size
        c.call("stable64_write", last, last, size)
        c.call("stable64_read", last, last, size)
        for far in (last + 1, WASM_PAGE, WASM_PAGE + 1, 1 << 32, (1 << 32) + 1, MOST - size + 1, MOST):
            assert c.failing("stable64_write", far, 0, size) is StableFailure.STABLE_OUT_OF_BOUNDS
            assert c.failing("stable64_read", 0, far, size) is StableFailure.STABLE_OUT_OF_BOUNDS
            assert c.failing("stable64_write", 0, far, size) is StableFailure.HEAP_OUT_OF_BOUNDS
            assert c.failing("stable64_read", far, 0, size) is StableFailure.HEAP_OUT_OF_BOUNDS
            # stable memory is checked first
            assert c.failing("stable64_write", far, far, size) is StableFailure.STABLE_OUT_OF_BOUNDS
            assert c.failing("stable64_read", far, far, size) is StableFailure.STABLE_OUT_OF_BOUNDS
    assert c.failing("stable64_write", 1, 0, MOST) is StableFailure.STABLE_OUT_OF_BOUNDS
    assert c.failing("stable64_write", 0, 0, MOST) is StableFailure.STABLE_OUT_OF_BOUNDS


def test_32_bit_ranges_do_not_wrap() -> None:
    c = Companion(pointer64=False)
    c.call("stable_grow", 65_536)
    most = (1 << 32) - 1
    c.call("stable_write", most, 0, 1)
    assert c.failing("stable_write", most, 0, 2) is StableFailure.STABLE_OUT_OF_BOUNDS
    assert c.failing("stable_read", 0, most, 2) is StableFailure.STABLE_OUT_OF_BOUNDS
    assert c.failing("stable_write", 0, most, 2) is StableFailure.HEAP_OUT_OF_BOUNDS
    assert c.failing("stable_read", most, 0, 8) is StableFailure.HEAP_OUT_OF_BOUNDS


@KINDS
def test_a_module_without_a_memory_has_no_heap_to_copy_from(pointer64: bool) -> None:
    c = Companion(pointer64, heap=None)
    assert c.call("stable64_grow", 1) == 0
    assert c.failing("stable64_write", 0, 0, 1) is StableFailure.HEAP_OUT_OF_BOUNDS
    assert c.failing("stable64_read", 0, 0, 8) is StableFailure.HEAP_OUT_OF_BOUNDS
    assert c.failing("stable64_read", 0, WASM_PAGE, 8) is StableFailure.STABLE_OUT_OF_BOUNDS
    c.call("stable64_read", 5, 5, 0)


def test_the_heap_may_grow() -> None:
    c = Companion()
    c.call("stable64_grow", 1)
    assert c.failing("stable64_write", 0, WASM_PAGE, 8) is StableFailure.HEAP_OUT_OF_BOUNDS
    c.exports["heap"].grow(c.store, 1)
    c.put("heap", WASM_PAGE, b"12345678")
    c.call("stable64_write", 0, WASM_PAGE, 8)
    assert c.content("stable", 0, 8) == b"12345678"


def test_pages_count_once_in_a_message() -> None:
    c = Companion(accessible=3, modifiable=2)
    c.call("stable64_grow", 1)
    for _ in range(5):
        c.call("stable64_write", 0, 0, 8)
        c.call("stable64_write", 2 * PAGE - 1, 0, 1)
        c.call("stable64_read", 0, 10 * PAGE, PAGE)
        c.call("stable64_read", 0, 0, 2 * PAGE)
    assert c.failing("stable64_read", 0, 11 * PAGE - 1, 2) is StableFailure.ACCESS_LIMIT


def test_modifying_a_page_that_was_read_is_no_new_access() -> None:
    c = Companion(accessible=1, modifiable=1)
    c.call("stable64_grow", 1)
    c.call("stable64_read", 0, 0, PAGE)
    c.call("stable64_write", PAGE - 1, 0, 1)
    c.call("stable64_write", 0, 0, PAGE)
    c.call("stable64_read", 0, 0, PAGE)
    assert c.failing("stable64_write", PAGE, 0, 1) is StableFailure.ACCESS_LIMIT


def test_reading_does_not_modify() -> None:
    c = Companion(accessible=16, modifiable=1)
    c.call("stable64_grow", 1)
    c.call("stable64_read", 0, 0, WASM_PAGE)
    c.call("stable64_write", 5 * PAGE, 0, 1)
    assert c.failing("stable64_write", 0, 0, 1) is StableFailure.MODIFY_LIMIT


@pytest.mark.parametrize(
    ("accessible", "modifiable", "failure"),
    [(0, 0, StableFailure.ACCESS_LIMIT), (1, 0, StableFailure.ACCESS_LIMIT), (2, 1, StableFailure.MODIFY_LIMIT)],
)
def test_the_access_limit_comes_before_the_modify_limit(
    accessible: int, modifiable: int, failure: StableFailure
) -> None:
    c = Companion(accessible=accessible, modifiable=modifiable)
    c.call("stable64_grow", 1)
    assert c.failing("stable64_write", PAGE - 1, 0, 2) is failure


def test_limits_come_between_stable_range_and_heap_range() -> None:
    c = Companion(pointer64=False, accessible=0, modifiable=0)
    c.call("stable64_grow", 1)
    assert c.failing("stable64_write", WASM_PAGE, 0, 1) is StableFailure.STABLE_OUT_OF_BOUNDS
    assert c.failing("stable64_write", 0, WASM_PAGE, 1) is StableFailure.ACCESS_LIMIT
    assert c.failing("stable64_write", 0, 1 << 32, 1) is StableFailure.HEAP_OUT_OF_BOUNDS
    wide = Companion(pointer64=True, accessible=0, modifiable=0)
    wide.call("stable64_grow", 1)
    assert wide.failing("stable64_write", 0, 6 * GIB, 1) is StableFailure.ACCESS_LIMIT
    assert wide.failing("stable64_write", 0, 6 * GIB + 1, 1) is StableFailure.HEAP_OUT_OF_BOUNDS


def test_every_message_starts_counting_anew() -> None:
    c = Companion(accessible=1, modifiable=1)
    c.call("stable64_grow", 1)
    for _ in range(600):
        c.begin()
        c.call("stable64_write", PAGE, 0, 8)
        c.call("stable64_read", 0, PAGE, 8)
        assert c.failing("stable64_read", 0, 2 * PAGE, 8) is StableFailure.ACCESS_LIMIT


def test_limits_may_differ_from_message_to_message() -> None:
    c = Companion(accessible=2, modifiable=0)
    c.call("stable64_grow", 1)
    assert c.failing("stable64_write", 0, 0, 1) is StableFailure.MODIFY_LIMIT
    c.limits = (2, 2)
    c.begin()
    c.call("stable64_write", 0, 0, 2 * PAGE)
    c.limits = (MOST, MOST)
    c.begin()
    c.call("stable64_write", 0, 0, 16 * PAGE)


def test_what_a_message_pays_depends_on_itself_alone() -> None:
    def used(c: Companion) -> int:
        c.begin()
        for page in (0, 1, 1, 0):
            c.call("stable64_write", page * PAGE + 8, 0, 8)
            c.call("stable64_read", 0, page * PAGE, 100)
        return ENOUGH - c.left()

    old, new = Companion(), Companion()
    for c in (old, new):
        c.call("stable64_grow", 2)
    for _ in range(300):
        old.begin()
        old.call("stable64_write", 3 * PAGE, 0, PAGE)
    assert used(old) == used(new) == used(old) == 4 * (20 + 8) + 2 * 1_000 + 4 * (20 + 100)


@KINDS
def test_each_function_pays_before_it_checks(pointer64: bool) -> None:
    c = Companion(pointer64)
    c.call("stable64_grow", 1)
    calls: list[tuple[str, tuple[int, ...], int]] = [
        ("stable64_size", (), 0),
        ("stable64_grow", (0,), 100),
        ("stable64_grow", (MOST,), 100),
        ("stable64_read", (0, 0, 0), 20),
        ("stable64_read", (0, 0, 5000), 5020),
        ("stable64_read", (0, WASM_PAGE, 9), 29),
        ("stable64_write", (0, 0, 0), 20),
        ("stable64_write", (PAGE - 1, 0, 2), 22 + 2_000),
        ("stable64_write", (WASM_PAGE, 0, 9), 29),
        ("stable64_write", (0, WASM_PAGE, 9), 29 + 1_000),
    ]
    if not pointer64:
        calls += [
            ("stable_size", (), 0),
            ("stable_grow", (0,), 100),
            ("stable_grow", ((1 << 32) - 1,), 100),
            ("stable_read", (0, 0, 0), 20),
            ("stable_read", (WASM_PAGE, 0, 9), 29),
            ("stable_read", (0, 0, 5000), 5020),
            ("stable_write", (0, 0, 0), 20),
            ("stable_write", (0, WASM_PAGE, 9), 29 + 1_000),
            ("stable_write", (PAGE - 1, 0, 2), 22 + 2_000),
        ]
    for name, arguments, cost in calls:
        c.begin()
        try:
            c.call(name, *arguments)
        except (Failed, wasmtime.WasmtimeError, wasmtime.Trap):
            assert c.failure is not None
        assert ENOUGH - c.left() == cost, (name, arguments)


@pytest.mark.parametrize(("left", "pages"), [(28, 0), (27, None), (1_028, 1), (1_027, None)])
def test_an_access_ends_where_the_limit_is_passed_and_not_where_it_is_reached(left: int, pages: int | None) -> None:
    c = Companion()
    c.call("stable64_grow", 1)
    if pages == 0 or left == 27:
        c.call("stable64_write", 0, 0, 8)
    c.put("heap", 0, b"12345678")
    c.control.write(c.store, struct.pack("<q", left), Cell.LEFT)
    if pages is not None:
        c.call("stable64_write", 0, 0, 8)
        assert c.left() == 0
    else:
        with pytest.raises(wasmtime.Trap):
            c.call("stable64_write", 0, 0, 8)
        assert c.failure is None
        assert c.left() == -1
        assert bytes(c.control.read(c.store, Cell.EXHAUSTED, Cell.EXHAUSTED + 1)) == b"\1"
        assert c.content("stable", 0, 8) == bytes(8)


def test_limits_by_mode() -> None:
    pages = {mode: page_limit(mode) * PAGE // GIB for mode in Mode}
    upgrade = {Mode.INIT, Mode.PRE_UPGRADE}
    message = {Mode.START, Mode.UPDATE, Mode.REPLY, Mode.REJECT, Mode.CLEANUP}
    message |= {Mode.HEARTBEAT, Mode.GLOBAL_TIMER, Mode.LOW_WASM_MEMORY}
    assert {mode for mode in Mode if pages[mode] == 8} == upgrade
    assert {mode for mode in Mode if pages[mode] == 2} == message
    assert {mode for mode in Mode if pages[mode] == 1} == set(Mode) - upgrade - message


def test_texts() -> None:
    assert set(FAILURES) == set(StableFailure)
    assert FAILURES[StableFailure.HEAP_OUT_OF_BOUNDS] == (
        ErrorCode.CANISTER_TRAPPED,
        "Canister trapped: heap out of bounds",
    )
    code, text = FAILURES[StableFailure.MODIFY_LIMIT]
    assert code is ErrorCode.CANISTER_MEMORY_ACCESS_LIMIT_EXCEEDED
    assert text == (
        "Canister exceeded memory access limits: Exceeded the limit for the number of modified pages in the stable "
        "memory in a single execution: limit 2097152 KB for regular messages, 8388608 KB for upgrade messages and "
        "1048576 KB for queries."
    )
    assert FAILURES[StableFailure.ACCESS_LIMIT][1] == (
        "Canister exceeded memory access limits: Exceeded the limit for the number of accessed pages in the stable "
        "memory in a single message execution: limit 2097152 KB for regular messages and 1048576 KB for queries."
    )

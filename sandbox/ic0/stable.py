"""Stable memory: interface specification, "Stable memory". The functions are WebAssembly, so that no access leaves it.

`companion_wat` writes a module that defines and exports the control memory (`wasm.control`), the canister's `heap` and
`stable` memories and the functions `stable64_*` (and `stable_*` for 32-bit modules). Semantics, order of checks and
texts follow `dfinity/ic` `rs/embedders/src/wasm_utils/system_api_replacements.rs` and `linker.rs`:

- an access of size 0 returns at once, except that `stable_write` checks stable memory's size and range first;
- then size of stable memory (32-bit functions), range in stable memory, the limits below, range in the heap; where an
  address or a size cannot be one of any heap, "heap out of bounds" comes before the limits;
- one message may access (read or write) and modify a limited number of distinct 4 KiB pages.

How pages are counted: memory `touched` has 64 bits for each page of the largest stable memory. The control memory
(`wasm.control`) says which message this is and how many pages it may access and modify. The first access of a message
leaves its serial there, so that the host can tell whether there was one. When the serial differs from the last one
seen, a new epoch begins: what is in `touched` counts only if it bears the present epoch, so nothing is cleared between
messages.

None of these instructions counts. Each function pays a charge (`ic0.weights`) where it begins, before it checks
anything; a write also pays for the pages that its message has not written before, after the checks of ranges and
limits.

`touched` is declared at its full size, 1,000 MiB of address space; only the parts for accessed pages become real.
"""

from __future__ import annotations

from enum import IntEnum

from sandbox.errors import ErrorCode
from sandbox.ic0.modes import CC, CQ, CRT, CRY, NRQ, RQ, TQ, F, G, I
from sandbox.ic0.thunks import OWN_MODULES, PAY
from sandbox.ic0.weights import STABLE_ACCESS, STABLE_GROW, STABLE_PAGE
from sandbox.limits import (
    KIB,
    STABLE_ACCESS_MESSAGE,
    STABLE_ACCESS_QUERY,
    STABLE_ACCESS_UPGRADE,
    STABLE_MEMORY,
    STABLE_PAGES,
    WASM64_MEMORY,
    WASM_PAGE,
)
from sandbox.wasm import Cell

PAGE = 4096
"""The unit in which accesses are counted."""
TOUCHED_PAGES = -(-STABLE_MEMORY // PAGE * 8 // WASM_PAGE)
MEMORIES = ("control", "heap", "stable", "touched")
"""In definition order; a module without a memory has no `heap`."""
_LONG = int(I | G)
_QUERIES = int(RQ | NRQ | TQ | CQ | CRY | CRT | CC | F)


class StableFailure(IntEnum):
    """Arguments of `fail`."""

    HEAP_OUT_OF_BOUNDS = 1
    STABLE_OUT_OF_BOUNDS = 2
    TOO_BIG_FOR_32_BIT = 3
    ACCESS_LIMIT = 4
    MODIFY_LIMIT = 5


_KB = (STABLE_ACCESS_MESSAGE // KIB, STABLE_ACCESS_UPGRADE // KIB, STABLE_ACCESS_QUERY // KIB)

FAILURES: dict[int, tuple[ErrorCode, str]] = {
    StableFailure.HEAP_OUT_OF_BOUNDS: (ErrorCode.CANISTER_TRAPPED, "Canister trapped: heap out of bounds"),
    StableFailure.STABLE_OUT_OF_BOUNDS: (ErrorCode.CANISTER_TRAPPED, "Canister trapped: stable memory out of bounds"),
    StableFailure.TOO_BIG_FOR_32_BIT: (
        ErrorCode.CANISTER_TRAPPED,
        "Canister trapped: 32 bit stable memory api used on a memory larger than 4GB",
    ),
    StableFailure.ACCESS_LIMIT: (
        ErrorCode.CANISTER_MEMORY_ACCESS_LIMIT_EXCEEDED,
        "Canister exceeded memory access limits: Exceeded the limit for the number of accessed pages in the stable "
        f"memory in a single message execution: limit {_KB[0]} KB for regular messages and {_KB[2]} KB for queries.",
    ),
    StableFailure.MODIFY_LIMIT: (
        ErrorCode.CANISTER_MEMORY_ACCESS_LIMIT_EXCEEDED,
        "Canister exceeded memory access limits: Exceeded the limit for the number of modified pages in the stable "
        f"memory in a single execution: limit {_KB[0]} KB for regular messages, {_KB[1]} KB for upgrade messages and "
        f"{_KB[2]} KB for queries.",
    ),
}


def page_limit(mode: int) -> int:
    """The number of 4 KiB pages that an execution in `mode` may access, and as many modify."""
    if mode & _LONG:
        return STABLE_ACCESS_UPGRADE // PAGE
    return (STABLE_ACCESS_QUERY if mode & _QUERIES else STABLE_ACCESS_MESSAGE) // PAGE


def companion_wat(pointer64: bool, heap_min: int | None, heap_max: int | None = None) -> str:
    """The companion module as text, for a heap of `heap_min` to `heap_max` pages.

    `heap_min` None: the canister's module has no memory; then every access of a size other than 0 that is inside stable
    memory is out of the heap's bounds. Imported from module `sandbox`: function `fail`, which gets a `StableFailure`
    and traps.
    """
    has_heap = heap_min is not None
    word = "i64 " if pointer64 else ""
    limits = f"{word}{heap_min}" + ("" if heap_max is None else f" {heap_max}")
    access = {
        "heap_bytes": _heap_bytes(pointer64) if has_heap else "(i64.const 0)",
        "stable_bytes": "(i64.shl (memory.size $stable) (i64.const 16))",
        "serial": str(int(Cell.SERIAL)),
        "left": str(int(Cell.LEFT)),
        "fixed": str(STABLE_ACCESS),
        "most": str(WASM64_MEMORY if pointer64 else (1 << 32) - 1),
    }
    heap = "(local.get $heap)" if pointer64 else "(i32.wrap_i64 (local.get $heap))"
    size = "(local.get $len)" if pointer64 else "(i32.wrap_i64 (local.get $len))"
    read = f"(memory.copy $heap $stable {heap} (local.get $off) {size})"
    write = f"(memory.copy $stable $heap (local.get $off) {heap} {size})"
    read8 = f"(i64.store $heap {heap} (i64.load $stable (local.get $off)))"
    write8 = f"(i64.store $stable (local.get $off) (i64.load $heap {heap}))"
    bodies = {
        "read": (read, read8) if has_heap else ("", ""),
        "write": (write, write8) if has_heap else ("", ""),
    }
    parts = [
        f'(module ${OWN_MODULES} (import "sandbox" "fail" (func $fail (param i32)))',
        '(memory $control (export "control") 1 1)',
        f'(memory $heap (export "heap") {limits})' if has_heap else "",
        f'(memory $stable (export "stable") i64 0 {STABLE_PAGES})',
        f"(memory $touched {TOUCHED_PAGES} {TOUCHED_PAGES})",
        PAY,
        _COUNTING,
        _ACCESS.format(
            name="read", order="(param $heap i64) (param $off i64)", **_READ, **access, **_copy(*bodies["read"])
        ),
        _ACCESS.format(
            name="write", order="(param $off i64) (param $heap i64)", **_WRITE, **access, **_copy(*bodies["write"])
        ),
        _SIZE_64,
        "" if pointer64 else _API_32,
        ")",
    ]
    return "\n".join(part for part in parts if part)


def _heap_bytes(pointer64: bool) -> str:
    pages = "(memory.size $heap)" if pointer64 else "(i64.extend_i32_u (memory.size $heap))"
    return f"(i64.shl {pages} (i64.const 16))"


def _copy(any_size: str, eight_bytes: str) -> dict[str, str]:
    return {"copy": any_size, "copy8": eight_bytes}


_READ = {
    # accessed in this message already, whether modified or not
    "known": "(i64.eq (i64.or (i64.load $touched (local.get $cell)) (i64.const 1)) (global.get $dirty))",
    "modifies": "0",
}
_WRITE = {
    "known": "(i64.eq (i64.load $touched (local.get $cell)) (global.get $dirty))",
    "modifies": "1",
}

# A cell of `touched` is an even number, the epoch, plus 1 if the page was modified. `$dirty` is the epoch plus 1.
_COUNTING = f"""
(global $serial (mut i64) (i64.const -1))
(global $dirty (mut i64) (i64.const 1))
(global $accessible (mut i64) (i64.const 0))
(global $modifiable (mut i64) (i64.const 0))
(func $begin
  (global.set $serial (i64.load $control (i32.const {Cell.SERIAL})))
  (i64.store $control (i32.const {Cell.ACCESSED}) (global.get $serial))
  (global.set $accessible (i64.load $control (i32.const {Cell.ACCESSIBLE})))
  (global.set $modifiable (i64.load $control (i32.const {Cell.MODIFIABLE})))
  (global.set $dirty (i64.add (global.get $dirty) (i64.const 2))))
(func $touch (param $cell i32) (param $end i32) (param $modifies i32)
  (local $old i64) (local $accessed i64) (local $modified i64)
  (loop $next
    (local.set $old (i64.load $touched (local.get $cell)))
    (if (i64.ne (i64.or (local.get $old) (i64.const 1)) (global.get $dirty)) (then
      (local.set $old (i64.sub (global.get $dirty) (i64.const 1)))
      (local.set $accessed (i64.add (local.get $accessed) (i64.const 1)))))
    (if (i32.and (local.get $modifies) (i64.ne (local.get $old) (global.get $dirty))) (then
      (local.set $old (global.get $dirty))
      (local.set $modified (i64.add (local.get $modified) (i64.const 1)))))
    (i64.store $touched (local.get $cell) (local.get $old))
    (br_if $next (i32.lt_u (local.tee $cell (i32.add (local.get $cell) (i32.const 8))) (local.get $end))))
  (if (i64.gt_u (local.get $accessed) (global.get $accessible)) (then (call $fail (i32.const 4)) unreachable))
  (if (i64.gt_u (local.get $modified) (global.get $modifiable)) (then (call $fail (i32.const 5)) unreachable))
  (global.set $accessible (i64.sub (global.get $accessible) (local.get $accessed)))
  (global.set $modifiable (i64.sub (global.get $modifiable) (local.get $modified)))
  (if (i64.ne (local.get $modified) (i64.const 0))
    (then (call $pay (i64.mul (local.get $modified) (i64.const {STABLE_PAGE}))))))"""

# The fast path: at most one page, which this message has accessed (modified) before, and nothing out of bounds. It pays
# behind these conditions, whose order cannot be seen.
_ACCESS = """
(func $stable64_{name} (export "stable64_{name}") {order} (param $len i64)
  (local $cell i32) (local $left i64)
  (block $slow
    (br_if $slow (i64.ne (i64.load $control (i32.const {serial})) (global.get $serial)))
    (br_if $slow (i64.ge_u (i64.sub (local.get $len) (i64.const 1)) (i64.const 4096)))
    (br_if $slow (i64.ge_u (local.get $off) {stable_bytes}))
    (br_if $slow (i64.gt_u (i64.add (i64.and (local.get $off) (i64.const 4095)) (local.get $len)) (i64.const 4096)))
    (local.set $cell (i32.shl (i32.wrap_i64 (i64.shr_u (local.get $off) (i64.const 12))) (i32.const 3)))
    (br_if $slow (i32.eqz {known}))
    (br_if $slow (i64.ge_u (local.get $heap) {heap_bytes}))
    (br_if $slow (i64.gt_u (i64.add (local.get $heap) (local.get $len)) {heap_bytes}))
    (i64.store $control (i32.const {left}) (local.tee $left
      (i64.sub (i64.load $control (i32.const {left})) (i64.add (local.get $len) (i64.const {fixed})))))
    (if (i64.lt_s (local.get $left) (i64.const 0)) (then (call $pay (i64.const 0))))
    (if (i64.eq (local.get $len) (i64.const 8)) (then {copy8} return))
    {copy}
    return)
  (call $pay_bytes (local.get $len))
  (call $slow_{name} (local.get $off) (local.get $heap) (local.get $len)))
(func $slow_{name} (param $off i64) (param $heap i64) (param $len i64)
  (local $end i64)
  (if (i64.eqz (local.get $len)) (then return))
  (local.set $end (i64.add (local.get $off) (local.get $len)))
  (if (i32.or (i64.le_u (local.get $end) (local.get $off)) (i64.gt_u (local.get $end) {stable_bytes}))
    (then (call $fail (i32.const 2)) unreachable))
  (if (i32.or (i64.gt_u (local.get $heap) (i64.const {most})) (i64.gt_u (local.get $len) (i64.const {most})))
    (then (call $fail (i32.const 1)) unreachable))
  (if (i64.ne (i64.load $control (i32.const {serial})) (global.get $serial)) (then (call $begin)))
  (call $touch
    (i32.shl (i32.wrap_i64 (i64.shr_u (local.get $off) (i64.const 12))) (i32.const 3))
    (i32.shl (i32.wrap_i64 (i64.shr_u (i64.add (local.get $end) (i64.const 4095)) (i64.const 12))) (i32.const 3))
    (i32.const {modifies}))
  (if (i64.gt_u (i64.add (local.get $heap) (local.get $len)) {heap_bytes})
    (then (call $fail (i32.const 1)) unreachable))
  {copy})"""

_SIZE_64 = f"""
(func $pay_bytes (param $size i64)
  (call $pay (i64.add (i64.const {STABLE_ACCESS}) (call $least (local.get $size) (i64.const {1 << 48})))))
(func $stable64_size (export "stable64_size") (result i64) (memory.size $stable))
(func $stable64_grow (export "stable64_grow") (param $pages i64) (result i64)
  (call $pay (i64.const {STABLE_GROW}))
  (call $grow (local.get $pages)))
(func $grow (param $pages i64) (result i64)
  (local $old i64)
  (if (i64.eqz (local.get $pages)) (then (return (memory.size $stable))))
  (if (i64.gt_u (local.get $pages) (i64.sub (i64.const {STABLE_PAGES}) (memory.size $stable)))
    (then (return (i64.const -1))))
  (memory.grow $stable (local.get $pages)))"""

_API_32 = f"""
(func $small
  (if (i64.gt_u (memory.size $stable) (i64.const 65536)) (then (call $fail (i32.const 3)) unreachable)))
(func $stable_size (export "stable_size") (result i32)
  (call $small)
  (i32.wrap_i64 (memory.size $stable)))
(func $stable_grow (export "stable_grow") (param $pages i32) (result i32)
  (call $pay (i64.const {STABLE_GROW}))
  (call $small)
  (if (i64.gt_u (i64.add (memory.size $stable) (i64.extend_i32_u (local.get $pages))) (i64.const 65536))
    (then (return (i32.const -1))))
  (i32.wrap_i64 (call $grow (i64.extend_i32_u (local.get $pages)))))
(func $stable_read (export "stable_read") (param $dst i32) (param $off i32) (param $len i32)
  (call $pay_bytes (i64.extend_i32_u (local.get $len)))
  (if (i32.eqz (local.get $len)) (then return))
  (call $small)
  (call $slow_read
    (i64.extend_i32_u (local.get $off)) (i64.extend_i32_u (local.get $dst)) (i64.extend_i32_u (local.get $len))))
(func $stable_write (export "stable_write") (param $off i32) (param $src i32) (param $len i32)
  (call $pay_bytes (i64.extend_i32_u (local.get $len)))
  (call $small)
  (if (i64.gt_u (i64.add (i64.extend_i32_u (local.get $off)) (i64.extend_i32_u (local.get $len)))
      (i64.shl (memory.size $stable) (i64.const 16)))
    (then (call $fail (i32.const 2)) unreachable))
  (call $slow_write
    (i64.extend_i32_u (local.get $off)) (i64.extend_i32_u (local.get $src)) (i64.extend_i32_u (local.get $len))))"""

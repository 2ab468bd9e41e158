"""System calls that are answered in WebAssembly, from the control memory (`ic0.control`), without the host.

Only the ordinary case is answered: the mode allows the call, its ranges are inside, the bytes have room. Everything
else, above all every trap, is left to the function of the host in the table, which also says what an answer must be.
Nothing is charged here (`ic0.thunks`).
"""

from __future__ import annotations

from typing import Final

from sandbox.ic0.control import SLOT, Fact, Place
from sandbox.ic0.function import SystemApiFunction
from sandbox.ic0.modes import REPLICATED
from sandbox.limits import CERTIFIED_DATA
from sandbox.principal import MAX_LENGTH
from sandbox.wasm import Cell

_NUMBERS: Final = {
    "time": Fact.TIME,
    "canister_status": Fact.STATUS,
    "canister_version": Fact.VERSION,
    "msg_deadline": Fact.DEADLINE,
    "msg_reject_code": Fact.REJECT_CODE,
}
_SIZES: Final = {
    "msg_arg_data_size": Fact.ARGUMENT_SIZE,
    "msg_caller_size": Fact.CALLER_SIZE,
    "canister_self_size": Fact.SELF_SIZE,
    "subnet_self_size": Fact.SUBNET_SIZE,
    "msg_method_name_size": Fact.METHOD_SIZE,
    "msg_reject_msg_size": Fact.REJECT_SIZE,
}
_COPIES: Final = {
    "msg_arg_data_copy": (Fact.ARGUMENT_SIZE, Place.ARGUMENT),
    "msg_caller_copy": (Fact.CALLER_SIZE, Place.CALLER),
    "canister_self_copy": (Fact.SELF_SIZE, Place.SELF),
    "subnet_self_copy": (Fact.SUBNET_SIZE, Place.SUBNET),
    "msg_method_name_copy": (Fact.METHOD_SIZE, Place.METHOD),
    "msg_reject_msg_copy": (Fact.REJECT_SIZE, Place.REJECT),
}
_READS: Final = {"msg_reply_data_append": "append", "certified_data_set": "certify"}
ANSWERED: Final = frozenset(
    (
        *(*_NUMBERS, *_SIZES, *_COPIES, *_READS),
        *("msg_reply", "global_timer_set", "in_replicated_execution", "is_controller", "performance_counter"),
    )
)
"""Names of the functions that need no host in the ordinary case."""


def load(cell: int) -> str:
    """The instructions that push a cell."""
    return f"(i64.load $control (i32.const {cell}))"


def _store(cell: int, value: str) -> str:
    return f"(i64.store $control (i32.const {cell}) {value})"


def answer(row: SystemApiFunction, pointer: str, has_heap: bool) -> str:
    """The instructions that return the answer of a function in the ordinary case, and do nothing otherwise."""
    body = _answer(row, pointer, has_heap)
    if not body:
        return ""
    allowed = f"(i32.wrap_i64 (i64.and {load(Fact.MODE)} (i64.const {int(row.modes)})))"
    return f"(if {allowed} (then {body}))"


def _answer(row: SystemApiFunction, pointer: str, has_heap: bool) -> str:
    name = row.name
    if name in _NUMBERS:
        return f"(return {_narrow(load(_NUMBERS[name]), row.results == 'i')})"
    if name in _SIZES:
        held = load(_SIZES[name])
        return f"(if (i64.ge_s {held} (i64.const 0)) (then (return {_narrow(held, pointer == 'i')})))"
    if name in _FIXED:
        return _FIXED[name]
    if not has_heap:
        return ""
    words = [f"(local.get {k})" if pointer == "l" else f"(i64.extend_i32_u (local.get {k}))" for k in range(3)]
    if name in _COPIES:
        size, place = _COPIES[name]
        return f"(if (call $copy_out {' '.join(words)} (i32.const {place}) {load(size)}) (then return))"
    if name in _READS:
        return f"(if (call ${_READS[name]} {words[0]} {words[1]}) (then return))"
    if name == "is_controller":
        return _IS_CONTROLLER.format(src=words[0], size=words[1])
    return ""


def _narrow(value: str, to_32: bool) -> str:
    return f"(i32.wrap_i64 {value})" if to_32 else value


_EXECUTED = f"(i64.sub {load(Cell.LIMIT)} {load(Cell.LEFT)})"
_FIXED: Final = {
    "performance_counter": f"""
  (if (i32.eqz (local.get 0)) (then (return {_EXECUTED})))
  (if (i32.eq (local.get 0) (i32.const 1)) (then (return (i64.add {load(Cell.EARLIER)} {_EXECUTED}))))""",
    "in_replicated_execution": f"""
  (return (i64.ne (i64.and {load(Fact.MODE)} (i64.const {int(REPLICATED)})) (i64.const 0)))""",
    "global_timer_set": f"""
  {load(Fact.TIMER)}
  {_store(Fact.TIMER, "(local.get 0)")}
  {_store(Fact.TIMER_SET, "(i64.const 1)")}
  return""",
    "msg_reply": f"""
  (if (i64.ge_s {load(Fact.REPLY_LEFT)} (i64.const 0)) (then
    {_store(Fact.REPLY_LEFT, "(i64.const -1)")}
    {_store(Fact.REPLIED, "(i64.const 1)")}
    return))""",
}
_IS_CONTROLLER = f"""
  (if (call $is_principal {{src}} {{size}}) (then
    (if (i64.ge_s {load(Fact.CONTROLLERS)} (i64.const 0)) (then (return (call $among_controllers))))))"""


def heap_helpers(pointer: str) -> str:
    """The functions used above that copy from and to the heap, in a module with the letter `pointer` for pointers."""
    pages = "(memory.size $heap)" if pointer == "l" else "(i64.extend_i32_u (memory.size $heap))"
    at = "(local.get $at)" if pointer == "l" else "(i32.wrap_i64 (local.get $at))"
    return _HELPERS.format(heap_bytes=f"(i64.shl {pages} (i64.const 16))", at=at)


def _same(offset: int) -> str:
    compared = load(Place.COMPARED + offset)
    return f"(i64.eq (i64.load $control offset={offset} (local.get $slot)) {compared})"


_SIZE_32 = "(i32.wrap_i64 (local.get $size))"
_HELPERS = f"""
(func $inside (param $at i64) (param $size i64) (result i32) (local $bytes i64)
  (local.set $bytes {{heap_bytes}})
  (i32.and
    (i64.le_u (local.get $size) (local.get $bytes))
    (i64.le_u (local.get $at) (i64.sub (local.get $bytes) (local.get $size)))))
(func $copy_out (param $at i64) (param $offset i64) (param $size i64) (param $place i32) (param $held i64) (result i32)
  (if (i64.lt_s (local.get $held) (i64.const 0)) (then (return (i32.const 0))))
  (if (i64.gt_u (local.get $size) (local.get $held)) (then (return (i32.const 0))))
  (if (i64.gt_u (local.get $offset) (i64.sub (local.get $held) (local.get $size))) (then (return (i32.const 0))))
  (if (i32.eqz (call $inside (local.get $at) (local.get $size))) (then (return (i32.const 0))))
  (memory.copy $heap $control {{at}}
    (i32.add (local.get $place) (i32.wrap_i64 (local.get $offset))) {_SIZE_32})
  (i32.const 1))
(func $take_in (param $at i64) (param $size i64) (param $place i32) (param $most i64) (result i32)
  (if (i64.gt_u (local.get $size) (local.get $most)) (then (return (i32.const 0))))
  (if (i32.eqz (call $inside (local.get $at) (local.get $size))) (then (return (i32.const 0))))
  (memory.copy $control $heap (local.get $place) {{at}} {_SIZE_32})
  (i32.const 1))
(func $append (param $at i64) (param $size i64) (result i32)
  (if (i64.lt_s {load(Fact.REPLY_LEFT)} (i64.const 0)) (then (return (i32.const 0))))
  (if (i32.eqz (call $take_in (local.get $at) (local.get $size)
      (i32.add (i32.const {Place.REPLY}) (i32.wrap_i64 {load(Fact.REPLY_SIZE)})) {load(Fact.REPLY_LEFT)}))
    (then (return (i32.const 0))))
  {_store(Fact.REPLY_SIZE, f"(i64.add {load(Fact.REPLY_SIZE)} (local.get $size))")}
  {_store(Fact.REPLY_LEFT, f"(i64.sub {load(Fact.REPLY_LEFT)} (local.get $size))")}
  (i32.const 1))
(func $certify (param $at i64) (param $size i64) (result i32)
  (if (i32.eqz (call $take_in (local.get $at) (local.get $size)
      (i32.const {Place.CERTIFIED}) (i64.const {CERTIFIED_DATA})))
    (then (return (i32.const 0))))
  {_store(Fact.CERTIFIED_SIZE, "(local.get $size)")}
  (i32.const 1))
(func $is_principal (param $at i64) (param $size i64) (result i32)
  (memory.fill $control (i32.const {Place.COMPARED}) (i32.const 0) (i32.const {SLOT}))
  (if (i32.eqz (call $take_in (local.get $at) (local.get $size)
      (i32.const {Place.COMPARED}) (i64.const {MAX_LENGTH})))
    (then (return (i32.const 0))))
  (i32.store8 $control (i32.const {Place.COMPARED + SLOT - 1}) {_SIZE_32})
  (i32.const 1))
(func $among_controllers (result i32) (local $slot i32) (local $end i32)
  (local.set $slot (i32.const {Place.CONTROLLERS}))
  (local.set $end (i32.add (local.get $slot) (i32.mul (i32.const {SLOT}) (i32.wrap_i64 {load(Fact.CONTROLLERS)}))))
  (loop $next
    (if (i32.ge_u (local.get $slot) (local.get $end)) (then (return (i32.const 0))))
    (if (i32.and (i32.and {_same(0)} {_same(8)}) (i32.and {_same(16)} {_same(24)})) (then (return (i32.const 1))))
    (local.set $slot (i32.add (local.get $slot) (i32.const {SLOT})))
    (br $next))
  unreachable)
"""

"""Tiny canisters to explore, and the parts of a proof that explore them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.proofs.explore import Subject
from sandbox.proofs.upgrade.explored import subject_of
from sandbox.proofs.upgrade.observe import plain_queries
from sandbox.proofs.upgrade.start import Start, Version
from sandbox.proofs.upgrade.trial import Trial
from tests.conftest import guest, with_section

TICKET = 123_456_789
_INIT = '(func (export "canister_init") (drop (call $stable64_grow (i64.const 1))))'
_EMPTY = '(data (i32.const 0) "DIDL\\00\\00") (data (i32.const 16) "DIDL\\00\\01\\7d\\95\\9a\\ef\\3a")'
_DONE = "(call $reply (i32.const 0) (i32.const 6))"


def _store(at: int, value: str) -> str:
    """Write one byte of stable memory."""
    return f"""(i32.store8 (i32.const 100) {value})
      (call $stable64_write (i64.const {at}) (i64.const 100) (i64.const 1))"""


def _load(at: int) -> str:
    """Read one byte of stable memory."""
    return f"""(call $stable64_read (i64.const 100) (i64.const {at}) (i64.const 1))"""


def canister(did: str, *parts: str) -> bytes:
    """A module with this interface."""
    return with_section(guest(_EMPTY + _INIT + "".join(parts)), "icp:public candid:service", did.encode())


TICKETS = canister(
    "service : { ticket : () -> (nat); enter : (nat) -> (); idle : () -> () }",
    '(func (export "canister_update ticket") (call $reply (i32.const 16) (i32.const 11)))',
    f"""(func (export "canister_update enter")
      (if (i32.ne (call $msg_arg_data_size) (i32.const 11)) (then unreachable))
      (call $msg_arg_data_copy (i32.const 200) (i32.const 0) (i32.const 11))
      (if (i32.ne (i32.load (i32.const 207)) (i32.const 0x3aef9a95)) (then unreachable))
      {_store(7, "(i32.const 1)")} {_DONE})""",
    f'(func (export "canister_update idle") {_DONE})',
)
"""`ticket` returns a number that `enter` insists on; only `enter` changes the state."""

TROUBLE = canister(
    "service : { go : () -> (); fail : (text) -> (); loop : () -> (); never : (record { empty }) -> () }",
    f'(func (export "canister_update go") {_store(7, "(i32.const 1)")} {_DONE})',
    f'(func (export "canister_update fail") {_store(9, "(i32.const 1)")} unreachable)',
    '(func (export "canister_update loop") (loop $again (br $again)))',
    f'(func (export "canister_update never") {_DONE})',
)
"""`fail` traps, `loop` does not end, and `never` cannot be called."""

SWITCH = "service : { on : () -> (); off : () -> (); more : () -> () }"
_SWITCH = (
    f'(func (export "canister_update on") {_store(0, "(i32.const 1)")} {_DONE})',
    f'(func (export "canister_update off") {_store(0, "(i32.const 0)")} {_store(1, "(i32.const 0)")} {_DONE})',
    f'(func (export "canister_update more") {_load(0)} (if (i32.eqz (i32.load8_u (i32.const 100))) (then unreachable))'
    f"{_store(1, '(i32.const 1)')} {_DONE})",
)
SWITCHED = canister(SWITCH, *_SWITCH)
"""`on` and `more` write a byte each, the second one only after the first; `off` takes both back."""
BREAKS_IF_ON = canister(
    SWITCH,
    *_SWITCH,
    f"""(func (export "canister_post_upgrade") {_load(0)} (i32.store8 (i32.const 101) (i32.load8_u (i32.const 100)))
      {_load(1)}
      (if (i32.and (i32.load8_u (i32.const 101)) (i32.eqz (i32.load8_u (i32.const 100)))) (then unreachable)))""",
)
"""An upgrade that fails if there was `on` without `more`."""


@contextmanager
def subject(module: bytes) -> Iterator[tuple[Subject, Trial]]:
    """A canister just installed, to try calls on."""
    version = Version("v1", module)
    sandbox, canister = Start().open(version)
    with sandbox:
        trial = Trial(sandbox, canister, version, version, plain_queries(version), (), False)
        yield subject_of(trial), trial

"""The closed list of imports: every function of module `ic0`, its type, its modes, its meaning.

Source: interface specification 0.66, "Overview of imports" (the comments behind the functions there are the modes
here), and `dfinity/ic` for what is not public. Validator, linker, documentation and tests derive from `SYSTEM_API`.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.ic0 import calls, certified, clock, costs, cycles, debug, identity, messages, variables
from sandbox.ic0.access import no_memory, violation
from sandbox.ic0.function import SystemApiFunction
from sandbox.ic0.modes import (
    CALLING,
    CC,
    CQ,
    CRT,
    CRY,
    EVERYWHERE,
    NRQ,
    RESPONDING,
    RQ,
    RT,
    RY,
    STAR,
    TQ,
    C,
    F,
    G,
    I,
    Q,
    T,
    U,
)
from sandbox.ic0.state import Execution, GuestTrap

_ARG = I | U | Q | TQ | CQ | RY | CRY | F
_INFO = U | Q | CQ | RY | RT | CRY | CRT | C | CC | F
_CODE = RY | RT | CRY | CRT | C
_REJECT = RT | CRT
_DEADLINE = U | Q | CQ | RY | RT | CRY | CRT
_TIMER = I | G | U | RY | RT | C | T
_ROOT_KEY = I | G | U | RQ | RY | RT | C | T
_CERTIFIED = I | G | U | RY | RT | T
_CERTIFICATE = NRQ | CQ
_CYCLES_IN = U | RQ | RT | RY
_CYCLES_BACK = RT | RY
_CYCLES_OUT = U | RY | RT | T

SYSTEM_API: tuple[SystemApiFunction, ...] = (
    SystemApiFunction("msg_arg_data_size", "", "I", _ARG, messages.msg_arg_data_size),
    SystemApiFunction("msg_arg_data_copy", "III", "", _ARG, messages.msg_arg_data_copy),
    SystemApiFunction("msg_caller_size", "", "I", STAR, messages.msg_caller_size),
    SystemApiFunction("msg_caller_copy", "III", "", STAR, messages.msg_caller_copy),
    SystemApiFunction("msg_caller_info_data_size", "", "I", _INFO, messages.msg_caller_info_data_size),
    SystemApiFunction("msg_caller_info_data_copy", "III", "", _INFO, messages.msg_caller_info_data_copy),
    SystemApiFunction("msg_caller_info_signer_size", "", "I", _INFO, messages.msg_caller_info_signer_size),
    SystemApiFunction("msg_caller_info_signer_copy", "III", "", _INFO, messages.msg_caller_info_signer_copy),
    SystemApiFunction("msg_reject_code", "", "i", _CODE, messages.msg_reject_code),
    SystemApiFunction("msg_reject_msg_size", "", "I", _REJECT, messages.msg_reject_msg_size),
    SystemApiFunction("msg_reject_msg_copy", "III", "", _REJECT, messages.msg_reject_msg_copy),
    SystemApiFunction("msg_deadline", "", "l", _DEADLINE, messages.msg_deadline),
    SystemApiFunction("msg_reply_data_append", "II", "", RESPONDING, messages.msg_reply_data_append),
    SystemApiFunction("msg_reply", "", "", RESPONDING, messages.msg_reply),
    SystemApiFunction("msg_reject", "II", "", RESPONDING, messages.msg_reject),
    SystemApiFunction("msg_method_name_size", "", "I", F, messages.msg_method_name_size),
    SystemApiFunction("msg_method_name_copy", "III", "", F, messages.msg_method_name_copy),
    SystemApiFunction("accept_message", "", "", F, messages.accept_message),
    SystemApiFunction("canister_self_size", "", "I", STAR, identity.canister_self_size),
    SystemApiFunction("canister_self_copy", "III", "", STAR, identity.canister_self_copy),
    SystemApiFunction("subnet_self_size", "", "I", STAR, identity.subnet_self_size),
    SystemApiFunction("subnet_self_copy", "III", "", STAR, identity.subnet_self_copy),
    SystemApiFunction("canister_status", "", "i", STAR, identity.canister_status),
    SystemApiFunction("canister_version", "", "l", STAR, identity.canister_version),
    SystemApiFunction("is_controller", "II", "i", EVERYWHERE, identity.is_controller),
    SystemApiFunction("in_replicated_execution", "", "i", EVERYWHERE, identity.in_replicated_execution),
    SystemApiFunction("root_key_size", "", "I", _ROOT_KEY, identity.root_key_size),
    SystemApiFunction("root_key_copy", "III", "", _ROOT_KEY, identity.root_key_copy),
    SystemApiFunction("time", "", "l", STAR, clock.time),
    SystemApiFunction("global_timer_set", "l", "l", _TIMER, clock.global_timer_set),
    SystemApiFunction("performance_counter", "i", "l", EVERYWHERE, clock.performance_counter),
    SystemApiFunction("certified_data_set", "II", "", _CERTIFIED, certified.certified_data_set),
    SystemApiFunction("data_certificate_present", "", "i", STAR, certified.data_certificate_present),
    SystemApiFunction("data_certificate_size", "", "I", _CERTIFICATE, certified.data_certificate_size),
    SystemApiFunction("data_certificate_copy", "III", "", _CERTIFICATE, certified.data_certificate_copy),
    SystemApiFunction("env_var_count", "", "I", STAR, variables.env_var_count),
    SystemApiFunction("env_var_name_size", "I", "I", STAR, variables.env_var_name_size),
    SystemApiFunction("env_var_name_copy", "IIII", "", STAR, variables.env_var_name_copy),
    SystemApiFunction("env_var_name_exists", "II", "i", STAR, variables.env_var_name_exists),
    SystemApiFunction("env_var_value_size", "II", "I", STAR, variables.env_var_value_size),
    SystemApiFunction("env_var_value_copy", "IIIII", "", STAR, variables.env_var_value_copy),
    SystemApiFunction("canister_cycle_balance", "", "l", STAR, cycles.canister_cycle_balance, only_32_bit=True),
    SystemApiFunction("canister_cycle_balance128", "I", "", STAR, cycles.canister_cycle_balance128),
    SystemApiFunction("canister_liquid_cycle_balance128", "I", "", STAR, cycles.canister_liquid_cycle_balance128),
    SystemApiFunction("msg_cycles_available", "", "l", _CYCLES_IN, cycles.msg_cycles_available, only_32_bit=True),
    SystemApiFunction("msg_cycles_available128", "I", "", _CYCLES_IN, cycles.msg_cycles_available128),
    SystemApiFunction("msg_cycles_accept", "l", "l", _CYCLES_IN, cycles.msg_cycles_accept, only_32_bit=True),
    SystemApiFunction("msg_cycles_accept128", "llI", "", _CYCLES_IN, cycles.msg_cycles_accept128),
    SystemApiFunction("msg_cycles_refunded", "", "l", _CYCLES_BACK, cycles.msg_cycles_refunded, only_32_bit=True),
    SystemApiFunction("msg_cycles_refunded128", "I", "", _CYCLES_BACK, cycles.msg_cycles_refunded128),
    SystemApiFunction("cycles_burn128", "llI", "", I | G | U | RQ | RY | RT | C | T, cycles.cycles_burn128),
    SystemApiFunction("mint_cycles128", "llI", "", _CYCLES_OUT, cycles.mint_cycles128, public=False),
    SystemApiFunction("call_new", "IIIIIIII", "", CALLING, calls.call_new),
    SystemApiFunction("call_on_cleanup", "II", "", CALLING, calls.call_on_cleanup),
    SystemApiFunction("call_data_append", "II", "", CALLING, calls.call_data_append),
    SystemApiFunction("call_with_best_effort_response", "i", "", CALLING, calls.call_with_best_effort_response),
    SystemApiFunction("call_cycles_add", "l", "", _CYCLES_OUT, calls.call_cycles_add, only_32_bit=True),
    SystemApiFunction("call_cycles_add128", "ll", "", _CYCLES_OUT, calls.call_cycles_add128),
    SystemApiFunction("call_perform", "", "i", CALLING, calls.call_perform),
    SystemApiFunction("stable64_size", "", "l", EVERYWHERE, None),
    SystemApiFunction("stable64_grow", "l", "l", EVERYWHERE, None),
    SystemApiFunction("stable64_write", "lll", "", EVERYWHERE, None),
    SystemApiFunction("stable64_read", "lll", "", EVERYWHERE, None),
    SystemApiFunction("stable_size", "", "i", EVERYWHERE, None, only_32_bit=True),
    SystemApiFunction("stable_grow", "i", "i", EVERYWHERE, None, only_32_bit=True),
    SystemApiFunction("stable_write", "iii", "", EVERYWHERE, None, only_32_bit=True),
    SystemApiFunction("stable_read", "iii", "", EVERYWHERE, None, only_32_bit=True),
    SystemApiFunction("cost_call", "llI", "", EVERYWHERE, costs.cost_call),
    SystemApiFunction("cost_create_canister", "I", "", EVERYWHERE, costs.cost_create_canister),
    SystemApiFunction("cost_http_request", "llI", "", EVERYWHERE, costs.cost_http_request),
    SystemApiFunction("cost_http_request_v2", "III", "", EVERYWHERE, costs.cost_http_request_v2),
    SystemApiFunction("cost_sign_with_ecdsa", "IIiI", "i", EVERYWHERE, costs.cost_sign_with_ecdsa),
    SystemApiFunction("cost_sign_with_schnorr", "IIiI", "i", EVERYWHERE, costs.cost_sign_with_schnorr),
    SystemApiFunction("cost_vetkd_derive_key", "IIiI", "i", EVERYWHERE, costs.cost_vetkd_derive_key),
    SystemApiFunction("debug_print", "II", "", EVERYWHERE, debug.debug_print),
    SystemApiFunction("trap", "II", "", EVERYWHERE, debug.trap),
)

BY_NAME: dict[str, SystemApiFunction] = {row.name: row for row in SYSTEM_API}
ONLY_32_BIT: frozenset[str] = frozenset(row.name for row in SYSTEM_API if row.only_32_bit)

_NO_ADDRESS = frozenset({"call_on_cleanup", "env_var_name_size"})
"""Their pointer-sized arguments are no addresses: the only such functions that work without a memory."""
_PRINTED = {"root_key_copy": "ic0.root_key_copy", "subnet_self_copy": "ic0.subnet_self_copy"}
"""Names that the replica prints with a dot when the mode is wrong; all others are `ic0_<name>`."""


def signatures(pointer: str) -> dict[str, tuple[str, str]]:
    """Parameters and results of every function that a module may import, by name.

    `pointer` is the letter of the module's pointer type, `i` or `l`; the answer has only these two letters.
    """
    return {
        row.name: (row.params.replace("I", pointer), row.results.replace("I", pointer))
        for row in SYSTEM_API
        if pointer == "i" or not row.only_32_bit
    }


def uses_heap(row: SystemApiFunction) -> bool:
    """Whether the function needs the module to have a memory."""
    return "I" in row.params and row.name not in _NO_ADDRESS


def refusal(row: SystemApiFunction, x: Execution) -> GuestTrap:
    """The trap of a function that may not be called now; as in the replica a missing memory comes before all else."""
    if x.heap is None and uses_heap(row):
        return no_memory()
    printed = _PRINTED.get(row.name, f"ic0_{row.name}")
    return violation(f'"{printed}" cannot be executed in {x.mode_name} mode')


def bind(row: SystemApiFunction) -> Callable[..., int | None]:
    """The row's function behind its mode check: `(execution, *arguments) -> result`; raises `GuestTrap`.

    Not for the stable memory functions, which are WebAssembly and allowed everywhere.
    """
    if row.function is None:
        raise ValueError(f"{row.name} is a function of the companion module")
    function: Callable[..., int | None] = row.function
    allowed = int(row.modes)
    if not uses_heap(row):
        return function if row.modes == EVERYWHERE else _with_mode(row, function, allowed)

    def with_heap(x: Execution, *args: int) -> int | None:
        if x.heap is not None and x.mode_bit & allowed:
            return function(x, *args)
        raise refusal(row, x)

    return with_heap


def _with_mode(row: SystemApiFunction, function: Callable[..., int | None], allowed: int) -> Callable[..., int | None]:
    def with_mode(x: Execution, *args: int) -> int | None:
        if x.mode_bit & allowed:
            return function(x, *args)
        raise refusal(row, x)

    return with_mode

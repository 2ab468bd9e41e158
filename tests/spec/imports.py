"""Which function may be called where: the comments of the specification's list of imports, in its order.

`*` is everywhere but `s`; the letters are explained in the interface specification, "Overview of imports".
"""

from __future__ import annotations

from typing import Final

LETTERS: Final = ("s", "I", "G", "U", "RQ", "NRQ", "TQ", "CQ", "Ry", "Rt", "CRy", "CRt", "C", "CC", "F", "T")

_SPECIFIED = """
msg_arg_data_size msg_arg_data_copy: I U RQ NRQ TQ CQ Ry CRy F
msg_caller_size msg_caller_copy: *
msg_caller_info_data_size msg_caller_info_data_copy: U RQ NRQ CQ Ry Rt CRy CRt C CC F
msg_caller_info_signer_size msg_caller_info_signer_copy: U RQ NRQ CQ Ry Rt CRy CRt C CC F
msg_reject_code: Ry Rt CRy CRt C
msg_reject_msg_size msg_reject_msg_copy: Rt CRt
msg_deadline: U RQ NRQ CQ Ry Rt CRy CRt
msg_reply_data_append msg_reply msg_reject: U RQ NRQ TQ CQ Ry Rt CRy CRt
msg_cycles_available128 msg_cycles_available msg_cycles_accept128 msg_cycles_accept: U RQ Rt Ry
msg_cycles_refunded128 msg_cycles_refunded: Rt Ry
cycles_burn128: I G U RQ Ry Rt C T
canister_self_size canister_self_copy: *
canister_cycle_balance128 canister_cycle_balance canister_liquid_cycle_balance128: *
canister_status canister_version: *
subnet_self_size subnet_self_copy: *
msg_method_name_size msg_method_name_copy accept_message: F
call_new call_on_cleanup call_data_append call_with_best_effort_response call_perform: U CQ Ry Rt CRy CRt T
call_cycles_add128 call_cycles_add: U Ry Rt T
stable64_size stable64_grow stable64_write stable64_read: * s
stable_size stable_grow stable_write stable_read: * s
root_key_size root_key_copy: I G U RQ Ry Rt C T
certified_data_set: I G U Ry Rt T
data_certificate_present: *
data_certificate_size data_certificate_copy: NRQ CQ
time: *
global_timer_set: I G U Ry Rt C T
performance_counter is_controller in_replicated_execution: * s
cost_call cost_create_canister cost_http_request cost_http_request_v2: * s
cost_sign_with_ecdsa cost_sign_with_schnorr cost_vetkd_derive_key: * s
env_var_count env_var_name_size env_var_name_copy: *
env_var_name_exists env_var_value_size env_var_value_copy: *
debug_print trap: * s
"""
_UNPUBLISHED = """
mint_cycles128: U Ry Rt T
"""


def _parsed(text: str) -> dict[str, frozenset[str]]:
    table = {}
    for line in text.strip().splitlines():
        names, letters = line.split(":")
        modes = set(letters.split())
        if "*" in modes:
            modes |= set(LETTERS) - {"s"}
        for name in names.split():
            table[name] = frozenset(modes & set(LETTERS))
    return table


PUBLIC: Final = _parsed(_SPECIFIED)
UNPUBLISHED: Final = _parsed(_UNPUBLISHED)
ALLOWED: Final = PUBLIC | UNPUBLISHED

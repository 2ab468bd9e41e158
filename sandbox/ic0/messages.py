"""Method arguments, responding and ingress message inspection: interface specification, "System API".

Covers `msg_arg_data_*`, `msg_caller_*`, `msg_reject_*`, `msg_deadline`, `msg_reply*`, `msg_reject`, `msg_method_name_*`
and `accept_message`. Texts and order of checks: `dfinity/ic` `system_api.rs`.
"""

from __future__ import annotations

from sandbox.ic0.access import copy_out, load, violation
from sandbox.ic0.modes import CQ, CRY, NRQ, RY, TQ
from sandbox.ic0.state import Execution, Rejected, Replied
from sandbox.limits import REPLY_QUERY, REPLY_REPLICATED

_QUERIES = int(NRQ | TQ | CQ)
_REPLY_CALLBACKS = int(RY | CRY)


def msg_arg_data_size(x: Execution) -> int:
    return len(x.arg)


def msg_arg_data_copy(x: Execution, dst: int, offset: int, size: int) -> None:
    copy_out(x, "ic0.msg_arg_data_copy", "payload", x.arg, (dst, offset, size))


def msg_caller_size(x: Execution) -> int:
    return len(bytes(x.env.caller))


def msg_caller_copy(x: Execution, dst: int, offset: int, size: int) -> None:
    copy_out(x, "ic0.msg_caller_copy", "id", bytes(x.env.caller), (dst, offset, size))


def msg_caller_info_data_size(x: Execution) -> int:
    return len(x.env.caller_info_data)


def msg_caller_info_data_copy(x: Execution, dst: int, offset: int, size: int) -> None:
    copy_out(x, "ic0.msg_caller_info_data_copy", "info", x.env.caller_info_data, (dst, offset, size))


def msg_caller_info_signer_size(x: Execution) -> int:
    return len(x.env.caller_info_signer)


def msg_caller_info_signer_copy(x: Execution, dst: int, offset: int, size: int) -> None:
    copy_out(x, "ic0.msg_caller_info_signer_copy", "signer", x.env.caller_info_signer, (dst, offset, size))


def msg_reject_code(x: Execution) -> int:
    """0 in a reply callback; in a cleanup callback, the code of the response whose callback trapped."""
    return 0 if x.mode_bit & _REPLY_CALLBACKS else x.reject_code


def msg_reject_msg_size(x: Execution) -> int:
    return len(x.reject_message.encode())


def msg_reject_msg_copy(x: Execution, dst: int, offset: int, size: int) -> None:
    copy_out(x, "ic0.msg_reject_msg_copy", "msg", x.reject_message.encode(), (dst, offset, size))


def msg_deadline(x: Execution) -> int:
    return x.env.deadline


def _go_on_with_reply(x: Execution) -> None:
    """Take over a reply that was begun without the host."""
    if x.control is not None:
        x.control.take_reply(x)


def _reply_limit(x: Execution) -> int:
    return REPLY_QUERY if x.mode_bit & _QUERIES else REPLY_REPLICATED


def msg_reply_data_append(x: Execution, src: int, size: int) -> None:
    """Append to the reply; the buffer belongs to this execution alone."""
    _go_on_with_reply(x)
    if x.responded:
        raise violation("ic0.msg_reply_data_append: the call is already replied.")
    total, limit = len(x.reply_data) + size, _reply_limit(x)
    if total > limit:
        total = min(total, (1 << 64) - 1)
        raise violation(f"ic0.msg_reply_data_append: application payload size ({total}) cannot be larger than {limit}.")
    x.reply_data += load(x, "msg.reply", src, size)


def msg_reply(x: Execution) -> None:
    _go_on_with_reply(x)
    if x.responded:
        raise violation("ic0.msg_reply: the call is already replied")
    x.response = Replied(bytes(x.reply_data))
    x.reply_data = bytearray()


def msg_reject(x: Execution, src: int, size: int) -> None:
    _go_on_with_reply(x)
    if x.responded:
        raise violation("ic0.msg_reject: the call is already replied")
    limit = _reply_limit(x)
    if size > limit:
        raise violation(f"ic0.msg_reject: application payload size ({size}) cannot be larger than {limit}.")
    message = load(x, "ic0.msg_reject", src, size)
    try:
        x.response = Rejected(message.decode())
    except UnicodeDecodeError:
        raise violation("ic0.msg_reject: invalid UTF-8 string provided") from None
    x.reply_data = bytearray()


def msg_method_name_size(x: Execution) -> int:
    return len(x.inspected_method.encode())


def msg_method_name_copy(x: Execution, dst: int, offset: int, size: int) -> None:
    copy_out(x, "ic0.msg_method_name_copy", "payload", x.inspected_method.encode(), (dst, offset, size))


def accept_message(x: Execution) -> None:
    if x.message_accepted:
        raise violation("ic0.accept_message: the function was already called.")
    x.message_accepted = True

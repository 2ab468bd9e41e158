"""Costs: interface specification, "Costs". Texts and order of checks: `dfinity/ic` `system_api.rs`.

Fees come from `Environment.fee_functions`, a table from names to functions; an absent name costs nothing:

    cost_call(method_name_size, payload_size)
    cost_create_canister()
    cost_http_request(request_size, max_response_size)
    cost_http_request_v2(parameters)        Candid bytes as the canister passed them; None if they do not decode
    cost_sign_with_ecdsa(key_name, curve)
    cost_sign_with_schnorr(key_name, algorithm)
    cost_vetkd_derive_key(key_name, curve)
        these three give None for a key that is not known; without an entry every key is known
    call_perform(payload_size)      withdrawn by `ic0.call_perform`: sending and the execution of the response
"""

from __future__ import annotations

from sandbox.ic0.access import load, store_cycles, violation
from sandbox.ic0.state import Execution

SUCCESS, UNKNOWN_CURVE, UNKNOWN_KEY = 0, 1, 2
ECDSA_CURVES = 1
SCHNORR_ALGORITHMS = 2
VETKD_CURVES = 1


def _fee(x: Execution, name: str, *args: int | str | bytes) -> int | None:
    function = x.env.fee_functions.get(name)
    return 0 if function is None else function(*args)


def cost_call(x: Execution, method_name_size: int, payload_size: int, dst: int) -> None:
    store_cycles(x, "ic0_cost_call", _fee(x, "cost_call", method_name_size, payload_size) or 0, dst)


def cost_create_canister(x: Execution, dst: int) -> None:
    store_cycles(x, "ic0_cost_create_canister", _fee(x, "cost_create_canister") or 0, dst)


def cost_http_request(x: Execution, request_size: int, max_res_bytes: int, dst: int) -> None:
    fee = _fee(x, "cost_http_request", request_size, max_res_bytes) or 0
    store_cycles(x, "ic0_cost_http_request", fee, dst)


def cost_sign_with_ecdsa(x: Execution, src: int, size: int, curve: int, dst: int) -> int:
    return _sign(x, "cost_sign_with_ecdsa", ECDSA_CURVES, (src, size, curve, dst))


def cost_sign_with_schnorr(x: Execution, src: int, size: int, algorithm: int, dst: int) -> int:
    return _sign(x, "cost_sign_with_schnorr", SCHNORR_ALGORITHMS, (src, size, algorithm, dst))


def cost_vetkd_derive_key(x: Execution, src: int, size: int, curve: int, dst: int) -> int:
    return _sign(x, "cost_vetkd_derive_key", VETKD_CURVES, (src, size, curve, dst))


def _sign(x: Execution, name: str, kinds: int, args: tuple[int, int, int, int]) -> int:
    src, size, kind, dst = args
    raw = load(x, f"ic0.{name} heap", src, size)
    try:
        key = raw.decode()
    except UnicodeDecodeError:
        raise violation(f"Failed to decode key name {raw.decode(errors='replace')}") from None
    if kind >= kinds:
        return UNKNOWN_CURVE
    fee = _fee(x, name, key, kind)
    if fee is None:
        return UNKNOWN_KEY
    store_cycles(x, f"ic0_{name}", fee, dst)
    return SUCCESS


def cost_http_request_v2(x: Execution, src: int, size: int, dst: int) -> None:
    """Of an outcall of pricing version 2: its parameters are a Candid record (dfinity/ic#11517)."""
    fee = _fee(x, "cost_http_request_v2", load(x, "ic0.cost_http_request_v2 heap", src, size))
    if fee is None:
        raise violation("Failed to decode HttpRequestV2CostParams from Candid: not the expected record")
    store_cycles(x, "ic0_cost_http_request_v2", fee, dst)

"""Every function of the system interface in every context: interface specification, "Overview of imports"."""

from __future__ import annotations

from functools import cache

import pytest

from tests.spec.contexts import CONTEXTS, Sample
from tests.spec.guest import *
from tests.spec.imports import ALLOWED

PRINTED = {"root_key_copy": "ic0.root_key_copy", "subnet_self_copy": "ic0.subnet_self_copy"}
"""The two functions whose name the replica prints with a dot."""
HELP = (
    "Check the ICP documentation to make sure APIs are being called in the correct message types. See documentation: "
    "https://internetcomputer.org/docs/current/references/execution-errors#calling-a-system-api-from-the-wrong-mode"
)
PREPARED = {
    "msg_reject": reject("no"),
    "call_on_cleanup": call_new("x") + do("call_on_cleanup", 0, 0),
    "call_data_append": call_new("x") + do("call_data_append", "argument"),
    "call_with_best_effort_response": call_new("x") + do("call_with_best_effort_response", 1),
    "call_cycles_add": call_new("x") + do("call_cycles_add", 1),
    "call_cycles_add128": call_new("x") + do("call_cycles_add128", 0, 1),
    "call_new": call_new("x"),
    "call_perform": call_new("x") + evaluate(call_perform()),
    "msg_reply_data_append": append("part"),
    "env_var_name_size": evaluate(copied("env_var_name", 0)),
    "env_var_name_copy": evaluate(copied("env_var_name", 0)),
    "env_var_name_exists": do("env_var_name_exists", "name"),
    "env_var_value_size": evaluate(copied("env_var_value", "name")),
    "env_var_value_copy": evaluate(copied("env_var_value", "name")),
    "stable64_read": evaluate(stable_grow(1)) + do("stable64_read", 0, 0, 8),
    "stable64_write": evaluate(stable_grow(1)) + do("stable64_write", 0, 0, 8),
    "stable_read": evaluate(stable_grow(1)) + do("stable_read", 0, 0, 8),
    "stable_write": evaluate(stable_grow(1)) + do("stable_write", 0, 0, 8),
    "is_controller": do("is_controller", "x"),
    "certified_data_set": do("certified_data_set", "data"),
    "debug_print": debug_print("text"),
    "cost_sign_with_ecdsa": do("cost_sign_with_ecdsa", "key_1", 0, 0),
    "cost_sign_with_schnorr": do("cost_sign_with_schnorr", "key_1", 0, 0),
    "cost_vetkd_derive_key": do("cost_vetkd_derive_key", "key_1", 0, 0),
}
"""What else has to be said so that the function has something to do."""
TRAPS_ANYWAY = {
    "trap": "Canister called `ic0.trap` with message: ''",
    "mint_cycles128": "ic0.mint_cycles128 cannot be executed on non Cycles Minting Canister",
}


def bare(name: str) -> Do:
    """The call alone, with zeros."""
    return do(name, *[0] * len(FUNCTIONS[name].params))


def sensible(name: str) -> Do:
    """The call as a program would make it."""
    if name in PREPARED:
        return PREPARED[name]
    if name.endswith("128") and name != "mint_cycles128":
        return evaluate(wide(name, *[0] * (len(FUNCTIONS[name].params) - 1)))
    if name.endswith("_copy"):
        return evaluate(copied(name.removesuffix("_copy")))
    return bare(name)


@cache
def sample(bits: int) -> Sample:
    return Sample(bits)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", CONTEXTS)
def test_functions_work_where_they_are_allowed_and_trap_elsewhere(name: str, bits: int) -> None:
    context, there = CONTEXTS[name], sample(bits)
    wrong = {}
    for function, letters in ALLOWED.items():
        if bits == 64 and FUNCTIONS[function].narrow:
            continue
        allowed = context.letter in letters
        said = there.outcome(context, sensible(function) if allowed else bare(function))
        if not (_worked(function, said) if allowed else _refused(name, function, said)):
            wrong[function] = said
    assert wrong == {}


def _worked(function: str, said: str | None) -> bool:
    if said is None:
        return function in TRAPS_ANYWAY
    return TRAPS_ANYWAY[function] in said if function in TRAPS_ANYWAY else said == ""


def _refused(name: str, function: str, said: str | None) -> bool:
    """The right text; what goes wrong in a task nobody is told, and cleanup is told after its callback."""
    if said is None:
        return CONTEXTS[name].letter == "T"
    printed = PRINTED.get(function, f"ic0_{function}")
    text = f'Canister violated contract: "{printed}" cannot be executed in {CONTEXTS[name].mode} mode'
    return text in said and (name.endswith("cleanup") or said.endswith(f".\n{HELP}"))

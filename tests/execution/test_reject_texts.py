"""What a calling canister reads when its call is rejected: only failures of an execution begin with an error code.

Sources: `dfinity/ic` `rs/types/types/src/messages/inter_canister.rs` (`Payload::from`, `RejectContext::from`),
`rs/messaging/src/routing/stream_handler.rs` (`generate_reject_response_for`).
"""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import CallRejected, ErrorCode, Principal, Sandbox
from sandbox.candid import encode
from sandbox.management.table import signature
from tests.spec import guest as u
from tests.spec.guest import Guest, blob, guest, module, reply

ME = Principal.management()
TOLD = reply(u.pack(u.reject_code()) + u.reject_message())
Told = tuple[int, str]


@pytest.fixture
def caller(sandbox: Sandbox) -> Guest:
    return guest(sandbox)


def told(caller: Guest, *program: u.Do) -> Told:
    """Reject code and text as the canister reads them."""
    answer = caller.do(*program)
    return int.from_bytes(answer[:8], "little"), answer[8:].decode()


def told_by_management(caller: Guest, method: str, argument: Any) -> Told:
    arg = encode(signature(method).args, [argument])
    return told(caller, u.call(bytes(ME), blob(arg), method=method, on_reject=TOLD))


def of_a_call(caller: Guest, callee: Principal | bytes, *program: u.Do) -> Told:
    return told(caller, u.call(bytes(callee), u.code(*program), on_reject=TOLD))


def installation(target: Guest, wasm: bytes, mode: dict[str, Any], arg: bytes = b"") -> dict[str, Any]:
    return {"mode": mode, "canister_id": target.id, "wasm_module": wasm, "arg": arg, "sender_canister_version": None}


def test_a_failed_execution_is_told_with_its_error_code(sandbox: Sandbox, caller: Guest) -> None:
    other = guest(sandbox)
    error = f"Error from Canister {other.id}: Canister"
    code, text = of_a_call(caller, other.id, u.trap("no"))
    assert (code, text.split(".\n")[0]) == (5, f"IC0503: {error} called `ic0.trap` with message: 'no'")
    code, text = told(caller, u.call(other, method="missing", on_reject=TOLD))
    assert (code, text.split(".\n")[0]) == (5, f"IC0536: {error} has no update method 'missing'.")


def test_what_a_canister_says_itself_is_told_as_it_is(sandbox: Sandbox, caller: Guest) -> None:
    assert of_a_call(caller, guest(sandbox).id, u.reject("no")) == (4, "no")
    assert of_a_call(caller, guest(sandbox).id) == (5, "No response")


def test_a_call_that_is_not_taken_has_no_error_code(sandbox: Sandbox, caller: Guest) -> None:
    other = guest(sandbox)
    other.stop()
    assert of_a_call(caller, other.id) == (5, f"Canister {other.id} is stopped")
    other.delete()
    assert of_a_call(caller, other.id) == (3, f"Canister {other.id} not found")
    nowhere = Principal(b"\7")
    assert of_a_call(caller, nowhere) == (3, f"No route to canister {nowhere}")


def test_a_call_to_a_stopping_canister_has_no_error_code(sandbox: Sandbox, caller: Guest) -> None:
    """A canister that waits for its own answer is stopping; it is told by another that it is."""
    waiting = guest(sandbox, controllers=[sandbox.identity("default"), caller.id])
    stop = encode(signature("stop_canister").args, [{"canister_id": waiting.id}])
    ask = u.call(waiting, reply(), on_reject=TOLD)
    begin = u.call(bytes(ME), blob(stop), method="stop_canister", on_reply=u.NOTHING, on_reject=u.NOTHING)
    slow = u.call(caller, u.code(begin, ask))
    assert told(waiting, slow) == (5, f"Canister {waiting.id} is stopping")


def test_refusals_of_the_management_canister_have_no_error_code(sandbox: Sandbox, caller: Guest) -> None:
    other = guest(sandbox)
    code, text = told_by_management(caller, "stop_canister", {"canister_id": other.id})
    assert (code, text.split("\n")[0]) == (5, f"Only the controllers of the canister {other.id} can control it.")
    code, text = told_by_management(caller, "start_canister", {"canister_id": Principal.from_index(99)})
    assert (code, text.split("\n")[0]) == (3, f"Canister {Principal.from_index(99)} not found.")


def test_a_hook_that_traps_in_an_installation_has_no_error_code(sandbox: Sandbox, caller: Guest) -> None:
    target = guest(sandbox, controllers=[caller.id])
    argument = installation(target, module(), {"reinstall": None}, u.code(u.trap("no")))
    code, text = told_by_management(caller, "install_code", argument)
    assert code == 5
    assert text.startswith(f"Error from Canister {target.id}: Canister called `ic0.trap` with message: 'no'")


def test_open_calls_of_an_uninstalled_canister_are_rejected_without_an_error_code(
    sandbox: Sandbox, caller: Guest
) -> None:
    victim = guest(sandbox, controllers=[sandbox.identity("default"), caller.id])
    uninstall = encode(signature("uninstall_code").args, [{"canister_id": victim.id, "sender_canister_version": None}])
    helper = u.call(bytes(ME), blob(uninstall), method="uninstall_code")
    assert of_a_call(caller, victim.id, u.call(caller, helper)) == (4, "Canister has been uninstalled.")


def test_an_upgrade_option_that_does_not_fit_is_no_error_from_the_canister(sandbox: Sandbox, caller: Guest) -> None:
    target = guest(sandbox, controllers=[sandbox.identity("default"), caller.id])
    text = (
        "Invalid upgrade option: The `wasm_memory_persistence: opt Keep` upgrade option requires that the new canister "
        "module supports enhanced orthogonal persistence."
    )
    options = {"skip_pre_upgrade": None, "wasm_memory_persistence": {"keep": None}}
    argument = installation(target, module(), {"upgrade": options})
    assert told_by_management(caller, "install_code", argument) == (5, text)
    with pytest.raises(CallRejected) as caught:
        target.install(module(), mode="upgrade", wasm_memory_persistence="keep")
    assert (caught.value.error_code, caught.value.message) == (ErrorCode.CANISTER_CONTRACT_VIOLATION, text)

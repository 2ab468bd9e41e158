"""Interface specification, "Self-identification", "Canister status", "Canister version", "Time", "Controllers"."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode, Principal, Sandbox
from tests.conftest import rejected
from tests.management.methods import encoded
from tests.spec.conftest import BOTH
from tests.spec.guest import *

pytestmark = BOTH
VERSION = reply_number(ic0("canister_version"))


def test_a_canister_knows_its_id(a: Guest) -> None:
    assert a.do(reply(self_id())) == bytes(a.id)
    assert a.ask(reply(self_id())) == bytes(a.id)


def test_the_id_of_the_subnet_has_29_bytes_and_is_the_same_for_all(a: Guest, b: Guest) -> None:
    subnet = a.do(reply(copied("subnet_self")))
    assert (len(subnet), b.ask(reply(copied("subnet_self")))) == (29, subnet)


def test_the_root_key_is_a_der_key_of_133_bytes(a: Guest) -> None:
    key = a.do(reply(copied("root_key")))
    assert (len(key), key[:5].hex()) == (133, "308182301d")


# --- status


def test_a_running_canister_has_status_1(a: Guest) -> None:
    assert count(a.do(reply_number(ic0("canister_status")))) == 1


def test_a_canister_that_is_stopped_while_it_waits_has_status_2(a: Guest, b: Guest) -> None:
    b.update_settings(controllers=[a.id])
    stop = call_new(Principal.management(), "stop_canister")
    stop += do("call_data_append", encoded("stop_canister", {"canister_id": b.id})) + evaluate(call_perform())
    meanwhile = stop + call(a, reply())
    assert count(b.do(call(a, meanwhile, on_reply=reply_number(ic0("canister_status"))))) == 2


def test_a_stopped_canister_has_status_3_in_its_hooks(a: Guest, bits: int) -> None:
    a.do(on_pre_upgrade(stable_status()), reply())
    a.stop()
    a.upgrade(module(bits))
    a.start()
    assert count(a.ask(reply(stable_read(0, 8)))) == 3


def stable_status() -> Do:
    return evaluate(stable_grow(1)) + stable_write(0, pack(ic0("canister_status")))


# --- version


def test_the_version_grows_with_every_update(a: Guest) -> None:
    first = count(a.do(VERSION))
    assert count(a.do(VERSION)) == first + 1


def test_the_version_stays_with_queries(a: Guest) -> None:
    first = count(a.ask(VERSION))
    assert count(a.ask(VERSION)) == first


def test_the_version_stays_with_traps(a: Guest) -> None:
    first = count(a.ask(VERSION))
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "no", a.do, trap("no"))
    assert count(a.ask(VERSION)) == first


def test_the_version_is_constant_within_a_message(a: Guest) -> None:
    version = ic0("canister_version")
    assert count(a.do(set_global(version), reply_number(version - get_global()))) == 0


def test_the_version_grows_with_callbacks(a: Guest, b: Guest) -> None:
    first = count(a.ask(VERSION))
    assert count(a.do(call(b, reply(), on_reply=VERSION))) == first + 1


def test_init_and_post_upgrade_see_the_next_version(sandbox: Sandbox, bits: int) -> None:
    keep_version = set_slot(6, pack(ic0("canister_version")))
    c = guest(sandbox, keep_version, bits=bits)
    assert count(c.ask(reply(slot(6)))) == 1
    c.upgrade(module(bits), code(keep_version))
    assert count(c.ask(reply(slot(6)))) == 2


def test_pre_upgrade_sees_the_old_version(a: Guest, bits: int) -> None:
    a.do(on_pre_upgrade(evaluate(stable_grow(1)) + stable_write(0, pack(ic0("canister_version")))), reply())
    version = count(a.ask(VERSION))
    a.upgrade(module(bits))
    assert count(a.ask(reply(stable_read(0, 8)))) == version
    assert count(a.ask(VERSION)) == version + 1


@pytest.mark.parametrize("action", ["start", "stop", "update_settings", "load_snapshot"])
def test_the_version_grows_with_management(action: str, a: Guest) -> None:
    snapshot = a.take_snapshot()
    first = a.status().version
    {"load_snapshot": lambda: a.load_snapshot(snapshot.id)}.get(action, getattr(a, action))()
    assert a.status().version > first


def test_taking_a_snapshot_leaves_the_version(a: Guest) -> None:
    first = a.status().version
    a.take_snapshot()
    assert a.status().version == first


# --- time


def test_time_is_the_sandboxs(a: Guest, sandbox: Sandbox) -> None:
    assert count(a.do(reply_number(ic0("time")))) == sandbox.time
    sandbox.advance_time(nanoseconds=7)
    assert count(a.ask(reply_number(ic0("time")))) == sandbox.time


def test_time_stands_still_within_a_message(a: Guest) -> None:
    assert count(a.do(set_global(ic0("time")), spin(1000), reply_number(ic0("time") - get_global()))) == 0


# --- controllers


def test_a_canister_knows_its_controllers(a: Guest, sandbox: Sandbox) -> None:
    alice, bob = sandbox.identity("alice"), sandbox.identity("bob")
    a.update_settings(controllers=[alice, a.id])
    for who, expected in ((alice, 1), (bob, 0), (a.id, 1)):
        assert count(a.do(reply_number(ic0("is_controller", bytes(who))))) == expected
        assert count(a.ask(reply_number(ic0("is_controller", bytes(who))))) == expected


def test_nobody_is_a_controller_by_an_empty_id(a: Guest) -> None:
    assert count(a.do(reply_number(ic0("is_controller", b"")))) == 0


# --- environment variables


@pytest.fixture
def named(a: Guest) -> Guest:
    a.update_settings(environment_variables=[("b", "second"), ("a", "first"), ("ä", "ünïcode"), ("", "no name")])
    return a


def test_variables_are_counted(a: Guest, named: Guest) -> None:
    assert count(named.do(reply_number(ic0("env_var_count")))) == 4


def test_variables_are_in_the_order_of_their_names(named: Guest) -> None:
    names = [named.ask(reply(copied("env_var_name", k))).decode() for k in range(4)]
    assert names == ["", "a", "b", "ä"]


def test_a_variable_has_a_value(named: Guest) -> None:
    assert named.do(reply(copied("env_var_value", "ä"))).decode() == "ünïcode"
    assert named.do(reply(copied("env_var_value", ""))) == b"no name"


def test_a_variable_exists_or_does_not(named: Guest) -> None:
    both = pack(ic0("env_var_name_exists", "a")) + pack(ic0("env_var_name_exists", "c"))
    assert named.do(reply(both)) == bytes([1, 0, 0, 0, 0, 0, 0, 0]) + bytes(8)


def test_an_index_beyond_the_last_variable_traps(named: Guest) -> None:
    text = "Environment variable index 4 is out of bounds. The number of environment variables is 4."
    for name in ("env_var_name_size", "env_var_name_copy"):
        program = do(name, *[4, 0, 0, 0][: len(FUNCTIONS[name].params)])
        rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, text, named.do, program)


def test_a_variable_that_is_not_there_traps(named: Guest) -> None:
    text = "Environment variable nothing not found."
    for name in ("env_var_value_size", "env_var_value_copy"):
        program = do(name, "nothing", *[0, 0, 0][: len(FUNCTIONS[name].params) - 2])
        rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, text, named.do, program)


@pytest.mark.parametrize("name", ["env_var_name_exists", "env_var_value_size"])
def test_the_name_of_a_variable_is_short_and_utf8(name: str, named: Guest) -> None:
    violation = ErrorCode.CANISTER_CONTRACT_VIOLATION
    rejected(violation, f"ic0.{name}: Variable name is too large", named.do, do(name, bytes(129)))
    rejected(violation, f"ic0.{name}: Variable name is not a valid UTF-8 string", named.do, do(name, b"\xff"))


def test_no_variables_are_zero(a: Guest) -> None:
    assert count(a.do(reply_number(ic0("env_var_count")))) == 0

"""Identity, clock, certified data, variables and debugging aids: interface specification, "System API"."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.errors import ErrorCode
from sandbox.ic0.access import heap_of
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Execution, GuestTrap
from sandbox.ic0.table import BY_NAME, bind
from sandbox.limits import KIB
from sandbox.principal import Principal

Start = Callable[..., Execution]
VIOLATION = "Canister violated contract: "
MOST = (1 << 64) - 1


def call(x: Execution, name: str, *args: int) -> int | None:
    return bind(BY_NAME[name])(x, *args)


def trap_of(x: Execution, name: str, *args: int) -> str:
    with pytest.raises(GuestTrap) as caught:
        call(x, name, *args)
    assert caught.value.code is ErrorCode.CANISTER_CONTRACT_VIOLATION
    return caught.value.text


def test_status_version_and_time(start: Start) -> None:
    x = start(Mode.UPDATE, status=2, version=MOST, time=5)
    assert [call(x, name) for name in ("canister_status", "canister_version", "time")] == [2, MOST, 5]


def test_controllers(start: Start) -> None:
    alice = Principal.self_authenticating(b"alice")
    x = start(Mode.START, controllers=frozenset({alice}), memory=64)
    heap_of(x).write(0, bytes(alice))
    assert call(x, "is_controller", 0, 29) == 1
    assert call(x, "is_controller", 0, 28) == 0
    assert call(x, "is_controller", 0, 0) == 0
    assert trap_of(x, "is_controller", 0, 30) == "Canister provided invalid principal id"
    text = VIOLATION + "ic0.is_controller: src=60 + length=5 exceeds the slice size=64"
    assert trap_of(x, "is_controller", 60, 5) == text


def test_global_timer_gives_back_what_it_was(start: Start) -> None:
    x = start(Mode.UPDATE, global_timer=3)
    assert [call(x, "global_timer_set", value) for value in (9, 0, MOST)] == [3, 9, 0]
    assert x.global_timer == MOST
    assert call(start(Mode.UPDATE), "global_timer_set", 0) == 0


def test_performance_counter_of_a_wrong_type(start: Start) -> None:
    text = VIOLATION + "Error getting performance counter type 2"
    assert trap_of(start(Mode.REPLY), "performance_counter", 2) == text


def test_certified_data(start: Start) -> None:
    x = start(Mode.UPDATE, memory=64)
    heap_of(x).write(0, bytes(range(64)))
    call(x, "certified_data_set", 32, 32)
    assert x.certified_data == bytes(range(32, 64))
    call(x, "certified_data_set", 0, 0)
    assert x.certified_data == b""
    assert trap_of(x, "certified_data_set", 99, 33) == VIOLATION + (
        "ic0_certified_data_set failed because the passed data must be no larger than 32 bytes. Found 33 bytes."
    )
    assert trap_of(x, "certified_data_set", 60, 5) == VIOLATION + (
        "ic0_certified_data_set failed because src + size is out of bounds. "
        "Found src = 60 and size = 5 while src + size must be <= 64"
    )


def test_a_certificate_is_there_for_query_calls_alone(start: Start) -> None:
    for mode in set(Mode) - {Mode.START}:
        present = call(start(mode, certificate=b"c"), "data_certificate_present")
        assert present == int(mode in (Mode.NON_REPLICATED_QUERY, Mode.COMPOSITE_QUERY))
    x = start(Mode.NON_REPLICATED_QUERY)
    assert call(x, "data_certificate_present") == 0
    text = '"ic0_data_certificate_size" cannot be executed in non replicated query mode'
    assert trap_of(x, "data_certificate_size") == VIOLATION + text
    assert "ic0_data_certificate_copy" in trap_of(x, "data_certificate_copy", 0, 0, 0)


def test_copying_a_certificate_checks_it_before_the_heap(start: Start) -> None:
    x = start(Mode.NON_REPLICATED_QUERY, certificate=b"0123456789", memory=20)
    assert call(x, "data_certificate_size") == 10
    call(x, "data_certificate_copy", 11, 1, 9)
    assert heap_of(x).read(11, 9) == b"123456789"
    assert trap_of(x, "data_certificate_copy", MOST, 2, 9) == VIOLATION + (
        "ic0_data_certificate_copy failed because offset + size is out of bounds. "
        "Found offset = 2 and size = 9 while offset + size must be <= 10"
    )
    assert trap_of(x, "data_certificate_copy", 12, 1, 9) == VIOLATION + (
        "ic0_data_certificate_copy failed because dst + size is out of bounds. "
        "Found dst = 12 and size = 9 while dst + size must be <= 20"
    )


VARIABLES = (("a", "1"), ("ö", "zwei"))


def test_environment_variables_by_index(start: Start) -> None:
    x = start(Mode.UPDATE, environment_variables=VARIABLES, memory=10)
    assert call(x, "env_var_count") == 2
    assert [call(x, "env_var_name_size", index) for index in (0, 1)] == [1, 2]
    call(x, "env_var_name_copy", 1, 8, 0, 2)
    assert heap_of(x).read(8, 2) == "ö".encode()
    text = "Environment variable index 2 is out of bounds. The number of environment variables is 2."
    assert trap_of(x, "env_var_name_size", 2) == text
    assert trap_of(x, "env_var_name_copy", 2, MOST, MOST, MOST) == text
    text = VIOLATION + "ic0.env_var_name_copy name: src=1 + length=2 exceeds the slice size=2"
    assert trap_of(x, "env_var_name_copy", 1, 0, 1, 2) == text
    text = VIOLATION + "ic0.env_var_name_copy heap: src=9 + length=2 exceeds the slice size=10"
    assert trap_of(x, "env_var_name_copy", 1, 9, 0, 2) == text


def test_environment_variables_by_name(start: Start) -> None:
    x = start(Mode.UPDATE, environment_variables=VARIABLES, memory=300)
    heap_of(x).write(0, "öb".encode())
    assert call(x, "env_var_name_exists", 0, 2) == 1
    assert call(x, "env_var_name_exists", 2, 1) == 0
    assert call(x, "env_var_value_size", 0, 2) == 4
    call(x, "env_var_value_copy", 0, 2, 10, 1, 3)
    assert heap_of(x).read(10, 3) == b"wei"
    for name, more in (("env_var_value_size", []), ("env_var_value_copy", [MOST, 0, 0])):
        assert trap_of(x, name, 2, 1, *more) == "Environment variable b not found."
    text = VIOLATION + "ic0.env_var_value_copy value: src=2 + length=3 exceeds the slice size=4"
    assert trap_of(x, "env_var_value_copy", 0, 2, 10, 2, 3) == text


@pytest.mark.parametrize("name", ["env_var_name_exists", "env_var_value_size", "env_var_value_copy"])
def test_names_of_variables_are_checked(name: str, start: Start) -> None:
    x = start(Mode.UPDATE, memory=300)
    heap_of(x).write(0, b"\xff")
    more = [0, 0, 0] if name.endswith("copy") else []
    what = "name" if more else "heap"
    assert trap_of(x, name, MOST, 129, *more) == VIOLATION + f"ic0.{name}: Variable name is too large."
    text = VIOLATION + f"ic0.{name} {what}: src=200 + length=128 exceeds the slice size=300"
    assert trap_of(x, name, 200, 128, *more) == text
    text = VIOLATION + f"ic0.{name}: Variable name is not a valid UTF-8 string."
    assert trap_of(x, name, 0, 1, *more) == text


def test_debug_print_logs_bytes_and_shows_text(start: Start) -> None:
    x = start(Mode.START, memory=10)
    shown: list[str] = []
    x.on_log = shown.append
    heap_of(x).write(0, b"hi\xff")
    call(x, "debug_print", 0, 3)
    call(x, "debug_print", 10, 0)
    assert x.logs == [b"hi\xff", b""]
    assert shown == ["hi\N{REPLACEMENT CHARACTER}", ""]


def test_debug_print_never_traps(start: Start) -> None:
    x = start(Mode.UPDATE, memory=10)
    shown: list[str] = []
    x.on_log = shown.append
    call(x, "debug_print", 8, 3)
    call(x, "debug_print", MOST, MOST)
    assert x.logs == [b"(debug_print message out of memory bounds)"] * 2
    assert shown == ["(debug message out of memory bounds)"] * 2


def test_debug_print_takes_32_kib(start: Start) -> None:
    x = start(Mode.UPDATE)
    call(x, "debug_print", 0, 33 * KIB)
    assert len(x.logs[0]) == 32 * KIB


@pytest.mark.parametrize(
    ("src", "size", "message"),
    [
        (0, 4, "why?"),
        (0, 0, ""),
        (4, 1, "\N{REPLACEMENT CHARACTER}"),
        (10, 1, "(trap message out of memory bounds)"),
        (MOST, MOST, "(trap message out of memory bounds)"),
    ],
)
def test_trap_says_its_message(src: int, size: int, message: str, start: Start) -> None:
    x = start(Mode.START, memory=10)
    heap_of(x).write(0, b"why?\xff")
    with pytest.raises(GuestTrap) as caught:
        call(x, "trap", src, size)
    assert caught.value.code is ErrorCode.CANISTER_CALLED_TRAP
    assert caught.value.text == f"Canister called `ic0.trap` with message: '{message}'"

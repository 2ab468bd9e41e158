"""Every fixture does what its row in `fixtures/wasm/MANIFEST.yaml` says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import Canister, ErrorCode, InstructionLimits, Sandbox
from tests.conftest import everything, fixture, rejected

Install = Callable[..., Canister]
V1 = ["people_v1.enhanced", "people_v1.classical", "people_stable_rs_v1", "people_heap_rs_v1"]
GOOD = [
    ("people_v1.enhanced", "people_v2_good.enhanced"),
    ("people_v1.classical", "people_v2_good.classical"),
    ("people_stable_rs_v1", "people_stable_rs_v2_good"),
    ("people_heap_rs_v1", "people_heap_rs_v2_good"),
]
BAD = [
    ("people_v1.enhanced", "people_v2_traps.enhanced"),
    ("people_v1.classical", "people_v2_traps.classical"),
    ("people_stable_rs_v1", "people_stable_rs_v2_traps"),
]
DROPS = [
    ("people_v1.enhanced", "people_v2_drops.enhanced"),
    ("people_v1.classical", "people_v2_drops.classical"),
    ("people_stable_rs_v1", "people_stable_rs_v2_drops"),
]
MODES = ["enhanced", "classical"]


@pytest.fixture
def sandbox() -> Sandbox:
    """With the platform's own limits."""
    return Sandbox()


def filled(install: Install, module: str, n: int = 300) -> Canister:
    canister = install(fixture(module))
    assert canister.call("fill", n) == n
    assert canister.call("set_age", 5, 99) is True
    assert canister.call("set_age", 10**9, 1) is False
    return canister


def test_the_same_people_have_the_same_checksum_in_every_language(install: Install) -> None:
    sums = {module: filled(install, module).call("checksum") for module in V1}
    assert len(set(sums.values())) == 1, sums


@pytest.mark.parametrize("module", V1)
def test_version_1_keeps_people(module: str, install: Install) -> None:
    canister = filled(install, module)
    person = canister.call("get", 5)
    assert (person["name"], person["age"], person["tags"]) == ("Person 5", 99, ["group-5", "odd"])
    assert canister.call("get", 300) is None
    assert canister.call("edit_count") == 1
    assert canister.call("add", {"name": "Zoë", "email": "z@example.org", "age": 2**70, "tags": []}) == 300
    assert canister.call("list", 299, 5)[1]["age"] == 2**70


@pytest.mark.parametrize(("v1", "v2"), GOOD)
def test_the_good_version_2_keeps_everything_and_adds_a_property(v1: str, v2: str, install: Install) -> None:
    canister = filled(install, v1)
    before = canister.call("checksum"), canister.call("edit_count"), canister.call("list", 0, 300)
    canister.upgrade(fixture(v2))
    after = canister.call("list", 0, 300)
    assert (canister.call("checksum"), canister.call("edit_count")) == before[:2]
    assert all(person.pop("active") is True for person in after)
    assert after == before[2]
    assert canister.call("set_active", 3, False) is True
    assert canister.call("active_count") == 299


@pytest.mark.parametrize(("v1", "v2"), BAD)
def test_the_trapping_version_2_is_rolled_back_to_the_byte(
    v1: str, v2: str, install: Install, sandbox: Sandbox
) -> None:
    canister = filled(install, v1)
    before, checksum = everything(sandbox, canister), canister.call("checksum")
    error = rejected(ErrorCode.CANISTER_CALLED_TRAP, "on purpose", canister.upgrade, fixture(v2))
    assert error.result.instructions > 0
    assert everything(sandbox, canister) == before
    assert canister.call("checksum") == checksum
    assert b"on purpose" in canister.logs()[-1].content
    canister.call("fill", 10)


@pytest.mark.parametrize(("v1", "v2"), DROPS)
def test_the_dropping_version_2_succeeds_and_loses_data(v1: str, v2: str, install: Install) -> None:
    canister = filled(install, v1)
    checksum, snapshot, raw = canister.call("checksum"), canister.take_snapshot(), canister.raw_state()
    canister.upgrade(fixture(v2))
    assert canister.call("size") == 300
    assert canister.call("checksum") != checksum
    assert canister.call("get", 7)["email"] == ""
    assert canister.call("edit_count") == 0
    canister.load_snapshot(snapshot.id)
    assert canister.raw_state() == raw
    assert canister.call("checksum") == checksum
    assert canister.call("get", 7)["email"] == "person7@example.org"


@pytest.mark.parametrize("mode", MODES)
def test_a_trapping_pre_upgrade_locks_the_canister_until_it_is_skipped_or_told_off(
    mode: str, install: Install, sandbox: Sandbox
) -> None:
    canister = filled(install, f"people_v1_pretraps.{mode}")
    before, good = everything(sandbox, canister), fixture(f"people_v2_good.{mode}")
    code = ErrorCode.CANISTER_CALLED_TRAP
    rejected(code, "people_v1_pretraps: pre_upgrade refuses on purpose", canister.upgrade, good)
    assert everything(sandbox, canister) == before
    checksum = canister.call("checksum")
    if mode == "enhanced":  # whose runtime saves the stable variables' type in the hook
        text = "Memory-incompatible program upgrade"
        rejected(code, text, canister.upgrade, good, skip_pre_upgrade=True)
    else:
        with sandbox.anchor():
            canister.upgrade(good, skip_pre_upgrade=True)
    assert everything(sandbox, canister) == before
    canister.call("set_pretrap", False)
    canister.upgrade(good)
    assert canister.call("checksum") == checksum


@pytest.mark.parametrize("mode", MODES)
def test_the_counter_counts_and_traps_by_the_message(mode: str, install: Install, sandbox: Sandbox) -> None:
    canister = install(fixture(f"counter.{mode}"))
    assert [canister.call("inc") for _ in range(3)] == [1, 2, 3]
    before = everything(sandbox, canister)
    for method, arg, code, text in [
        ("boom", (), ErrorCode.CANISTER_CALLED_TRAP, "boom: on purpose"),
        ("grow_then_trap", (5000,), ErrorCode.CANISTER_CALLED_TRAP, "grow_then_trap: on purpose"),
        ("stable_put_then_trap", (70_000, b"x" * 9000), ErrorCode.CANISTER_CALLED_TRAP, "on purpose"),
        ("trap_with", ("Grüße 🌍",), ErrorCode.CANISTER_CALLED_TRAP, "Grüße 🌍"),
        ("print_then_trap", ("seen",), ErrorCode.CANISTER_CALLED_TRAP, "on purpose"),
        ("boom_in_query", (), ErrorCode.CANISTER_CALLED_TRAP, "boom: in a query"),
    ]:
        rejected(code, text, canister.call, method, *arg)
        assert everything(sandbox, canister) == before, method
    assert [record.content for record in canister.logs()].count(b"seen") == 1
    assert canister.call("get") == 3
    assert canister.call("inc_in_query") == 4
    assert canister.call("get") == 3


@pytest.mark.parametrize("mode", MODES)
def test_the_counters_endless_recursion_and_loops_end(mode: str) -> None:
    few = Sandbox(instruction_limits=InstructionLimits(update=100_000_000, query=50_000_000))
    canister = few.create_canister()
    canister.install(fixture(f"counter.{mode}"))
    canister.call("inc")
    before = everything(few, canister)
    rejected(ErrorCode.CANISTER_TRAPPED, "stack overflow", canister.call, "recurse_forever")
    text = "Canister exceeded the limit of {} instructions for single message execution."
    rejected(ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, text.format(100_000_000), canister.call, "spin")
    rejected(ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, text.format(50_000_000), canister.call, "spin_in_query")
    assert everything(few, canister) == before
    assert canister.call("deep", 1000) == 1000


@pytest.mark.parametrize("mode", MODES)
def test_an_await_commits_what_came_before_it(mode: str, install: Install) -> None:
    canister = install(fixture(f"counter.{mode}"))
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "boom: after the await", canister.call, "inc_await_boom")
    assert canister.call("get") == 1


@pytest.mark.parametrize("mode", MODES)
def test_growth_and_stable_memory_persist(mode: str, install: Install) -> None:
    canister = install(fixture(f"counter.{mode}"))
    assert canister.call("grow", 3000) == 3000 * 1024
    data = bytes(range(256)) * 40
    canister.call("stable_put", 65_500, data)
    canister.upgrade(fixture(f"counter.{mode}"))
    assert canister.call("stable_get", 65_500, len(data)) == data
    assert canister.call("stable_size") == 2


@pytest.mark.parametrize("mode", MODES)
def test_the_greeter_takes_an_argument_and_inspects_messages(mode: str, install: Install, sandbox: Sandbox) -> None:
    owner = sandbox.identity("owner")
    canister = install(fixture(f"greeter.{mode}"), arg={"greeting": "Hi", "owner": owner})
    assert canister.call("greet", "Bob") == "Hi, Bob!"
    assert canister.call("get_owner") == owner
    before = everything(sandbox, canister)
    refused = ErrorCode.CANISTER_CALLED_TRAP  # Motoko refuses so
    rejected(refused, "refused", canister.call, "greet", "x" * 2000)
    rejected(refused, "refused", canister.call, "reset")
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "assert", canister.call, "reset", sender=sandbox.identity("eve"))
    assert everything(sandbox, canister) == before
    canister.upgrade(fixture(f"greeter.{mode}"), {"greeting": "Hello", "owner": None})
    assert canister.call("greet", "Bob") == "Hello, Bob!"
    assert canister.call("count") == 2


def test_the_rust_registry_takes_an_optional_configuration(install: Install) -> None:
    canister = install(fixture("people_stable_rs_v1"), arg={"title": "club", "max_people": 2})
    assert canister.call("config") == {"title": "club", "max_people": 2}
    canister.call("fill", 2)
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "", canister.call, "fill", 1)
    assert canister.call("size") == 2

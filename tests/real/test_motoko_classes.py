"""Motoko actor classes: a canister makes, installs, upgrades, reinstalls and deletes others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import CallRejected, Canister, Principal, Sandbox, SandboxError
from sandbox.api import runtime_of
from tests.conftest import everything, fixture

MODES = ["enhanced", "classical"]
CYCLES = 10**12


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def factory(mode: str, install: Callable[..., Canister]) -> Canister:
    return install(fixture(f"factory.{mode}"))


def counted(sandbox: Sandbox, factory: Canister) -> Canister:
    """A child of version 1 that counted to two."""
    child = sandbox.canister(factory.call("create", "one", CYCLES))
    assert [child.call("inc"), child.call("inc")] == [1, 2]
    return child


def test_a_child_is_made_with_cycles_of_its_parent_who_controls_it(factory: Canister, sandbox: Sandbox) -> None:
    before = factory.status().cycles
    child = sandbox.canister(factory.call("create", "Zoë", CYCLES))
    assert child.call("get") == {"name": "Zoë", "count": 0, "version": 1}
    assert (child.status().cycles, factory.status().cycles) == (CYCLES, before - CYCLES)
    assert child.status().settings.controllers == (factory.id,)
    [created, installed] = runtime_of(sandbox).state_of(child.id).history
    assert [(change.user, change.by_canister) for change in (created, installed)] == [(factory.id, True)] * 2


def test_settings_of_the_class_are_those_of_the_child(factory: Canister, sandbox: Sandbox) -> None:
    alice = sandbox.identity("alice")
    child = sandbox.canister(factory.call("create_controlled", "two", CYCLES, alice))
    settings = child.status().settings
    assert set(settings.controllers) == {factory.id, alice}
    assert settings.freezing_threshold == 1_000_000
    child.stop(sender=alice)


def test_an_empty_canister_gets_its_code_from_the_class(factory: Canister, sandbox: Sandbox) -> None:
    child = sandbox.canister(factory.call("create_and_install", "three", CYCLES))
    assert child.call("get") == {"name": "three", "count": 0, "version": 1}
    assert [change.kind for change in runtime_of(sandbox).state_of(child.id).history] == ["creation", "code_deployment"]


def test_an_upgrade_keeps_what_the_child_knew_and_brings_the_new_code(factory: Canister, sandbox: Sandbox) -> None:
    child = counted(sandbox, factory)
    factory.call("upgrade", child.id, "uno")
    assert child.call("get") == {"name": "one", "count": 2, "version": 2}
    assert child.call("argument") == "uno"
    assert child.call("inc") == 12
    assert child.call("last") == [2]


def test_a_child_that_refuses_its_upgrade_stays_as_it_was_and_the_parent_catches_why(
    factory: Canister, sandbox: Sandbox
) -> None:
    child = counted(sandbox, factory)
    before = everything(sandbox, child)
    text = factory.call("try_upgrade", child.id, "refuse")
    assert text.startswith(f"Error from Canister {child.id}")
    assert "ChildV2: refuses on purpose" in text
    assert everything(sandbox, child) == before
    assert factory.call("try_upgrade", child.id, "fine") is None
    assert child.call("inc") == 12


def test_keeping_or_replacing_the_heap_of_a_child_is_as_its_persistence_allows(
    mode: str, factory: Canister, sandbox: Sandbox
) -> None:
    child = counted(sandbox, factory)
    if mode == "enhanced":
        factory.call("upgrade_with", child.id, "x", True)
        assert child.call("get") == {"name": "one", "count": 2, "version": 2}
        factory.call("upgrade_with", child.id, "y", False)
        assert child.call("get") == {"name": "y", "count": 0, "version": 2}  # the heap was all there was
    else:
        with pytest.raises(CallRejected, match="requires that the new canister module supports enhanced orthogonal"):
            factory.call("upgrade_with", child.id, "x", True)
        factory.call("upgrade_with", child.id, "y", False)
        assert child.call("get") == {"name": "one", "count": 2, "version": 2}


def test_a_reinstalled_child_begins_anew(factory: Canister, sandbox: Sandbox) -> None:
    child = counted(sandbox, factory)
    factory.call("reinstall", child.id, "uno")
    assert child.call("get") == {"name": "uno", "count": 0, "version": 2}


def test_a_deleted_child_is_gone_and_the_others_go_on(factory: Canister, sandbox: Sandbox) -> None:
    children: list[Principal] = [factory.call("create", f"child {i}", CYCLES) for i in range(3)]
    assert factory.call("inc_all") == [1, 1, 1]
    factory.call("upgrade", children[2], "three")
    factory.call("delete", children[0])
    with pytest.raises(SandboxError, match=str(children[0])):
        sandbox.canister(children[0])
    assert factory.call("inc_all") == [2, 11]
    assert factory.call("children") == children


def test_a_snapshot_of_a_child_outlives_its_upgrade_by_the_parent(factory: Canister, sandbox: Sandbox) -> None:
    child = counted(sandbox, factory)
    snapshot, before = child.take_snapshot(), child.raw_state()
    factory.call("upgrade", child.id, "uno")
    assert child.call("inc") == 12
    child.load_snapshot(snapshot.id)
    assert child.raw_state() == before
    assert child.call("inc") == 3

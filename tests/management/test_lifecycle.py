"""Create, stop, start, uninstall, delete, settings, history, versions: who may, what changes, what is said."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import Canister, ErrorCode, Principal, Sandbox, Visibility
from sandbox.api import runtime_of
from sandbox.errors import PrincipalError
from tests.conftest import everything, guest, number, rejected, wat

COUNTER = guest(
    """(func (export "canister_update inc")
      (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
      (call $reply64 (i64.load (i32.const 0))))
    (func (export "canister_update print")
      (call $debug_print (i32.const 0) (i32.const 3)) (call $reply64 (i64.const 0)))
    (func (export "canister_query status") (call $reply64 (i64.extend_i32_u (call $canister_status))))
    (func (export "canister_query version") (call $reply64 (call $canister_version)))
    (func (export "canister_update trap") unreachable)
    (func (export "canister_update silent"))"""
)
HELP = "See documentation: https://internetcomputer.org/docs/current/references/execution-errors#"


@pytest.fixture
def canister(sandbox: Sandbox) -> Canister:
    made = sandbox.create_canister(controllers=[sandbox.identity("alice"), sandbox.identity("bob")])
    made.install(COUNTER)
    return made


def kinds(sandbox: Sandbox, canister: Canister) -> list[str]:
    return [change.kind for change in runtime_of(sandbox).state_of(canister.id).history]


# --- creation and ids


def test_a_new_canister_is_running_empty_and_at_version_0(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    status = canister.status()
    assert (status.status, status.version, status.module_hash, status.heap_size) == ("running", 0, None, 0)
    [change] = runtime_of(sandbox).state_of(canister.id).history
    assert (change.kind, change.version) == ("creation", 0)
    assert status.settings.controllers == (sandbox.identity("default"),)


def test_ids_are_never_used_again(sandbox: Sandbox) -> None:
    seen = set()
    for _ in range(20):
        canister = sandbox.create_canister()
        assert canister.id not in seen
        seen.add(canister.id)
        canister.stop()
        canister.delete()
    code = ErrorCode.CANISTER_ID_ALREADY_EXISTS
    rejected(code, "already exists", sandbox.create_canister, canister_id=canister.id)


def test_a_chosen_id_is_skipped_by_the_numbering(sandbox: Sandbox) -> None:
    chosen = [Principal.from_index(k) for k in (0, 1, 3)]
    for canister_id in chosen:
        assert sandbox.create_canister(canister_id=str(canister_id)).id == canister_id
    assert sandbox.create_canister().id == Principal.from_index(2)
    assert sandbox.create_canister().id == Principal.from_index(4)


@pytest.mark.parametrize("text", ["aaaaa-aa", "2vxsx-fae"])
def test_only_opaque_ids_name_canisters(sandbox: Sandbox, text: str) -> None:
    code = ErrorCode.INVALID_MANAGEMENT_PAYLOAD
    rejected(code, "is invalid", sandbox.create_canister, canister_id=text)
    rejected(code, "is invalid", sandbox.create_canister, canister_id=sandbox.identity("alice"))
    with pytest.raises(PrincipalError):
        sandbox.create_canister(canister_id="no principal")


def test_a_refused_creation_creates_nothing(sandbox: Sandbox) -> None:
    code = ErrorCode.CANISTER_CONTRACT_VIOLATION
    rejected(code, "Could not validate the settings", sandbox.create_canister, settings={"compute_allocation": 101})
    assert sandbox.canisters() == []
    assert sandbox.create_canister().id == Principal.from_index(0)


# --- who may


@pytest.mark.parametrize(
    "action",
    [
        lambda c, who: c.install(COUNTER, mode="upgrade", sender=who),
        lambda c, who: c.install(b"garbage", mode="reinstall", sender=who),
        lambda c, who: c.uninstall(sender=who),
        lambda c, who: c.stop(sender=who),
        lambda c, who: c.start(sender=who),
        lambda c, who: c.delete(sender=who),
        lambda c, who: c.update_settings(sender=who, freezing_threshold=1),
        lambda c, who: c.take_snapshot(sender=who),
        lambda c, who: c.load_snapshot(b"12345678" + bytes(c.id), sender=who),
        lambda c, who: c.delete_snapshot(b"12345678" + bytes(c.id), sender=who),
        lambda c, who: c.list_snapshots(sender=who),
    ],
)
def test_only_controllers_may(action: Any, canister: Canister, sandbox: Sandbox) -> None:
    before = everything(sandbox, canister)
    alice, bob, eve = (sandbox.identity(name) for name in ("alice", "bob", "eve"))
    controllers = " ".join(str(c) for c in sorted((alice, bob)))
    text = (
        f"Only the controllers of the canister {canister.id} can control it.\n"
        f"Canister's controllers: {controllers}\nSender's ID: {eve}\n"
        "Execute this call from a controller of the target canister or add the current caller as a controller. "
        f"{HELP}invalid-controller"
    )
    error = rejected(ErrorCode.CANISTER_INVALID_CONTROLLER, text, action, canister, eve)
    assert error.message == text
    assert everything(sandbox, canister) == before


def test_a_canister_without_controllers_obeys_nobody(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister(controllers=[])
    rejected(ErrorCode.CANISTER_INVALID_CONTROLLER, "controllers: \nSender", canister.install, COUNTER)


def test_an_unknown_canister_is_named(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    canister.stop()
    canister.delete()
    text = f"Canister {canister.id} not found"
    for action in (canister.start, canister.uninstall, canister.delete, canister.status, canister.raw_state):
        rejected(ErrorCode.CANISTER_NOT_FOUND, text, action)
    for call in (canister.update, canister.query_raw):
        assert rejected(ErrorCode.CANISTER_NOT_FOUND, text, call, "x").message == text


# --- code


def test_installing_twice_says_what_to_do(canister: Canister, sandbox: Sandbox) -> None:
    before = everything(sandbox, canister)
    text = (
        f"Canister {canister.id} cannot be installed because the canister is not empty. "
        "Try installing with mode='reinstall' instead."
    )
    rejected(ErrorCode.CANISTER_NON_EMPTY, text, canister.install, b"not even wasm")
    assert everything(sandbox, canister) == before


def test_an_empty_canister_cannot_be_upgraded_or_called(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    code = ErrorCode.CANISTER_WASM_MODULE_NOT_FOUND
    text = "Attempted to execute a message, but the canister contains no Wasm module."
    rejected(code, text, canister.install, COUNTER, mode="upgrade")
    rejected(code, "Requested canister has no wasm module", canister.update, "x")
    rejected(code, text, canister.query_raw, "x")


def test_an_argument_by_type_does_not_hide_that_the_module_is_bad(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    text = "Failed to decode wasm module: unsupported canister module format"
    rejected(ErrorCode.CANISTER_INVALID_WASM, text, canister.install, b"garbage", {"greeting": "hi"})


def test_exports_that_are_no_functions_are_no_hooks(sandbox: Sandbox) -> None:
    names = ("canister_init", "canister_pre_upgrade", "canister_post_upgrade", "canister_inspect_message")
    exports = "".join(f'(global (export "{name}") i32 (i32.const 1))' for name in names)
    module = wat(
        f'(module {exports} (memory (export "canister_update x") 1) (table (export "canister_query y") 1 funcref))'
    )
    canister = sandbox.create_canister()
    canister.install(module)
    canister.install(module, mode="upgrade")
    rejected(ErrorCode.CANISTER_METHOD_NOT_FOUND, "Canister has no update method 'x'.", canister.update, "x")
    rejected(ErrorCode.CANISTER_METHOD_NOT_FOUND, "Canister has no query method 'y'.", canister.query_raw, "y")


def test_uninstalling_keeps_what_is_not_code(canister: Canister, sandbox: Sandbox) -> None:
    canister.update("inc")
    canister.update("print")
    snapshot = canister.take_snapshot()
    before = canister.status()
    canister.uninstall()
    after = canister.status()
    assert (after.module_hash, after.heap_size, after.stable_size, after.version) == (None, 0, 0, before.version + 1)
    assert (after.settings, after.cycles, after.status) == (before.settings, before.cycles, before.status)
    assert canister.logs() == ()
    assert canister.list_snapshots() == [snapshot]
    assert kinds(sandbox, canister) == ["creation", "code_deployment", "code_uninstall"]
    assert canister.raw_state().module is None
    canister.uninstall()
    canister.install(COUNTER)
    assert number(canister.update("inc").reply) == 1


# --- status


def test_a_stopped_canister_takes_no_calls_and_says_so(canister: Canister) -> None:
    canister.stop()
    text = f"Canister {canister.id} is stopped"
    assert rejected(ErrorCode.CANISTER_STOPPED, text, canister.update, "inc").message == text
    rejected(ErrorCode.CANISTER_STOPPED, text, canister.query_raw, "status")
    canister.start()
    assert number(canister.query_raw("status").reply) == 1


def test_a_stopped_canister_can_be_managed(canister: Canister) -> None:
    canister.update("inc")
    canister.stop()
    snapshot = canister.take_snapshot()
    canister.install(COUNTER, mode="upgrade")
    canister.load_snapshot(snapshot.id)
    assert canister.status().status == "stopped"
    canister.start()
    assert number(canister.update("inc").reply) == 2


def test_only_a_stopped_canister_can_be_deleted_and_takes_its_snapshots_along(
    canister: Canister, sandbox: Sandbox
) -> None:
    snapshot = canister.take_snapshot()
    other = sandbox.create_canister(controllers=[sandbox.identity("alice")])
    text = f"Canister {canister.id} must be stopped before it is deleted."
    rejected(ErrorCode.CANISTER_NOT_STOPPED, text, canister.delete)
    canister.stop()
    canister.delete()
    assert sandbox.canisters() == [other]
    rejected(ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND, snapshot.id.hex(), other.load_snapshot, snapshot.id)


def test_every_change_counts_as_a_version_and_nothing_else_does(canister: Canister) -> None:
    def version() -> int:
        return canister.status().version

    snapshot = canister.take_snapshot()
    steps: list[tuple[Any, int]] = [
        (lambda: canister.update("inc"), 1),
        (lambda: canister.query_raw("status"), 0),
        (lambda: canister.update("status"), 0),
        (canister.take_snapshot, 0),
        (lambda: canister.update_settings(freezing_threshold=5), 1),
        (lambda: canister.update_settings(), 1),
        (lambda: canister.install(COUNTER, mode="upgrade"), 1),
        (lambda: canister.install(COUNTER, mode="reinstall"), 1),
        (lambda: canister.load_snapshot(snapshot.id), 1),
        (canister.start, 1),
        (canister.stop, 2),
        (canister.stop, 1),
        (canister.start, 1),
        (lambda: canister.delete_snapshot(snapshot.id), 0),
        (canister.uninstall, 1),
    ]
    for action, bumps in steps:
        before = version()
        action()
        assert version() == before + bumps


def test_returning_without_an_answer_commits_and_a_trap_does_not(canister: Canister) -> None:
    before = canister.status().version
    text = f"Canister {canister.id} did not reply to the call"
    assert rejected(ErrorCode.CANISTER_DID_NOT_REPLY, text, canister.update, "silent").message == text
    assert canister.status().version == before + 1
    rejected(ErrorCode.CANISTER_TRAPPED, "unreachable", canister.update, "trap")
    assert canister.status().version == before + 1


# --- history


def test_history_keeps_the_latest_20_and_counts_all(canister: Canister, sandbox: Sandbox) -> None:
    for _ in range(25):
        canister.install(COUNTER, mode="upgrade")
    state = runtime_of(sandbox).state_of(canister.id)
    assert (len(state.history), state.total_changes) == (20, 27)
    assert [change.version for change in state.history] == list(range(7, 27))


def test_history_says_what_when_and_who(canister: Canister, sandbox: Sandbox) -> None:
    bob = sandbox.identity("bob")
    canister.update_settings(freezing_threshold=1)
    sandbox.advance_time(seconds=5)
    canister.update_settings(sender=bob, controllers=[bob])
    last = runtime_of(sandbox).state_of(canister.id).history[-1]
    assert (last.kind, last.user, last.timestamp) == ("controllers_change", bob, sandbox.time)
    assert dict(last.details) == {"controllers": (bob,)}
    deployment = runtime_of(sandbox).state_of(canister.id).history[-2]
    assert dict(deployment.details) == {"mode": "install", "module_hash": canister.status().module_hash}


# --- settings


def change(canister: Canister, name: str, value: Any) -> None:
    values: dict[str, Any] = {name: value}
    canister.update_settings(**values)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("compute_allocation", 100),
        ("memory_allocation", 2**64 - 1),
        ("freezing_threshold", 2**64 - 1),
        ("reserved_cycles_limit", 2**128 - 1),
        ("minimum_incoming_canister_call_cycles", 2**128 - 1),
        ("wasm_memory_limit", 2**48),
        ("wasm_memory_threshold", 2**48),
    ],
)
def test_numbers_have_bounds(name: str, most: int, canister: Canister, sandbox: Sandbox) -> None:
    change(canister, name, most)
    assert getattr(canister.status().settings, name) == most
    before = everything(sandbox, canister)
    for wrong in (most + 1, -1, "5", None, 1.5, True):
        code = ErrorCode.CANISTER_CONTRACT_VIOLATION
        error = rejected(code, f"Invalid settings: '{name}'", change, canister, name, wrong)
        assert error.message.startswith("Could not validate the settings: ")
    assert everything(sandbox, canister) == before


def test_lists_have_bounds(canister: Canister, sandbox: Sandbox) -> None:
    many = [Principal.from_index(k) for k in range(11)]
    code = ErrorCode.CANISTER_CONTRACT_VIOLATION
    text = "Invalid settings: 'controllers' length exceeds maximum size allowed of 10."
    rejected(code, text, canister.update_settings, controllers=many)
    for name in ("log_visibility", "snapshot_visibility", "status_visibility"):
        rejected(code, f"'{name}' length exceeds", change, canister, name, many)
        change(canister, name, many[:10])
        change(canister, name, Visibility(public=True))
        with pytest.raises(TypeError, match=name):
            change(canister, name, "everybody")
    canister.update_settings(controllers=[sandbox.identity("alice"), *many[:9], many[0]])
    rejected(code, "unknown settings: colour", canister.update_settings, colour="red")


def test_environment_variables_have_bounds(canister: Canister, sandbox: Sandbox) -> None:
    code = ErrorCode.INVALID_MANAGEMENT_PAYLOAD
    canister.update_settings(environment_variables={f"n{k:02}": "v" * 128 for k in range(20)})
    before = everything(sandbox, canister)
    too_many = {str(k): "" for k in range(21)}
    rejected(
        code, "Too many environment variables: 21 (max: 20)", canister.update_settings, environment_variables=too_many
    )
    for what, wrong in (("name", {"é" * 65: "x"}), ("value", {"x": "v" * 129})):
        text = "exceeds the maximum allowed length of 128."
        error = rejected(code, text, canister.update_settings, environment_variables=wrong)
        assert error.message.startswith(f'Environment variable {what} "')
    pairs = [("a", "1"), ("a", "2")]
    rejected(code, "Duplicate", canister.update_settings, environment_variables=pairs)
    assert everything(sandbox, canister) == before
    canister.update_settings(environment_variables={"b": "2", "a": "1"})
    assert canister.status().settings.environment_variables == (("a", "1"), ("b", "2"))


def test_a_memory_limit_cannot_be_below_the_heap(canister: Canister) -> None:
    code = ErrorCode.CANISTER_CONTRACT_VIOLATION
    rejected(code, "", canister.update_settings, wasm_memory_limit=65535)
    canister.update_settings(wasm_memory_limit=65536)
    canister.update_settings(wasm_memory_limit=0)

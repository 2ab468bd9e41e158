"""A state directory is the state before or after a save, whatever happens in between."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Principal, RawState, Sandbox
from sandbox.errors import StateCorrupt, StateError, StateLocked
from tests.conftest import FIXTURES

COUNTER = FIXTURES / "counter.classical.wasm"
KILLED = 9
OPERATIONS = ("open", "write", "pwrite", "ftruncate", "fsync", "fdatasync", "replace", "rename", "unlink")


def new_state(path: Path) -> Principal:
    """A saved counter at 1 with a snapshot."""
    with Sandbox.open(path) as sandbox:
        canister = sandbox.create_canister()
        canister.install(COUNTER)
        canister.call("inc")
        canister.take_snapshot("one")
        return canister.id


def look(path: Path, canister_id: Principal) -> tuple[RawState, list[tuple[bytes, str | None, str]], int]:
    sandbox = Sandbox.open(path)
    try:
        canister = sandbox.canister(canister_id)
        snapshots = [(s.id, s.label, s.checksum) for s in canister.list_snapshots()]
        return sandbox.raw_state(canister), snapshots, canister.status().version
    finally:
        sandbox.close()


def change(path: Path, canister_id: Principal) -> None:
    """Memories written, created and deleted, a snapshot replaced, then saved."""
    with Sandbox.open(path) as sandbox:
        canister = sandbox.canister(canister_id)
        canister.call("inc")
        canister.take_snapshot("two")
        canister.install(COUNTER, mode="reinstall")
        canister.call("grow", 200)
        canister.call("stable_put", 0, b"kept")


def killed_at(number: int, action: Callable[[], None]) -> bool:
    """Run `action` in a process that dies right before its file operation `number`; False if it had fewer."""
    child = os.fork()
    if child == 0:
        done = [0]

        def counted(original: Callable[..., Any]) -> Callable[..., Any]:
            def operation(*args: Any, **options: Any) -> Any:
                if done[0] == number:
                    os._exit(KILLED)
                done[0] += 1
                return original(*args, **options)

            return operation

        try:
            for name in OPERATIONS:
                setattr(os, name, counted(getattr(os, name)))
            action()
            os._exit(0)
        except BaseException:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, KILLED)
    return status == KILLED


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_killed_at_any_file_operation_it_is_the_state_before_or_after(tmp_path: Path) -> None:
    reference = tmp_path / "reference"
    canister_id = new_state(reference)
    before = look(reference, canister_id)
    change(reference, canister_id)
    after = look(reference, canister_id)
    assert before != after
    seen = []
    for number in range(10_000):
        path = tmp_path / f"state-{number}"
        assert new_state(path) == canister_id
        killed = killed_at(number, lambda path=path: change(path, canister_id))  # type: ignore[misc]
        found = look(path, canister_id)
        assert found in (before, after)
        seen.append(found == after)
        with Sandbox.open(path) as sandbox:
            sandbox.canister(canister_id).call("inc")
        if not killed:
            break
    assert seen == sorted(seen), "once saved, it stays saved"
    assert seen[0] is False
    assert seen[-1] is True
    assert len(seen) > 20


def test_an_exception_leaves_the_last_save(tmp_path: Path) -> None:
    canister_id = new_state(tmp_path)
    before = look(tmp_path, canister_id)

    def interrupted() -> None:
        with Sandbox.open(tmp_path) as sandbox:
            sandbox.canister(canister_id).call("inc")
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert look(tmp_path, canister_id) == before


def test_only_one_opens_it_at_a_time(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path), pytest.raises(StateLocked, match="in use by another process"):
        Sandbox.open(tmp_path, lock_timeout=0.05)
    Sandbox.open(tmp_path).close()


def test_open_calls_go_on_after_reopening(tmp_path: Path) -> None:
    from sandbox.candid import encode

    with Sandbox.open(tmp_path) as sandbox:
        canister = sandbox.create_canister()
        canister.install(COUNTER)
        forward = encode("(principal, text, blob)", [canister.id, "inc", b"DIDL\0\0"])
        number = sandbox.submit(canister, "forward", forward)
        assert sandbox.ingress_status(number) is None
    with Sandbox.open(tmp_path) as sandbox:
        sandbox.run_until_idle()
        assert sandbox.canister(canister.id).call("get") == 1


def test_a_changed_byte_of_a_module_is_found(tmp_path: Path) -> None:
    new_state(tmp_path)
    [file] = (tmp_path / "modules").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(StateCorrupt):
        Sandbox.open(tmp_path)


def test_another_format_is_named(tmp_path: Path) -> None:
    new_state(tmp_path)
    manifest = tmp_path / "manifest"
    manifest.write_bytes(manifest.read_bytes().replace(b"state 2\n", b"state 9\n", 1))
    with pytest.raises(StateError, match="format 9, this version reads 1 and 2"):
        Sandbox.open(tmp_path)


def test_files_that_nothing_needs_any_more_are_deleted(tmp_path: Path) -> None:
    canister_id = new_state(tmp_path)
    for _ in range(5):
        with Sandbox.open(tmp_path) as sandbox:
            sandbox.canister(canister_id).install(COUNTER, mode="reinstall")
            sandbox.canister(canister_id).take_snapshot()
    Sandbox.open(tmp_path).close()
    assert len(list((tmp_path / "memories").iterdir())) == 2

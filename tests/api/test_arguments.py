"""The arguments of installations, upgrades and loads are encoded by the interface of the handle, where there is one."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Canister, Sandbox, SandboxError
from sandbox.candid import decode, encode
from tests.conftest import guest, sandbox_of, with_section

# `seen` replies the argument that init or post_upgrade got.
KEEPS = """
(global $size (mut i32) (i32.const 0))
(func $keep (export "canister_init")
  (global.set $size (call $msg_arg_data_size))
  (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (global.get $size)))
(func (export "canister_post_upgrade") (call $keep))
(func (export "canister_query seen") (call $reply (i32.const 0) (global.get $size)))
"""
BARE = guest(KEEPS)
DID = "service : (record { name : text; limit : opt nat8 }) -> { seen : () -> (blob) query }"
ARG: dict[str, Any] = {"name": "Ada", "limit": 7}
OTHER: dict[str, Any] = {"name": "Eve", "limit": None}

Act = Callable[[Canister, Any, Path], object]


def installs(canister: Canister, arg: Any, _: Path) -> object:
    canister.uninstall()
    return canister.install(BARE, arg)


def reinstalls(canister: Canister, arg: Any, _: Path) -> object:
    return canister.install(BARE, arg, mode="reinstall")


def upgrades(canister: Canister, arg: Any, _: Path) -> object:
    return canister.upgrade(BARE, arg)


def loads(canister: Canister, arg: Any, _: Path) -> object:
    return canister.load_snapshot(canister.take_snapshot().id, via_hooks=True, arg=arg)


def loads_another_module(canister: Canister, arg: Any, _: Path) -> object:
    return canister.load_snapshot(canister.take_snapshot(via_hooks=True).id, via_hooks=True, arg=arg, wasm=BARE)


def loads_a_stable_image(canister: Canister, arg: Any, folder: Path) -> object:
    image = folder / "image.gz"
    image.write_bytes(gzip.compress(bytes(65536)))
    return sandbox_of(canister).snapshots.load_stable_image(canister.id, image, arg=arg, did=canister.did)


ACTS: list[Act] = [installs, reinstalls, upgrades, loads, loads_another_module, loads_a_stable_image]


@pytest.fixture
def canister(sandbox: Sandbox) -> Canister:
    made = sandbox.create_canister()
    made.install(BARE)
    return made


def seen(canister: Canister) -> Any:
    reply = canister.query_raw("seen").reply
    assert reply is not None
    [value] = decode("(record { name : text; limit : opt nat8 })", reply)
    return value


@pytest.mark.parametrize("act", ACTS)
def test_the_interface_of_the_handle_encodes_the_argument(act: Act, canister: Canister, tmp_path: Path) -> None:
    handle = sandbox_of(canister).canister(canister.id, did=DID)
    act(handle, ARG, tmp_path)
    assert seen(handle) == ARG


@pytest.mark.parametrize("act", ACTS)
def test_without_any_interface_it_says_how_to_give_one(act: Act, canister: Canister, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"no interface is known .* did=.*--did"):
        act(canister, ARG, tmp_path)
    raw = encode("(record { name : text; limit : opt nat8 })", [OTHER])
    act(canister, raw, tmp_path)
    assert seen(canister) == OTHER


def test_the_interface_may_be_in_a_file(canister: Canister, tmp_path: Path) -> None:
    file = tmp_path / "it.did"
    file.write_text(DID)
    handle = sandbox_of(canister).canister(canister.id, did=file)
    handle.install(BARE, ARG, mode="reinstall")
    assert seen(handle) == ARG


def test_the_handle_goes_before_the_module(canister: Canister) -> None:
    """As for calls."""
    other = with_section(BARE, "icp:public candid:service", b"service : (text) -> {}")
    handle = sandbox_of(canister).canister(canister.id, did=DID)
    handle.install(other, ARG, mode="reinstall")
    assert seen(handle) == ARG
    canister.install(other, "Ada", mode="reinstall")
    assert canister.query_raw("seen").reply == encode("(text)", ["Ada"])


def test_an_interface_that_takes_no_argument_says_so(canister: Canister) -> None:
    handle = sandbox_of(canister).canister(canister.id, did="service : { seen : () -> (blob) query }")
    with pytest.raises(SandboxError, match="expected 0 arguments, got 1"):
        handle.install(BARE, ARG, mode="reinstall")

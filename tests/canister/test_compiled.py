"""Compiled modules in a process: one for all canisters that run it, and few more than are used."""

from __future__ import annotations

import gc
import weakref

import pytest

from sandbox import Canister, Sandbox
from sandbox.api import runtime_of
from sandbox.canister import module
from sandbox.canister.module import CompiledModule, compile_module
from tests.conftest import guest, with_section

PLAIN = guest('(func (export "canister_update put") (i32.store (i32.const 0) (i32.const 7)) (call $msg_reply))')


def build(number: int) -> bytes:
    """A module of its own."""
    return with_section(PLAIN, f"build {number}")


def compiled(canister: Canister) -> CompiledModule:
    code = runtime_of(canister).state_of(canister.id).code
    assert code is not None
    return compile_module(code)


def test_builds_that_no_canister_runs_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    canister = Sandbox().create_canister()
    canister.install(build(0))
    monkeypatch.setattr(module, "_KEPT", 3 * compiled(canister).footprint + 1_000)
    builds = []
    for number in range(1, 9):
        canister.install(build(number), mode="reinstall")
        canister.update("put")
        builds.append(weakref.ref(compiled(canister)))
    gc.collect()
    assert [ref() is not None for ref in builds] == [False] * 5 + [True] * 3


def test_a_build_that_a_canister_runs_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox()
    first, second = sandbox.create_canister(), sandbox.create_canister()
    first.install(build(0))
    known = compiled(first)
    monkeypatch.setattr(module, "_KEPT", 1)
    second.install(build(1))
    first.update("put")
    assert compiled(first) is known
    second.install(build(0), mode="upgrade")
    assert compiled(second) is known

"""Callbacks: entries of the guest's table, whose type is asked for once."""

from __future__ import annotations

import pytest
import wasmtime

from sandbox import Sandbox
from sandbox.candid import encode
from tests.conftest import fixture


def test_the_type_of_a_callback_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each type is an object with a finaliser, and an exception that arrives in a finaliser is lost."""
    asked, real = [0], wasmtime.Func.type

    def counted(function: wasmtime.Func, store: wasmtime.Store) -> wasmtime.FuncType:
        asked[0] += 1
        return real(function, store)

    sandbox = Sandbox()
    asks, answers = sandbox.create_canister(), sandbox.create_canister()
    for one in (asks, answers):
        one.install(fixture("counter.classical"))
    forward = encode("(principal, text, blob)", [answers.id, "inc", b"DIDL\0\0"])
    monkeypatch.setattr(wasmtime.Func, "type", counted)
    asks.update("forward", forward)
    first = asked[0]
    for _ in range(5):
        asks.update("forward", forward)
    assert answers.call("get") == 6
    assert asked[0] == first > 0

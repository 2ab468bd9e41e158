"""The public interface: its names, its types, and that what it stands on does not show."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from sandbox import Canister, Sandbox
from sandbox.api import SnapshotManager
from sandbox.api.management import Management

FACES = (Sandbox, Canister, SnapshotManager, Management)

SANDBOX = {
    "advance_time",
    "anchor",
    "canister",
    "canisters",
    "certificate",
    "check",
    "close",
    "create_canister",
    "http",
    "identity",
    "ingress_status",
    "management",
    "on_log",
    "open",
    "query",
    "raw_state",
    "record",
    "root_key",
    "run_until_idle",
    "save",
    "set_time",
    "snapshots",
    "state_hash",
    "submit",
    "subnet_id",
    "tick",
    "time",
    "update",
}


METHODS = [
    pytest.param(value, id=f"{face.__name__}.{name}")
    for face in FACES
    for name, value in inspect.getmembers(face, inspect.isroutine)
    if not name.startswith("_")
]


def test_a_sandbox_shows_what_is_for_users_and_no_machinery() -> None:
    with Sandbox() as sandbox:
        assert {name for name in dir(sandbox) if not name.startswith("_")} == SANDBOX
        canister = sandbox.create_canister()
        for held in (*vars(sandbox), *vars(canister), *vars(sandbox.snapshots)):
            assert held in {"_runtime", "snapshots", "id", "did"}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_what_it_does_and_types_its_arguments(method: Any) -> None:
    assert method.__doc__
    for parameter in inspect.signature(method).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            assert parameter.annotation.startswith("Unpack["), parameter
        else:
            assert parameter.name == "self" or parameter.annotation is not parameter.empty, parameter


@pytest.mark.parametrize("face", FACES)
def test_every_property_says_what_it_is(face: type) -> None:
    for name, value in inspect.getmembers(face, lambda value: isinstance(value, property)):
        assert name.startswith("_") or value.__doc__, name

"""The methods of `aaaaa-aa`: one row each. Types are those of `ic.did` beside this file.

A row's function takes the world and the decoded argument record and answers with a transition whose `reply` is the
value to encode (None for methods without a result).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sandbox.candid import FuncType, Interface, parse_did
from sandbox.management import lifecycle
from sandbox.management.code import InstallCode, install_code
from sandbox.management.transition import Transition, World

Argument = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Method:
    """`ingress`: whether users may call it, not only canisters."""

    name: str
    function: Callable[[World, Argument], Transition]
    ingress: bool = True


@cache
def interface() -> Interface:
    """The management canister's interface."""
    return parse_did(files("sandbox.management").joinpath("ic.did").read_text())


def signature(name: str) -> FuncType:
    """Argument and result types of a method."""
    return interface().method(name)


def _install(world: World, arg: Argument) -> Transition:
    [(mode, options)] = arg["mode"].items()
    options = options or {}
    persistence = options.get("wasm_memory_persistence")
    return install_code(
        world,
        InstallCode(
            canister_id=arg["canister_id"],
            module=arg["wasm_module"],
            arg=arg["arg"],
            mode=mode,
            skip_pre_upgrade=bool(options.get("skip_pre_upgrade")),
            persistence=next(iter(persistence)) if persistence else None,
        ),
    )


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("install_code", _install),
        Method("start_canister", lambda world, arg: lifecycle.start_canister(world, arg["canister_id"])),
        Method("stop_canister", lambda world, arg: lifecycle.stop_canister(world, arg["canister_id"])),
        Method("delete_canister", lambda world, arg: lifecycle.delete_canister(world, arg["canister_id"])),
        Method("uninstall_code", lambda world, arg: lifecycle.uninstall_code(world, arg["canister_id"])),
    )
}

"""What a new canister is to be, from what people give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from sandbox.api.identity import principal_of
from sandbox.limits import PROVISIONAL_BALANCE
from sandbox.management.upload_whole import NewCanister
from sandbox.principal import Principal
from sandbox.state import Visibility

Viewers = Visibility | Iterable[Principal | str] | str
"""`controllers`, `public`, or the principals (also names of users) that may see something besides the controllers."""

_VISIBILITIES = ("log_visibility", "snapshot_visibility", "status_visibility")


class SettingsValues(TypedDict, total=False):
    """Settings of a canister by their names in the interface specification; those that are absent keep their values,
    or for a new canister get the platform's defaults. Units as in `Settings`."""

    controllers: Iterable[Principal | str]
    compute_allocation: int
    memory_allocation: int
    freezing_threshold: int
    reserved_cycles_limit: int
    minimum_incoming_canister_call_cycles: int
    wasm_memory_limit: int
    wasm_memory_threshold: int
    log_visibility: Viewers
    snapshot_visibility: Viewers
    status_visibility: Viewers
    environment_variables: Mapping[str, str] | Iterable[tuple[str, str]]
    log_memory_limit: int


def canister_index(canister_id: Principal | str) -> int:
    """The index that the id of a canister is made of; `ValueError` if it is made of none."""
    raw = bytes(Principal.of(canister_id))
    if len(raw) != 10 or not raw.endswith(b"\1\1"):
        like = Principal.from_index(0)
        raise ValueError(f"ids of new canisters are made of an index, like {like}; {canister_id} is not")
    return int.from_bytes(raw[:8], "big")


def setting_values(settings: SettingsValues) -> dict[str, Any]:
    """The settings with principals where users are given by name."""
    values: dict[str, Any] = dict(settings)
    for name in ("controllers", *_VISIBILITIES):
        given = values.get(name)
        if isinstance(given, Iterable) and not isinstance(given, str | Mapping):
            values[name] = [principal_of(who) for who in given]
    return values


def new_canister(
    controllers: Iterable[Principal | str] | None = None,
    canister_id: Principal | str | None = None,
    cycles: int | None = None,
    settings: SettingsValues | None = None,
) -> NewCanister:
    """The arguments of `Sandbox.create_canister`."""
    update = setting_values(settings or {})
    if controllers is not None:
        update["controllers"] = [principal_of(c) for c in controllers]
    specified = None if canister_id is None else Principal.of(canister_id)
    amount = PROVISIONAL_BALANCE if cycles is None else cycles
    if not 0 <= amount < 1 << 128:
        raise ValueError(f"cycles are 0 to 2^128 - 1, not {amount}")
    return NewCanister(update, specified, amount)

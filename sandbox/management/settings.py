"""`update_settings` and the settings of `create_canister`: bounds and texts (SPECIFICATION 5.6, 4.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from sandbox import limits
from sandbox.management import rejects
from sandbox.management.sizes import newest_logs
from sandbox.management.transition import ManagementContext, Transition, history
from sandbox.principal import Principal
from sandbox.state import CanisterState, Settings, Visibility

SettingsUpdate = Mapping[str, Any]
"""Settings by their names in the specification; those that are absent stay as they are."""

_NAMES = frozenset(f.name for f in fields(Settings))
_VISIBILITIES = frozenset({"log_visibility", "snapshot_visibility", "status_visibility"})
_BOUNDS = {
    "compute_allocation": 100,
    "memory_allocation": (1 << 64) - 1,
    "freezing_threshold": (1 << 64) - 1,
    "reserved_cycles_limit": (1 << 128) - 1,
    "minimum_incoming_canister_call_cycles": (1 << 128) - 1,
    "wasm_memory_limit": limits.WASM_MEMORY_LIMIT_BOUND,
    "wasm_memory_threshold": limits.WASM_MEMORY_LIMIT_BOUND,
}


def update_settings(context: ManagementContext, canister_id: Principal, update: SettingsUpdate) -> Transition:
    """Replace the settings in `update`; version + 1; a history entry only if `controllers` is among them."""
    state = context.controlled(canister_id)
    version = state.version + 1
    settings = apply_settings(state, update)
    check_allocations(context, state, settings)
    logs = newest_logs(state.logs, settings.log_memory_limit)
    new = replace(state, settings=settings, version=version, logs=logs)
    if "controllers" in update:
        change = context.change(version, "controllers_change", controllers=tuple(sorted(settings.controllers)))
        new = replace(new, history=history(state, change), total_changes=state.total_changes + 1)
    return Transition(canister=new)


def check_allocations(context: ManagementContext, state: CanisterState, settings: Settings) -> None:
    """A reject if these settings have a larger allocation than the canister has now, and would freeze it; a longer
    freezing threshold may (`dfinity/ic` `canister_manager.rs`, `validate_canister_settings`)."""
    short = context.fees.frozen(replace(state, settings=settings)) - state.cycles
    if short <= 0:
        return
    if settings.compute_allocation > state.settings.compute_allocation:
        raise rejects.allocation_unpaid("compute", settings.compute_allocation, short)
    if settings.memory_allocation > state.settings.memory_allocation:
        raise rejects.allocation_unpaid("memory", settings.memory_allocation, short)


def from_candid(record: Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings that a `canister_settings` record names, as `apply_settings` takes them."""
    given = {name: value for name, value in (record or {}).items() if value is not None}
    if "environment_variables" in given:
        given["environment_variables"] = [(item["name"], item["value"]) for item in given["environment_variables"]]
    for name in _VISIBILITIES & set(given):
        [(tag, viewers)] = given[name].items()
        given[name] = Visibility(public=tag == "public", allowed_viewers=tuple(viewers or ()))
    return given


def to_candid(settings: Settings) -> dict[str, Any]:
    """The `definite_canister_settings` record."""
    record: dict[str, Any] = {field.name: getattr(settings, field.name) for field in fields(settings)}
    record["controllers"] = sorted(settings.controllers)
    record["environment_variables"] = [{"name": n, "value": v} for n, v in settings.environment_variables]
    for name in _VISIBILITIES:
        record[name] = _visible_to(record[name])
    return record


def _visible_to(visibility: Visibility) -> dict[str, Any]:
    if visibility.public:
        return {"public": None}
    viewers = visibility.allowed_viewers
    return {"allowed_viewers": list(viewers)} if viewers else {"controllers": None}


def sees(state: CanisterState, visibility: Visibility, reader: Principal) -> bool:
    """Check whether `visibility` or control of the canister admits `reader`."""
    return visibility.public or reader in visibility.allowed_viewers or reader in state.settings.controllers


def apply_settings(state: CanisterState, update: SettingsUpdate) -> Settings:
    """The canister's settings with `update` in them; a reject names the first that breaks a bound."""
    unknown = sorted(set(update) - _NAMES)
    if unknown:
        raise rejects.invalid_settings(f"unknown settings: {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for name, value in update.items():
        values[name] = _checked(name, value)
    limit = values.get("wasm_memory_limit", 0)
    if limit and limit < state.heap.size:
        raise rejects.invalid_settings(
            f"Invalid settings: 'wasm_memory_limit' of {limit} bytes is below the current Wasm memory usage of "
            f"{state.heap.size} bytes."
        )
    return replace(state.settings, **values)


def _checked(name: str, value: Any) -> Any:
    if name in _BOUNDS:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _BOUNDS[name]:
            raise rejects.invalid_settings(
                f"Invalid settings: '{name}' must be between 0 and {_BOUNDS[name]}, found {value!r}."
            )
        return value
    if name == "log_memory_limit":
        return _log_memory_limit(value)
    if name == "controllers":
        controllers = tuple(dict.fromkeys(Principal.of(c) for c in value))
        if len(controllers) > limits.CONTROLLERS:
            raise rejects.invalid_settings(
                f"Invalid settings: 'controllers' length exceeds maximum size allowed of {limits.CONTROLLERS}."
            )
        return controllers
    if name == "environment_variables":
        return _environment(tuple(value.items() if isinstance(value, Mapping) else value))
    return _visibility(name, value)


def _log_memory_limit(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"log_memory_limit is a number of bytes, not {value!r}")
    if value and not limits.LOG_SIZE <= value <= limits.LOG_SIZE_BOUND:
        raise rejects.log_memory_limit(value)
    return value


def _environment(variables: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    if len(variables) > limits.ENVIRONMENT_VARIABLES:
        raise rejects.invalid_payload(
            f"Too many environment variables: {len(variables)} (max: {limits.ENVIRONMENT_VARIABLES})"
        )
    if len({name for name, _ in variables}) < len(variables):
        raise rejects.invalid_payload("Duplicate environment variables are not allowed")
    for name, value in variables:
        for what, text in (("name", name), ("value", value)):
            if not isinstance(text, str):
                raise TypeError(f"environment variable {what} {text!r} is not a text")
            if len(text.encode()) > limits.ENVIRONMENT_VARIABLE_SIZE:
                raise rejects.invalid_payload(
                    f'Environment variable {what} "{text}" exceeds the maximum allowed length of '
                    f"{limits.ENVIRONMENT_VARIABLE_SIZE}.",
                )
    return tuple(sorted(variables, key=lambda item: item[0].encode()))


def _visibility(name: str, value: Any) -> Visibility:
    if isinstance(value, Visibility):
        result = value
    elif value in ("controllers", "public"):
        result = Visibility(public=value == "public")
    elif isinstance(value, str | None):
        raise TypeError(f"{name} is 'controllers', 'public' or the principals that may see it, not {value!r}")
    else:
        result = Visibility(allowed_viewers=tuple(Principal.of(p) for p in value))
    if len(result.allowed_viewers) > limits.VIEWERS:
        raise rejects.invalid_settings(
            f"Invalid settings: '{name}' length exceeds maximum size allowed of {limits.VIEWERS}."
        )
    return result

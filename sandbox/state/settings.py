"""Settings of a canister: interface specification, "IC method create_canister"."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.limits import FREEZING_THRESHOLD_DEFAULT, LOG_SIZE, RESERVED_CYCLES_LIMIT_DEFAULT
from sandbox.principal import Principal

EnvironmentVariables = tuple[tuple[str, str], ...]
"""EnvironmentVariables variables, sorted by name."""


@dataclass(frozen=True, slots=True)
class Visibility:
    """The readers of something besides the controllers: none, everybody, or the listed principals."""

    public: bool = False
    allowed_viewers: tuple[Principal, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Sizes in bytes, thresholds in seconds, amounts in cycles.

    A field's default is the value for canisters that are older than the setting: old state files must load.
    """

    controllers: tuple[Principal, ...]
    compute_allocation: int = 0
    memory_allocation: int = 0
    freezing_threshold: int = FREEZING_THRESHOLD_DEFAULT
    reserved_cycles_limit: int = RESERVED_CYCLES_LIMIT_DEFAULT
    minimum_incoming_canister_call_cycles: int = 0
    wasm_memory_limit: int = 0
    """0: none. New canisters get `limits.WASM_MEMORY_LIMIT_DEFAULT`."""
    wasm_memory_threshold: int = 0
    log_visibility: Visibility = Visibility()
    snapshot_visibility: Visibility = Visibility()
    status_visibility: Visibility = Visibility()
    environment_variables: EnvironmentVariables = ()
    log_memory_limit: int = LOG_SIZE
    """Bytes of log content that are kept; 0: none."""

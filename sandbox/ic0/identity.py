"""Self-identification, status, version, controllers, root key: interface specification, "System API".

Covers `canister_self_*`, `subnet_self_*`, `canister_status`, `canister_version`, `is_controller`,
`in_replicated_execution` and `root_key_*`. Texts and order of checks: `dfinity/ic` `system_api.rs`.
"""

from __future__ import annotations

from sandbox.errors import ErrorCode
from sandbox.ic0.access import copy_out, load
from sandbox.ic0.modes import REPLICATED
from sandbox.ic0.state import Execution, GuestTrap
from sandbox.principal import MAX_LENGTH, Principal

_REPLICATED = int(REPLICATED)


def principal(raw: bytes) -> Principal:
    """A principal that the guest passed as a blob of any length."""
    if len(raw) > MAX_LENGTH:
        raise GuestTrap(ErrorCode.CANISTER_CONTRACT_VIOLATION, "Canister provided invalid principal id")
    return Principal(raw)


def canister_self_size(x: Execution) -> int:
    return len(bytes(x.env.canister_id))


def canister_self_copy(x: Execution, dst: int, offset: int, size: int) -> None:
    copy_out(x, "ic0.canister_self_copy", "id", bytes(x.env.canister_id), (dst, offset, size))


def subnet_self_size(x: Execution) -> int:
    return len(bytes(x.env.subnet_id))


def subnet_self_copy(x: Execution, dst: int, offset: int, size: int) -> None:
    copy_out(x, "ic0.subnet_self_copy", "id", bytes(x.env.subnet_id), (dst, offset, size))


def canister_status(x: Execution) -> int:
    return x.env.status


def canister_version(x: Execution) -> int:
    return x.env.version


def is_controller(x: Execution, src: int, size: int) -> int:
    return int(principal(load(x, "ic0.is_controller", src, size)) in x.env.controllers)


def in_replicated_execution(x: Execution) -> int:
    return 1 if x.mode_bit & _REPLICATED else 0


def root_key_size(x: Execution) -> int:
    return len(x.env.root_key)


def root_key_copy(x: Execution, dst: int, offset: int, size: int) -> None:
    copy_out(x, "ic0.root_key_copy", "bytes", x.env.root_key, (dst, offset, size))

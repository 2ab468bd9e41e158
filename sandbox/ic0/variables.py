"""Environment variables: interface specification, "Environment variables".

Texts and order of checks: `dfinity/ic` `system_api.rs`. The limit on the length of a name is 100 there and 128 wherever
a variable can be set; 128 is used here, so that every variable that exists can be read.
"""

from __future__ import annotations

from sandbox.errors import ErrorCode
from sandbox.ic0.access import copy_out, load, violation
from sandbox.ic0.state import Execution, GuestTrap
from sandbox.limits import ENVIRONMENT_VARIABLE_SIZE


def _name_at(x: Execution, index: int) -> bytes:
    variables = x.env.environment_variables
    if index >= len(variables):
        raise GuestTrap(
            ErrorCode.CANISTER_CONTRACT_VIOLATION,
            f"Environment variable index {index} is out of bounds. "
            f"The number of environment variables is {len(variables)}.",
        )
    return variables[index][0].encode()


def _name(x: Execution, function: str, what: str, src: int, size: int) -> str:
    if size > ENVIRONMENT_VARIABLE_SIZE:
        raise violation(f"ic0.{function}: Variable name is too large.")
    raw = load(x, f"ic0.{function} {what}", src, size)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise violation(f"ic0.{function}: Variable name is not a valid UTF-8 string.") from None


def _value(x: Execution, name: str) -> bytes:
    for known, value in x.env.environment_variables:
        if known == name:
            return value.encode()
    raise GuestTrap(ErrorCode.CANISTER_CONTRACT_VIOLATION, f"Environment variable {name} not found.")


def env_var_count(x: Execution) -> int:
    return len(x.env.environment_variables)


def env_var_name_size(x: Execution, index: int) -> int:
    return len(_name_at(x, index))


def env_var_name_copy(x: Execution, index: int, dst: int, offset: int, size: int) -> None:
    copy_out(x, "ic0.env_var_name_copy", "name", _name_at(x, index), (dst, offset, size))


def env_var_name_exists(x: Execution, src: int, size: int) -> int:
    name = _name(x, "env_var_name_exists", "heap", src, size)
    return int(any(known == name for known, _ in x.env.environment_variables))


def env_var_value_size(x: Execution, src: int, size: int) -> int:
    return len(_value(x, _name(x, "env_var_value_size", "heap", src, size)))


def env_var_value_copy(x: Execution, *args: int) -> None:
    """Arguments: address and size of the name, then destination, offset, size."""
    src, name_size, dst, offset, size = args
    value = _value(x, _name(x, "env_var_value_copy", "name", src, name_size))
    copy_out(x, "ic0.env_var_value_copy", "value", value, (dst, offset, size))

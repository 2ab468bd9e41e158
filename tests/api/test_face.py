"""The public interface: its names, its types, and that what it stands on does not show."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

import sandbox
from sandbox import CallRejected, Canister, Sandbox, errors
from sandbox.api import SnapshotManager, runtime_of
from sandbox.api.management import Management
from tests.conftest import fixture

FACES = (Sandbox, Canister, SnapshotManager, Management)

SANDBOX = {
    "advance_time",
    "anchor",
    "canister",
    "canisters",
    "certificate",
    "check",
    "close",
    "coverage",
    "create_canister",
    "http",
    "identity",
    "ingress_status",
    "management",
    "next_due",
    "on_log",
    "open",
    "profile",
    "query",
    "raw_state",
    "record",
    "root_key",
    "run_for",
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
    with Sandbox() as sb:
        assert {name for name in dir(sb) if not name.startswith("_")} == SANDBOX
        canister = sb.create_canister()
        for held in (*vars(sb), *vars(canister), *vars(sb.snapshots)):
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


PUBLIC = {name: getattr(sandbox, name) for name in sandbox.__all__}
"""Names for hints of methods, which may be imported for the type checker alone."""


def classes_in(hint: Any) -> Iterator[type]:
    """The classes of this package that a type hint is made of."""
    for part in get_args(hint):
        yield from classes_in(part)
    if inspect.isclass(hint) and hint.__module__.startswith("sandbox."):
        yield hint


@pytest.mark.parametrize("method", METHODS)
def test_every_class_that_a_method_returns_is_public(method: Any) -> None:
    for returned in classes_in(get_type_hints(method, localns=PUBLIC).get("return")):
        assert getattr(sandbox, returned.__name__) is returned


def test_every_public_name_is_loaded_from_one_place_when_it_is_used() -> None:
    assert {*sandbox.__all__} == {*sandbox._MODULE_OF, "__version__"} == set(dir(sandbox))
    for name in sandbox.__all__:
        assert getattr(sandbox, name)
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        getattr(sandbox, "missing")  # noqa: B009


def test_every_error_is_public() -> None:
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, errors.SandboxError | Warning):
            assert getattr(sandbox, name) is value


def test_importing_the_package_loads_nothing_else() -> None:
    program = "import sys, sandbox; print(*(name for name in sys.modules if name.startswith('sandbox')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sandbox"]


def test_a_result_shows_in_one_line_how_the_call_ended() -> None:
    canister = Sandbox().create_canister()
    canister.install(fixture("counter.classical"))
    assert re.fullmatch(
        rf"CallResult\(inc of {canister.id}: reply of 8 bytes, [\d,]+ instructions\)", repr(canister.update("inc"))
    )
    with pytest.raises(CallRejected) as caught:
        canister.update("missing")
    assert repr(caught.value.result).startswith(
        f"CallResult(missing of {canister.id}: CANISTER_ERROR (5, IC0536): Error from Canister {canister.id}: "
    )
    assert "\n" not in repr(caught.value.result)


def test_a_canister_leaves_comparison_with_other_classes_to_them() -> None:
    class Same:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = object.__hash__

    sandbox = Sandbox()
    canister = sandbox.create_canister()
    assert canister == sandbox.canister(canister.id)
    assert canister != Sandbox().create_canister()
    assert canister != canister.id
    assert canister == Same()


def test_a_runtime_says_every_input_and_what_it_executed() -> None:
    sandbox = Sandbox()
    counter = sandbox.create_canister()
    counter.install(fixture("counter.classical"))
    seen: list[tuple[str, bool]] = []
    runtime_of(sandbox).on_step = lambda step, env: seen.append((type(step).__name__, env.executed > 0))
    counter.call("inc")
    counter.call("get")
    for fails in (lambda: counter.call("boom"), lambda: counter.install(b"not wasm")):
        with pytest.raises(CallRejected):
            fails()
    sandbox.advance_time(1)
    assert seen == [("Update", True), ("Query", True), ("Update", True), ("Command", False), ("Advance", False)]

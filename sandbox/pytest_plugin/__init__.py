"""Test canisters with pytest. Installing the package is enough: pytest loads this plugin by its entry point.

    import pytest
    from sandbox.pytest_plugin import rejects

    @pytest.fixture(scope="module")
    def people(sandbox):
        people = sandbox.create_canister(name="people")
        people.install("people.wasm")
        people.call("fill", 1000)              # done once; every test begins with 1000 people
        return people

    def test_add(people):
        assert people.call("add", {"name": "Ada", "email": "", "age": 36, "tags": []}) == 1000

    @pytest.mark.canister("counter.wasm")
    def test_trap(canister):
        with rejects(match="on purpose"):
            canister.call("boom")

Fixtures: `sandbox`, one for the session; `canister`, by the mark `canister`, or a function that installs; `kept`,
values compared with files beside the tests. A test file or `conftest.py` may define its own `sandbox`, of any scope.

What a test does to a sandbox is undone at its end, what a fixture did when it is torn down (`isolation.py`); the mark
`no_isolation` lets the changes of a test stay. Each example of a hypothesis test is undone too, and so is each run of a
`CanisterMachine`. A test that fails shows what its canisters printed, the Wasm backtrace and what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.pytest_plugin.isolation import UNISOLATED, Isolation

if TYPE_CHECKING:
    from sandbox import Canister, Sandbox
    from sandbox.pytest_plugin.kept import Kept
    from sandbox.pytest_plugin.rejection import rejects
    from sandbox.pytest_plugin.stateful import CanisterMachine

__all__ = ["CanisterMachine", "rejects"]

_LATE = {"CanisterMachine": "sandbox.pytest_plugin.stateful", "rejects": "sandbox.pytest_plugin.rejection"}
_ISOLATION = pytest.StashKey[Isolation]()
_MARKS = (
    "canister(file, arg=None, *, name=None, did=None): a canister with this module, for the fixture `canister`",
    f"{UNISOLATED}: what the test does to a sandbox is not undone",
)


def __getattr__(name: str) -> object:
    """Import what only some tests use when it is first used."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LATE[name]), name)
    return value


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this plugin."""
    group = parser.getgroup("canister-sandbox")
    group.addoption(
        "--canister-update", action="store_true", help="write the files of `kept` anew, and delete those not used"
    )
    group.addoption("--canister-instructions", action="store_true", help="list the instructions of each test's calls")
    group.addoption(
        "--canister-report",
        type=Path,
        metavar="FILE.html",
        help="write a page with tests, instructions, memory and logs",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks and the parts of this plugin that have hooks; `UsageError` for a report that cannot be."""
    from sandbox.pytest_plugin.evidence import Evidence, reporting
    from sandbox.pytest_plugin.summary import Summary, check_report

    for mark in _MARKS:
        config.addinivalue_line("markers", mark)
    isolation = config.stash[_ISOLATION] = Isolation(reporting=reporting(config))
    config.pluginmanager.register(isolation, "canister-sandbox-isolation")
    config.pluginmanager.register(Evidence(isolation), "canister-sandbox-evidence")
    if not hasattr(config, "workerinput"):
        check_report(config.getoption("canister_report"))
        config.pluginmanager.register(Summary(config), "canister-sandbox-summary")


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain how a value differs from the kept one."""
    for side in (left, right):
        lines = getattr(side, "difference", None)
        if op == "==" and isinstance(lines, list) and type(side).__module__ == "sandbox.pytest_plugin.kept":
            return lines
    return None


@pytest.fixture(name="sandbox", scope="session")
def sandbox_of_session() -> Iterator[Sandbox]:
    """A sandbox in memory, one for the session; what tests and fixtures do to it is undone."""
    from sandbox import Sandbox

    made = Sandbox()
    yield made
    made.close()


@pytest.fixture(name="canister")
def canister_of_test(sandbox: Sandbox, request: pytest.FixtureRequest) -> Canister | Callable[..., Canister]:
    """The canister of the mark `canister` that is nearest to the test; those of the others, if they have names, are
    `sandbox.canister(name)`. Without a mark: a function with the arguments of the mark, which returns a new canister.
    """

    isolation = request.config.stash[_ISOLATION]

    def install(
        file: str | Path | bytes, arg: Any = None, *, name: str | None = None, did: str | Path | None = None
    ) -> Canister:
        made = sandbox.create_canister(name=name)
        if did is not None:
            did = did if "{" in str(did) else _beside(request, did)
            made = sandbox.canister(made.id, did=did)
        made.install(file if isinstance(file, bytes) else _beside(request, file), arg)
        isolation.installed(made)
        return made

    found = None
    for mark in reversed(list(request.node.iter_markers("canister"))):
        try:
            found = install(*mark.args, **mark.kwargs)
        except TypeError as error:
            raise pytest.UsageError(f"@pytest.mark.canister: {error}") from error
    return install if found is None else found


def _beside(request: pytest.FixtureRequest, file: str | Path) -> Path:
    """The file, relative to the directory of the test, the root directory of pytest or the present directory."""
    places = [request.path.parent, request.config.rootpath, Path.cwd()]
    for place in places:
        if (place / file).is_file():
            return place / file
    raise pytest.UsageError(f"there is no file {file} in {', '.join(dict.fromkeys(map(str, places)))}")


@pytest.fixture(name="kept")
def kept_of_test(request: pytest.FixtureRequest) -> Kept:
    """What a value was when it was last kept: `assert people.call("list", 0, 9) == kept`, or `== kept("people")` for
    a name of its own. The files lie in `kept/` beside the test; `--canister-update` writes them anew. A canister stands
    for its state: module, sizes and hashes of memories, certified data, entries of stable structures."""
    from sandbox.pytest_plugin.kept import KEPT, Keeper, Kept

    keeper = Keeper(request.path, request.node.nodeid, request.config.getoption("canister_update"))
    request.node.stash[KEPT] = keeper
    return Kept(keeper)

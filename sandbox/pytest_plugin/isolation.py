"""Isolation: what a test does to a sandbox is undone at its end, what a fixture did when it is torn down.

The sandboxes are those that fixtures return, as a `Sandbox` or by a `Canister`. A level is what a fixture of class,
module, package or session, or a test with its function-scoped fixtures, did to them; an anchor undoes it. Levels are a
stack, because an anchor can only undo what was done last. Hence one rule: **a fixture lives no longer than the state
that it was built on.** Where a level ends, the fixtures above it are torn down before; pytest sets them up again for
the next test that asks for them. That happens only where a fixture of wide scope is first used after one of narrow
scope, or beside a parametrised one; and before a test begins, levels make way for those that belong below them. Where a
test or a fixture asks for another one while it runs (`getfixturevalue`), what it does afterwards is a level of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sandbox.api import Canister
    from sandbox.pytest_plugin.observation import Observation

UNISOLATED = "no_isolation"
"""The mark of tests whose changes stay."""
_SCOPES = ("function", "class", "module", "package", "session")
_OURS = frozenset({"canister", "kept"})
"""Function-scoped fixtures of this plugin: the examples of a property may share them."""


class Level:
    """What a fixture or a test did to the sandboxes. `tear_down`: tears the fixture down, which ends the level."""

    def __init__(self, name: str, scope: str, param: object, tear_down: Callable[[], object] | None = None) -> None:
        self.name, self.scope, self.param = name, scope, param
        self.tear_down = tear_down
        self.anchors = ExitStack()
        self.made: Observation | None = None
        """The sandbox that the fixture brought."""
        self.process = os.getpid()

    def undo(self) -> None:
        """Undo what was done; not in a forked process, whose sandboxes are the parent's."""
        if self.process == os.getpid():
            self.anchors.close()
        self.anchors.pop_all()


class Isolation:
    """The hooks that isolate tests, and the sandboxes that are in use; `reporting`: their calls are wanted."""

    def __init__(self, *, reporting: bool = False) -> None:
        self._reporting = reporting
        self.observed: list[Observation] = []
        self._levels: list[Level] = []
        self._running: list[Level] = []
        """The levels of the test and of the fixtures that are being set up, the outermost first."""
        self._users: set[str] = set()
        """Names of fixtures that use a sandbox."""
        self.test: pytest.Item | None = None
        """The test that has begun: its fixtures of wider scope are set up."""

    # --- hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        self._make_way(item)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        if fixturedef.scope == "function":
            self._begin(request.node)
            value = yield
            made = self._observe(value)
            if made is not None:
                fixturedef.addfinalizer(partial(self._forget, made))
            return value
        level = Level(
            fixturedef.argname,
            fixturedef.scope,
            getattr(request, "param", None),
            partial(fixturedef.finish, request),  # type: ignore[arg-type]  # a fixture is set up with a SubRequest
        )
        before = self._inputs()
        self._push(level)
        self._running.append(level)
        fixturedef.addfinalizer(partial(self._end, level))
        try:
            value = yield
        except BaseException:
            self._end(level)
            raise
        finally:
            self._running.remove(level)
        level.made = self._observe(value)
        used = not self._users.isdisjoint(fixturedef.argnames) or level.made is not None
        if used or self._inputs() != before or self._levels[-1] is not level:
            self._users.add(fixturedef.argname)
            for inner in self._levels[self._levels.index(level) + 1 :]:  # set up by this fixture, which builds on them
                inner.tear_down = _both(level.tear_down, inner.tear_down)
            fixturedef.addfinalizer(partial(self._unwind, len(self._levels)))
            if self._running:  # what has asked for this fixture goes on, on top of it
                self._push(Level(self._running[-1].name, self._running[-1].scope, None))
        else:
            self._end(level)
        return value

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        self._begin(item)
        function = getattr(item, "obj", None)
        if not getattr(function, "is_hypothesis_test", False) or item.get_closest_marker(UNISOLATED):
            return (yield)
        with self._isolated_examples(item, function):
            return (yield)

    # --- levels

    def _push(self, level: Level) -> None:
        for observation in self.observed:
            level.anchors.enter_context(observation.runtime.anchor())
        self._levels.append(level)

    def _end(self, level: Level) -> None:
        """End a level after all that are above it; nothing to do if it has ended."""
        if level not in self._levels:
            return
        try:
            self._unwind(self._levels.index(level) + 1)
        finally:
            self._levels.remove(level)
            if level.made is not None:
                self._forget(level.made)
            level.undo()

    def _unwind(self, height: int) -> None:
        """End levels until no more than `height` are left. Errors of fixtures that are torn down come at the end."""
        errors: list[BaseException] = []
        while len(self._levels) > height:
            level = self._levels[-1]
            try:
                if level.tear_down is not None:
                    level.tear_down()
            except BaseException as error:
                errors.append(error)
            if level in self._levels:
                self._end(level)
        if errors:
            raise errors[0] if len(errors) == 1 else BaseExceptionGroup("errors while tearing down fixtures", errors)

    def _begin(self, item: pytest.Item) -> None:
        """Begin the level of a test, below its function-scoped fixtures; nothing to do if it has begun."""
        if self.test is item:
            return
        self.test = item
        level = Level(item.name, "function", None)
        if item.get_closest_marker(UNISOLATED) is None:
            self._push(level)
            self._running = [level]
        item.addfinalizer(partial(self._finish, level))
        for observation in self.observed:
            observation.begin()

    def _finish(self, level: Level) -> None:
        self.test, self._running = None, []
        try:
            self._end(level)
        finally:
            for observation in self.observed:
                observation.end()

    def _make_way(self, item: pytest.Item) -> None:
        """Before a test is set up: end the levels on which its fixtures could not stand, and all above these.

        Those are fixtures that it uses with another parameter, and fixtures of narrower scope than one that is about
        to be set up for it.
        """
        if not self._levels:
            return
        params: Mapping[str, object] = getattr(getattr(item, "callspec", None), "params", {})
        widest = max((_SCOPES.index(scope) for scope in self._scopes_to_set_up(item)), default=0)
        names = getattr(item, "fixturenames", ())
        for height, level in enumerate(self._levels):
            other = level.name in names and not _same(params.get(level.name, level.param), level.param)
            if other or _SCOPES.index(level.scope) < widest:
                self._unwind(height)
                return

    def _scopes_to_set_up(self, item: pytest.Item) -> Iterator[str]:
        """The scopes of the fixtures that the test needs, that use a sandbox, and that are not set up."""
        definitions = _definitions(item)
        uses: dict[str, bool] = {}

        def use(name: str) -> bool:
            if name not in uses:
                uses[name] = name in self._users
                found = definitions.get(name, ())
                uses[name] = uses[name] or any(use(other) for each in found for other in each.argnames)
            return uses[name]

        for name in definitions:
            fixture = definitions[name][-1]
            if fixture.cached_result is None and use(name):
                yield fixture.scope

    # --- sandboxes

    def _observe(self, value: object) -> Observation | None:
        """Observe the sandbox of a fixture's value; None if there is none, or if it is known already."""
        face = sys.modules.get("sandbox.api")
        if face is None or not isinstance(value, face.Sandbox | face.Canister):
            return None
        runtime = face.runtime_of(value)
        if any(observation.runtime is runtime for observation in self.observed):
            return None
        from sandbox.pytest_plugin.observation import Observation

        observation = Observation(value, reporting=self._reporting)
        observation.begin()
        self.observed.append(observation)
        return observation

    def installed(self, canister: Canister) -> None:
        """A fixture has given the test a canister: what the test changes is what changes from now on."""
        for observation in self.observed:
            if observation.runtime is canister._runtime:
                observation.installed(canister.id)

    def _forget(self, observation: Observation) -> None:
        if observation in self.observed:
            self.observed.remove(observation)
            observation.close()

    def _inputs(self) -> int:
        return sum(observation.inputs for observation in self.observed)

    # --- hypothesis

    @contextmanager
    def _isolated_examples(self, item: pytest.Item, function: Any) -> Iterator[None]:
        """Undo each example of a property at its end."""
        from hypothesis import HealthCheck, settings

        handle, plain = function.hypothesis, getattr(function, "__func__", function)
        inner = handle.inner_test

        @wraps(inner)
        def isolated(*args: Any, **options: Any) -> Any:
            __tracebackhide__ = True
            with ExitStack() as anchors:
                for observation in self.observed:
                    anchors.enter_context(observation.runtime.anchor())
                return inner(*args, **options)

        chosen = getattr(plain, "_hypothesis_internal_use_settings", None)
        handle.inner_test = isolated
        definitions = _definitions(item)
        scoped = {name for name, found in definitions.items() if found[-1].scope == "function"}
        if scoped & set(item._fixtureinfo.argnames) <= _OURS:  # type: ignore[attr-defined]
            given: Any = settings.default if chosen is None else chosen
            suppressed = {*given.suppress_health_check, HealthCheck.function_scoped_fixture}
            plain._hypothesis_internal_use_settings = settings(parent=given, suppress_health_check=suppressed)
        try:
            yield
        finally:
            handle.inner_test = inner
            if chosen is not None:
                plain._hypothesis_internal_use_settings = chosen
            elif hasattr(plain, "_hypothesis_internal_use_settings"):
                del plain._hypothesis_internal_use_settings


def _definitions(item: pytest.Item) -> Mapping[str, tuple[pytest.FixtureDef[Any], ...]]:
    """The fixtures that a test needs, as far as arguments tell, by name; the last definition is the one in force."""
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return {name: tuple(found) for name, found in known.items() if found}


def _same(one: object, other: object) -> bool:
    try:
        return one is other or bool(one == other)
    except Exception:
        return False


def _both(first: Callable[[], object] | None, second: Callable[[], object] | None) -> Callable[[], None]:
    def both() -> None:
        for action in (first, second):
            if action is not None:
                action()

    return both

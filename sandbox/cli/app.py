"""The environment of a command: the state, the user who acts, and the output of results."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import update_wrapper
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import click
from rich.console import RenderableType
from rich.text import Text

from sandbox.api.identity import identity
from sandbox.cli.interrupt import saying
from sandbox.cli.options import DEFAULT_STATE, Command, F, Group, Misuse, SharedOptions, canister_argument
from sandbox.cli.render import output
from sandbox.cli.render.life import Life
from sandbox.errors import CallRejected, PrincipalError, StateWarning, StillWaiting
from sandbox.principal import Principal

if TYPE_CHECKING:
    from sandbox.api import Canister, Sandbox
    from sandbox.api.names import Names

__all__ = ["App", "Command", "F", "Group", "Misuse", "Session", "canister_argument", "on_network", "user", "with_app"]


_SAVING = "the state was being saved; it is the one before the command or the one after it, as a whole"


class App(SharedOptions):
    """The shared options of one run, with access to the state and the terminal."""

    life: Life | None = None

    @property
    def sender(self) -> Principal:
        return user(self.user)

    def emit(self, facts: object, *parts: RenderableType) -> None:
        """Print the result: `facts` as JSON, or `parts` for people."""
        if self.json:
            output.print_json(facts)
        else:
            output.show(*parts)

    def note(self, text: str) -> None:
        """Print a remark for people on standard error; nothing with `--output json`."""
        if not self.json:
            output.show(Text(text, "dim"), stderr=True)

    @contextmanager
    def working(self) -> Iterator[Callable[[str], None]]:
        """Yield a function that shows a text, the present step, on a terminal; elsewhere it does nothing."""
        target = output.console(stderr=True)
        self.quiet()
        if self.json or not target.is_terminal:
            yield lambda text: None
            return
        with target.status("") as status:
            yield status.update

    @contextmanager
    def session(
        self, *, create: bool = False, save: bool = True, max_snapshots: int | None = None
    ) -> Iterator[Session]:
        """Open and lock the state; `create` it if absent, else an absent state is an empty one in memory.

        It is saved at the end, also after a reject, whose log records stay, and where calls wait for more rounds than
        were allowed. After any other exception it is not saved. Without `save` it is opened read-only.
        """
        from sandbox.api import runtime_of

        if self.network is not None:
            raise Misuse(f"{_command_path()} works on a state directory, not with --network")
        answer: CallRejected | StillWaiting | None = None
        with closing(self._open(create, not save, max_snapshots)) as sandbox:
            names = runtime_of(sandbox).names
            names.prune({canister.id for canister in sandbox.canisters()})
            session = Session(self, sandbox, names)
            sandbox.on_log = session.print_log
            try:
                with self._alive():
                    yield session
            except (CallRejected, StillWaiting) as error:
                answer = error
            if save:
                with saying(_SAVING), self._alive("saving"):
                    sandbox.save()
                    names.save()
        if answer is not None:
            raise answer

    def quiet(self) -> None:
        """Show no sign of life from now on: the command shows or asks something itself."""
        if self.life is not None:
            self.life.end()

    @contextmanager
    def _alive(self, text: str | None = None) -> Iterator[None]:
        """Show on a terminal that work of more than a second goes on; `text`: what, the command without."""
        if self.json or not output.console(stderr=True).is_terminal:
            yield
            return
        with Life(text or _command_path()) as self.life:
            yield

    def _open(self, create: bool, read_only: bool, max_snapshots: int | None) -> Sandbox:
        from sandbox.api import Sandbox  # imported late: it brings the engine, which `identity` does not need

        if not create and not self.state.exists():
            if self.state != DEFAULT_STATE:
                self.note(f"there is no state directory {self.state}")
            return Sandbox()
        with warnings.catch_warnings(record=True, category=StateWarning) as seen:
            warnings.simplefilter("always", StateWarning)
            sandbox = Sandbox.open(
                self.state, lock_timeout=self.lock_timeout, max_snapshots=max_snapshots, read_only=read_only
            )
        for warning in seen:
            output.show(Text.assemble(("warning: ", "bold yellow"), str(warning.message)), stderr=True)
        return sandbox


@dataclass(frozen=True)
class Session:
    """An open state. Where a canister is wanted, its id and its name will do."""

    app: App
    sandbox: Sandbox
    names: Names

    def principal(self, text: str) -> Principal:
        """The id of a canister given by name or id; whether it exists is the platform's to say."""
        from sandbox.api import runtime_of
        from sandbox.api.resolver import resolve_canister

        try:
            return resolve_canister(runtime_of(self.sandbox), text)
        except PrincipalError as error:
            raise Misuse(str(error)) from None

    def canister(self, text: str) -> Canister:
        """The canister given by name or id; a reject if there is none."""
        return self.sandbox.canister(self.principal(text))

    def who(self, text: str) -> Principal:
        """A principal given as such, or by the name of a canister, or else as the name of a user."""
        return self.names.get(text) or user(text)

    def title(self, canister_id: Principal) -> str:
        """`name (id)`, or the id."""
        name = self.names.of(canister_id)
        return f"{name} ({canister_id})" if name else str(canister_id)

    def print_log(self, canister_id: Principal, text: str) -> None:
        if not self.app.json:
            name = self.names.of(canister_id) or str(canister_id)
            output.show(Text(f"[{name}] {output.cut(text)}", "dim"), stderr=True)


def _command_path() -> str:
    """Return the words of the command that runs, without the program's name."""
    return click.get_current_context().command_path.partition(" ")[2]


def user(name: str) -> Principal:
    """Return the principal with this text, or that of the user with this name. Misuse as for `identity`."""
    try:
        return identity(name)
    except PrincipalError as error:
        raise Misuse(str(error)) from None


def on_network(place: str) -> Callable[[F], F]:
    """Let a command with `--network` do what the function with its name in `sandbox.cli.network.<place>` does."""

    def decorated(function: F) -> F:
        def run(app: App, *args: Any, **options: Any) -> Any:
            if app.network is None:
                return function(app, *args, **options)
            module = import_module(f"sandbox.cli.network.{place}")
            return getattr(module, function.__name__)(app, *args, **options)

        return cast(F, update_wrapper(run, function))

    return decorated


def with_app(function: F) -> F:
    """Pass the `App` of the run as the first argument."""

    def run(*args: Any, **options: Any) -> Any:
        context = click.get_current_context()
        return context.invoke(function, App(**vars(context.ensure_object(SharedOptions))), *args, **options)

    return cast(F, update_wrapper(run, function))

"""The environment of a command: the state, the user who acts, and the output of results."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, cast

import click
from rich.console import RenderableType
from rich.text import Text

from sandbox.api import Canister, Sandbox, runtime_of
from sandbox.api.identity import identity
from sandbox.api.names import Names
from sandbox.api.resolver import resolve_canister
from sandbox.cli.options import Command, F, Group, Misuse, SharedOptions, canister_argument
from sandbox.cli.render import output
from sandbox.errors import CallRejected, PrincipalError, StateWarning, StillWaiting
from sandbox.principal import Principal

__all__ = ["App", "Command", "F", "Group", "Misuse", "Session", "canister_argument", "user", "with_app"]


class App(SharedOptions):
    """The shared options of one run, with access to the state and the terminal."""

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
        answer: CallRejected | StillWaiting | None = None
        with closing(self._open(create, not save, max_snapshots)) as sandbox:
            names = runtime_of(sandbox).names
            names.prune({canister.id for canister in sandbox.canisters()})
            session = Session(self, sandbox, names)
            sandbox.on_log = session.print_log
            try:
                yield session
            except (CallRejected, StillWaiting) as error:
                answer = error
            if save:
                sandbox.save()
                names.save()
        if answer is not None:
            raise answer

    def _open(self, create: bool, read_only: bool, max_snapshots: int | None) -> Sandbox:
        if not create and not self.state.exists():
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
            output.show(Text(f"[{name}] {text}", "dim"), stderr=True)


def user(name: str) -> Principal:
    """Return the principal with this text, or that of the user with this name. Misuse as for `identity`."""
    try:
        return identity(name)
    except PrincipalError as error:
        raise Misuse(str(error)) from None


def with_app(function: F) -> F:
    """Pass the `App` of the run as the first argument."""

    def run(*args: Any, **options: Any) -> Any:
        context = click.get_current_context()
        return context.invoke(function, App(**vars(context.ensure_object(SharedOptions))), *args, **options)

    return cast(F, update_wrapper(run, function))

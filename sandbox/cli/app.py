"""What every command shares: where the state is, who acts, how results look."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from rich.console import RenderableType
from rich.text import Text

from sandbox.api import Canister, Sandbox, runtime_of
from sandbox.api.identity import identity
from sandbox.api.names import Names
from sandbox.api.resolver import resolve_canister
from sandbox.cli.render import output
from sandbox.errors import CallRejected, PrincipalError, StateWarning
from sandbox.principal import Principal

DEFAULT_STATE = Path(".canister-sandbox")


class Misuse(click.ClickException):
    """The command as given makes no sense; nothing was done."""

    exit_code = 2


@dataclass
class App:
    """The shared options of one run, and how to reach the state and the terminal."""

    state: Path = DEFAULT_STATE
    user: str = "default"
    output: str = "text"
    lock_timeout: float = 10.0

    @property
    def sender(self) -> Principal:
        return user(self.user)

    @property
    def json(self) -> bool:
        return self.output == "json"

    def emit(self, facts: object, *parts: RenderableType) -> None:
        """The result: `facts` as JSON, or `parts` for people."""
        if self.json:
            output.print_json(facts)
        else:
            output.show(*parts)

    def note(self, text: str) -> None:
        """A remark for people, beside the result."""
        if not self.json:
            output.show(Text(text, "dim"), stderr=True)

    @contextmanager
    def session(
        self, *, create: bool = False, save: bool = True, max_snapshots: int | None = None
    ) -> Iterator[Session]:
        """The state, locked; made if absent and `create`.

        Saved at the end, also after a reject, whose log records then stay. Any other exception leaves it as it was.
        Without `save` nothing is to change: it is opened read-only.
        """
        rejection: CallRejected | None = None
        with closing(self._open(create, not save, max_snapshots)) as sandbox:
            names = runtime_of(sandbox).names
            names.prune({canister.id for canister in sandbox.canisters()})
            session = Session(self, sandbox, names)
            sandbox.on_log = session.print_log
            try:
                yield session
            except CallRejected as error:
                rejection = error
            if save:
                sandbox.save()
                names.save()
        if rejection is not None:
            raise rejection

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
        named = self.names.get(text)
        if named is not None:
            return named
        try:
            return Principal.from_text(text)
        except PrincipalError:
            return user(text)

    def title(self, canister_id: Principal) -> str:
        """`name (id)`, or the id."""
        name = self.names.of(canister_id)
        return f"{name} ({canister_id})" if name else str(canister_id)

    def print_log(self, canister_id: Principal, text: str) -> None:
        if not self.app.json:
            name = self.names.of(canister_id) or str(canister_id)
            output.show(Text(f"[{name}] {text}", "dim"), stderr=True)


def user(name: str) -> Principal:
    """The principal of the user with this name, which may be any text but none at all."""
    if not name.strip():
        raise Misuse("the name of a user cannot be empty")
    return identity(name)


def _remember(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        app = context.ensure_object(App)
        if value is not None:
            setattr(app, field, value)

    return callback


SHARED = (
    (
        "--state",
        "state",
        click.Path(file_okay=False, path_type=Path),
        "DIR",
        "Where the state is kept [.canister-sandbox]",
    ),
    ("--as", "user", str, "NAME", "Who acts: a user, by any name; 'anonymous' is nobody [default]"),
    ("--output", "output", click.Choice(["text", "json"]), None, "How results are printed [text]"),
    ("--lock-timeout", "lock_timeout", click.FloatRange(0), "SECONDS", "How long to wait for another process [10]"),
)


def _shared(*, hidden: bool) -> list[click.Parameter]:
    return [
        click.Option(
            [flag, f"shared_{field}"],
            type=kind,
            metavar=metavar,
            help=text,
            hidden=hidden,
            expose_value=False,
            callback=_remember(field),
        )
        for flag, field, kind, metavar, text in SHARED
    ]


_HIDDEN = _shared(hidden=True)


class Command(click.Command):
    """A command that understands the shared options too."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *_HIDDEN]


class Group(click.Group):
    """A group of such commands; the outermost one lists the shared options in its help."""

    command_class = Command
    group_class: type | None = type

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *(_HIDDEN if ctx.parent else _shared(hidden=False))]


F = TypeVar("F", bound=Callable[..., Any])


def with_app(function: F) -> F:
    """The `App` as first argument."""
    return cast(F, click.pass_obj(function))


def canister_argument(function: F) -> F:
    """CANISTER: a name or an id."""
    return click.argument("canister", metavar="CANISTER")(function)

"""The options that all commands share, and the classes of commands that understand them.

Imports click alone, so that `canister-sandbox --help` prints at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from sandbox.cli import completion

DEFAULT_STATE = Path(".canister-sandbox")

F = TypeVar("F", bound=Callable[..., Any])


class Misuse(click.ClickException):
    """A command that makes no sense as it was given. Nothing was done."""

    exit_code = 2


@dataclass
class SharedOptions:
    """The values of the shared options in one run."""

    state: Path = DEFAULT_STATE
    user: str = "default"
    output: str = "text"
    lock_timeout: float = 10.0
    network: str | None = None
    pem: Path | None = None
    root_key: str | None = None

    @property
    def json(self) -> bool:
        return self.output == "json"


def _remember(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None:
            setattr(context.ensure_object(SharedOptions), field, value)

    return callback


SHARED = (
    (
        "--state",
        "state",
        click.Path(file_okay=False, path_type=Path),
        "DIR",
        "Directory of the state [.canister-sandbox]",
    ),
    ("--as", "user", str, "WHO", "User who sends the calls: any name, 'anonymous', or a principal [default]"),
    ("--output", "output", click.Choice(["text", "json"]), None, "Format of the results [text]"),
    ("--lock-timeout", "lock_timeout", click.FloatRange(0), "SECONDS", "How long to wait for another process [10]"),
    ("--network", "network", str, "URL", "Act at a network, not on the state directory; 'ic' is the main network"),
    ("--pem", "pem", click.Path(dir_okay=False, path_type=Path), "FILE", "Private key for --network, of icp or dfx"),
    ("--root-key", "root_key", str, "HEX", "Root key of the network in hexadecimal, or 'fetch'"),
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


OTHER_WORDS = {
    "upgrade": "canister install CANISTER FILE --mode upgrade, or deploy CANISTER FILE",
    "install": "canister install, or deploy",
    "create": "canister create, or snapshot take",
    "call": "canister call",
    "query": "canister query",
    "status": "canister status",
    "restore": "snapshot load",
    "load": "snapshot load",
    "take": "snapshot take",
    "update-settings": "canister settings",
    "install-code": "canister install",
    "uninstall-code": "canister uninstall",
    "deploy": "deploy",
    "advance": "time advance",
    "--json": "--output json",
    "--identity": "--as",
}
"""Words that other tools have for commands and options, and ours."""


def hint_for(word: str) -> str:
    """Return a line with our word for one of other tools, empty if there is none."""
    known = OTHER_WORDS.get(word)
    return "" if known is None else f"\nhere it is: {known}"


class Quantity(click.ParamType[int]):
    """A number with a unit, read by `parse`; a plain number is in the smallest unit."""

    def __init__(self, name: str, example: str, parse: Callable[[str], int | None]) -> None:
        self.name = name
        self._example = example
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = value if isinstance(value, int) else self._parse(value)
        if number is None:
            raise click.BadParameter(f"{value!r} is not {self.name}, such as {self._example}", ctx, param)
        return number


class Command(click.Command):
    """A command that understands the shared options too, except where an option of its own has the same name."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        taken = {flag for parameter in own for flag in parameter.opts}
        return [*own, *(shared for shared in _HIDDEN if not taken & {*shared.opts})]


class Group(click.Group):
    """A group of such commands. The outermost one lists the shared options in its help."""

    command_class = Command
    group_class: type | None = type

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(error.format_message() + hint_for(args[0]), error.ctx) from None

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *(_HIDDEN if ctx.parent else _shared(hidden=False))]


@dataclass(frozen=True)
class LazyCommand:
    """The place of a command and its one line in the help of its group."""

    module: str
    attribute: str
    help: str

    def load(self) -> click.Command:
        """Import the module of the command, with everything that it needs."""
        return cast(click.Command, getattr(import_module(self.module), self.attribute))


class LazyGroup(Group):
    """A group that imports the module of a command when the command is run, and none to list them."""

    lazy: Mapping[str, LazyCommand] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = self.lazy.get(cmd_name)
        return None if command is None else command.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.lazy[name].help) for name in self.list_commands(ctx)])


def canister_argument(function: F) -> F:
    """Add the argument CANISTER: a name or an id."""
    return click.argument("canister", metavar="CANISTER", shell_complete=completion.canisters)(function)

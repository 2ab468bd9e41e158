"""The settings of a canister: one table that options, help and output are derived from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from sandbox.cli.app import App, Command, F, Misuse, Session, canister_argument, with_app
from sandbox.cli.options import Quantity
from sandbox.cli.render.output import fields
from sandbox.principal import Principal
from sandbox.state import Settings, Visibility
from sandbox.units import bytes_of, nanoseconds

SIZE = Quantity("a size", "10MiB", bytes_of)


def _seconds(text: str) -> int | None:
    """Return a duration in seconds, given as such or with a unit."""
    if text.isdecimal():
        return int(text)
    seconds, rest = divmod(nanoseconds(text) or -1, 1_000_000_000)
    return None if seconds < 0 or rest else seconds


SECONDS = Quantity("a duration in seconds", "30d", _seconds)
TYPES = {
    "memory_allocation": SIZE,
    "wasm_memory_limit": SIZE,
    "wasm_memory_threshold": SIZE,
    "freezing_threshold": SECONDS,
}
NUMBERS = {
    "compute_allocation": "Compute allocation in percent of a core, 0 to 100.",
    "memory_allocation": "Reserved memory in bytes, such as 10MiB; 0: none.",
    "freezing_threshold": "Freezing threshold in seconds, or such as 30d.",
    "reserved_cycles_limit": "Largest reserved balance in cycles.",
    "minimum_incoming_canister_call_cycles": "Cycles that a call from a canister must carry.",
    "wasm_memory_limit": "Largest heap in bytes; 0: no limit. A new canister has 3 GiB.",
    "wasm_memory_threshold": "Remaining heap in bytes below which on_low_wasm_memory runs.",
}
VISIBILITIES = ("log_visibility", "snapshot_visibility", "status_visibility")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def setting_options(function: F) -> F:
    """Add an option for every setting."""
    options: list[Callable[[F], F]] = [
        click.option(
            "--controller",
            "controllers",
            multiple=True,
            metavar="WHO",
            help="A controller; may be repeated. Replaces all controllers.",
        ),
        *(
            click.option(_flag(name), name, type=TYPES.get(name, int), metavar="NUMBER", help=text)
            for name, text in NUMBERS.items()
        ),
        *(
            click.option(_flag(name), name, metavar="WHO", help="controllers, public, or viewers separated by commas.")
            for name in VISIBILITIES
        ),
        click.option(
            "--environment-variable",
            "environment_variables",
            multiple=True,
            metavar="NAME=VALUE",
            help="A variable; may be repeated. Replaces all variables; '' removes all.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def chosen(session: Session, options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the options give, as arguments of `update_settings`."""
    update = {name: options[name] for name in NUMBERS if options[name] is not None}
    if options["controllers"]:
        update["controllers"] = [session.who(text) for text in options["controllers"]]
    for name in VISIBILITIES:
        value = options[name]
        if value is not None:
            update[name] = value if value in ("controllers", "public") else [session.who(w) for w in value.split(",")]
    if options["environment_variables"]:
        update["environment_variables"] = dict(_variable(text) for text in options["environment_variables"] if text)
    return update


@click.command(cls=Command)
@canister_argument
@setting_options
@click.option("--add-controller", "added", multiple=True, metavar="WHO", help="One more controller; may be repeated.")
@click.option("--remove-controller", "removed", multiple=True, metavar="WHO", help="One less; may be repeated.")
@click.option("--yes", is_flag=True, help="Do not ask before the canister is left without anybody who controls it.")
@with_app
def settings(
    app: App, canister: str, added: tuple[str, ...], removed: tuple[str, ...], yes: bool, **options: Any
) -> None:
    """Show the settings of CANISTER, or change the given ones."""
    if options["controllers"] and (added or removed):
        raise Misuse("--controller replaces all controllers: give it, or --add-controller and --remove-controller")
    with app.session() as session:
        target = session.canister(canister)
        update = chosen(session, options)
        if added or removed:
            present = target.status().settings.controllers
            gone = [session.who(text) for text in removed]
            unknown = [str(who) for who in gone if who not in present]
            if unknown:
                raise Misuse(f"{', '.join(unknown)} is not a controller (they are: {', '.join(map(str, present))})")
            wanted = (*present, *(session.who(text) for text in added))
            update["controllers"] = [who for who in dict.fromkeys(wanted) if who not in gone]
        if "controllers" in update and not yes:
            _check_controlled(app, target.id, update["controllers"])
        if update:
            target.update_settings(app.sender, **update)
        facts = settings_facts(target.status(None if update else app.sender).settings)
    app.emit(facts, fields(settings_text(facts)))


def _check_controlled(app: App, canister_id: Principal, controllers: list[Principal]) -> None:
    """Ask before a canister is left without a controller that could act on it; misuse if there is no terminal."""
    if set(controllers) - {canister_id, Principal.management()}:
        return
    text = "nobody could control the canister any more: not upgrade, stop or delete it, nor change its settings"
    if app.json or not sys.stdin.isatty():
        raise Misuse(f"{text}; --yes does it all the same")
    app.quiet()
    click.confirm(f"{text}. Do it all the same?", abort=True, err=True)


def settings_facts(current: Settings) -> dict[str, Any]:
    """Return all settings by name, for JSON."""
    facts = asdict(current) | {"controllers": list(current.controllers)}
    for name in VISIBILITIES:
        facts[name] = _visibility(getattr(current, name))
    return facts | {"environment_variables": dict(current.environment_variables)}


def settings_text(facts: dict[str, Any]) -> dict[str, object]:
    """Return the settings by label, for people."""
    lines: dict[str, object] = {}
    for name, value in facts.items():
        label = name.replace("_", " ")
        if isinstance(value, dict):
            lines[label] = "\n".join(f"{key}={text}" for key, text in value.items()) or "none"
        elif isinstance(value, list):
            lines[label] = "\n".join(map(str, value)) or "none"
        else:
            lines[label] = f"{value:,}" if isinstance(value, int) else value
    return lines


def _visibility(visibility: Visibility) -> str | list[str]:
    if visibility.public:
        return "public"
    return [str(viewer) for viewer in visibility.allowed_viewers] or "controllers"


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Misuse(f"{text!r} is not NAME=VALUE")
    return name, value

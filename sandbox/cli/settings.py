"""Settings of a canister: one table from which options, help and output derive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from sandbox.cli.app import App, Command, F, Misuse, Session, canister_argument, with_app
from sandbox.cli.render.output import fields
from sandbox.state import Settings, Visibility

NUMBERS = {
    "compute_allocation": "Percent of a core, 0 to 100.",
    "memory_allocation": "Bytes.",
    "freezing_threshold": "Seconds.",
    "reserved_cycles_limit": "Cycles.",
    "minimum_incoming_canister_call_cycles": "Cycles.",
    "wasm_memory_limit": "Bytes of heap; 0: no limit. A new canister has 3 GiB.",
    "wasm_memory_threshold": "Bytes.",
}
VISIBILITIES = ("log_visibility", "snapshot_visibility", "status_visibility")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def setting_options(function: F) -> F:
    """An option for every setting."""
    options: list[Callable[[F], F]] = [
        click.option(
            "--controller", "controllers", multiple=True, metavar="WHO", help="Replaces all; may be repeated."
        ),
        *(click.option(_flag(name), name, type=int, help=text) for name, text in NUMBERS.items()),
        *(
            click.option(_flag(name), name, metavar="WHO", help="controllers, public, or viewers with commas.")
            for name in VISIBILITIES
        ),
        click.option(
            "--environment-variable",
            "environment_variables",
            multiple=True,
            metavar="NAME=VALUE",
            help="Replaces all; may be repeated; '' removes all.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def chosen(session: Session, options: dict[str, Any]) -> dict[str, Any]:
    """The settings that the options give, as the platform wants them."""
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
@with_app
def settings(app: App, canister: str, **options: Any) -> None:
    """Show the settings of CANISTER, or change those that are given."""
    with app.session() as session:
        target = session.canister(canister)
        update = chosen(session, options)
        if update:
            target.update_settings(app.sender, **update)
        facts = settings_facts(target.status(None if update else app.sender).settings)
    app.emit(facts, fields(settings_text(facts)))


def settings_facts(found: Settings) -> dict[str, Any]:
    """All settings by name."""
    facts = asdict(found) | {"controllers": list(found.controllers)}
    for name in VISIBILITIES:
        facts[name] = _visibility(getattr(found, name))
    return facts | {"environment_variables": dict(found.environment_variables)}


def settings_text(facts: dict[str, Any]) -> dict[str, object]:
    """The same for people."""
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


def _visibility(found: Visibility) -> str | list[str]:
    if found.public:
        return "public"
    return [str(viewer) for viewer in found.allowed_viewers] or "controllers"


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Misuse(f"{text!r} is not NAME=VALUE")
    return name, value

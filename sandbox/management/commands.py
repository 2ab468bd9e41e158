"""Commands of a sandbox as values: handler, caller, arguments.

Commands are serialised in records: a name in `HANDLERS`, the closed list, must never change its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

from sandbox.management import code, edits, hook_path, lifecycle, retention, settings, snapshot_rules, upload_whole
from sandbox.management.transition import ManagementContext, Transition
from sandbox.principal import Principal

P = ParamSpec("P")

HANDLERS: Mapping[str, Callable[..., Transition]] = {
    handler.__name__: handler
    for handler in (
        lifecycle.create_canister,
        lifecycle.start_canister,
        lifecycle.stop_canister,
        lifecycle.delete_canister,
        lifecycle.uninstall_code,
        code.install_code,
        settings.update_settings,
        snapshot_rules.take_snapshot,
        snapshot_rules.load_snapshot,
        snapshot_rules.delete_snapshot,
        edits.edit_snapshot,
        hook_path.take_via_hooks,
        hook_path.load_via_hooks,
        hook_path.load_stable_image,
        retention.retain_snapshots,
        retention.set_policy,
        upload_whole.upload_whole,
        upload_whole.create_from_upload,
    )
}


@dataclass(frozen=True, slots=True)
class Command:
    """`handler` is a name in `HANDLERS`; `arguments` are those after the context."""

    handler: str
    caller: Principal
    arguments: tuple[Any, ...] = ()


def command(
    handler: Callable[Concatenate[ManagementContext, P], Transition],
    caller: Principal,
    *args: P.args,
    **named: P.kwargs,
) -> Command:
    """The command that runs `handler` for `caller`; arguments go by position. `ValueError` if it is not listed."""
    if HANDLERS.get(handler.__name__) is not handler or named:
        raise ValueError(f"{handler.__name__} with {named or 'no names'} is no command")
    return Command(handler.__name__, caller, args)


def decide(context: ManagementContext, command: Command) -> Transition:
    """Run the command's handler and return its transition."""
    return HANDLERS[command.handler](context, *command.arguments)

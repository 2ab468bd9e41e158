"""The options of `snapshot load` that make it an upgrade from a stable memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from sandbox.api import Canister
from sandbox.cli.app import Misuse, Session
from sandbox.cli.calls import FILE, Request, init_argument
from sandbox.execution import CallResult
from sandbox.principal import Principal

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--via-hooks", is_flag=True, help="Load only stable memory, and run post_upgrade of a fresh instance."
    ),
    click.option(
        "--stable-image",
        type=FILE,
        help="Load a file that holds a stable memory, raw or gzip, instead of a snapshot.",
    ),
    click.option("--wasm", type=FILE, help="With either: run this module instead of the one that is there."),
    click.option("--arg", metavar="CANDID", help="With either: the argument of post_upgrade."),
    click.option("--arg-file", type=FILE, help="With either: a file that holds the argument."),
    click.option("--did", type=FILE, help="With either: the interface, where the module does not carry it."),
    click.option(
        "--skip-pre-upgrade",
        is_flag=True,
        help="With --via-hooks of a plain snapshot: do not ask its module to save first; what only its heap holds is "
        "lost.",
    ),
)


def hook_options(command: F) -> F:
    """Give a command these options; `HookOptions.of` takes them from its keywords."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class HookOptions:
    """What of a load the user chose."""

    via_hooks: bool
    stable_image: Path | None
    wasm: Path | None
    arg: str | None
    arg_file: Path | None
    did: Path | None
    skip_pre_upgrade: bool

    @classmethod
    def of(cls, options: dict[str, Any]) -> HookOptions:
        """`Misuse` if they contradict each other."""
        found = cls(**options)
        if found.via_hooks and found.stable_image:
            raise Misuse("give --via-hooks for a snapshot, or --stable-image for a file, not both")
        given = found.wasm or found.arg is not None or found.arg_file or found.did
        if given and not (found.via_hooks or found.stable_image):
            raise Misuse("--wasm, --arg, --arg-file and --did belong to --via-hooks or --stable-image")
        if found.arg is not None and found.arg_file:
            raise Misuse("give --arg or --arg-file, not both")
        if found.skip_pre_upgrade and not found.via_hooks:
            raise Misuse("--skip-pre-upgrade belongs to --via-hooks")
        return found

    def load(self, session: Session, target: Canister, source: str, sender: Principal) -> CallResult:
        """Load the snapshot with the id `source`, or the file."""
        snapshots = session.sandbox.snapshots
        if not (self.via_hooks or self.stable_image):
            return target.load_snapshot(source, sender)
        wasm = self.wasm.read_bytes() if self.wasm else None
        module = wasm if wasm is not None else snapshots.module(None if self.stable_image else source, target.id)
        argument = None
        if module is not None:
            argument = init_argument(module, Request("", self.arg, self.arg_file, self.did, raw=False))
        if self.stable_image:
            return snapshots.load_stable_image(target.id, self.stable_image, wasm, argument, sender)
        skip = self.skip_pre_upgrade
        return target.load_snapshot(source, sender, via_hooks=True, wasm=wasm, arg=argument, skip_pre_upgrade=skip)

    def told(self, result: CallResult) -> str:
        """What a line about the load says more."""
        return f", {result.instructions:,} instructions" if self.via_hooks or self.stable_image else ""

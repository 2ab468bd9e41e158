"""The options of `snapshot load` that make it an upgrade from stable memory."""

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
        "--via-hooks", is_flag=True, help="Load stable memory alone, and run post_upgrade of a fresh instance."
    ),
    click.option(
        "--stable-image",
        type=FILE,
        help="Load a file with the bytes of a stable memory, raw or gzip, instead of a snapshot.",
    ),
    click.option("--wasm", type=FILE, help="With either: run this module instead of that of the snapshot or canister."),
    click.option("--arg", metavar="CANDID", help="With either: the argument of post_upgrade."),
    click.option("--arg-file", type=FILE, help="With either: file with the argument of post_upgrade."),
    click.option("--did", type=FILE, help="With either: file with the Candid interface [candid:service of the module]"),
    click.option(
        "--skip-pre-upgrade",
        is_flag=True,
        help="With --via-hooks of a full snapshot: do not run pre_upgrade of its module; data that is only in the heap "
        "is lost.",
    ),
)


def hook_options(command: F) -> F:
    """Add the options of `HookOptions`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class HookOptions:
    """The values of the options."""

    via_hooks: bool
    stable_image: Path | None
    wasm: Path | None
    arg: str | None
    arg_file: Path | None
    did: Path | None
    skip_pre_upgrade: bool

    @classmethod
    def of(cls, options: dict[str, Any]) -> HookOptions:
        """Check the values of the options. Misuse if they contradict each other."""
        chosen = cls(**options)
        if chosen.via_hooks and chosen.stable_image:
            raise Misuse("give --via-hooks for a snapshot, or --stable-image for a file, not both")
        upgrade_only = chosen.wasm or chosen.arg is not None or chosen.arg_file or chosen.did
        if upgrade_only and not (chosen.via_hooks or chosen.stable_image):
            raise Misuse("--wasm, --arg, --arg-file and --did require --via-hooks or --stable-image")
        if chosen.arg is not None and chosen.arg_file:
            raise Misuse("give --arg or --arg-file, not both")
        if chosen.skip_pre_upgrade and not chosen.via_hooks:
            raise Misuse("--skip-pre-upgrade requires --via-hooks")
        return chosen

    def load(self, session: Session, target: Canister, source: str, sender: Principal) -> CallResult:
        """Load the stable image, or else the snapshot with the id `source`, and return the result of post_upgrade."""
        snapshots = session.sandbox.snapshots
        if not (self.via_hooks or self.stable_image):
            return target.load_snapshot(source, sender)
        wasm = self.wasm.read_bytes() if self.wasm else None
        module = wasm if wasm is not None else snapshots.module(None if self.stable_image else source, target.id)
        argument = None
        if module is not None:
            argument = init_argument(module, Request("", self.arg, self.arg_file, self.did, raw=False), "upgrade")
        if self.stable_image:
            return snapshots.load_stable_image(target.id, self.stable_image, wasm, argument, sender)
        skip = self.skip_pre_upgrade
        return target.load_snapshot(source, sender, via_hooks=True, wasm=wasm, arg=argument, skip_pre_upgrade=skip)

    def instructions_text(self, result: CallResult) -> str:
        """Return the suffix of the `loaded` line: the instruction count if hooks ran, else nothing."""
        return f", {result.instructions:,} instructions" if self.via_hooks or self.stable_image else ""

"""The command `demo`: play every act, print the steps, and exit with 1 unless all proofs hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sandbox.cli.app import App, Command, Misuse, with_app
from sandbox.cli.demo.cast import FIXTURES, ROLES, Role, missing
from sandbox.cli.demo.facts import Step
from sandbox.cli.demo.show import StoryPrinter
from sandbox.cli.demo.story import Act
from sandbox.cli.interrupt import interruptible
from sandbox.cli.render import output

Acts = list[tuple[Role, list[Step]]]


@click.command(cls=Command)
@click.option(
    "--fixtures",
    type=click.Path(file_okay=False, path_type=Path),
    default=FIXTURES,
    help="Directory of the modules [those of the package]",
)
@with_app
def demo(app: App, fixtures: Path) -> None:
    """Run three real canisters, break them, and restore every byte.

    Each canister is filled with a few thousand records, gets a snapshot, is upgraded to versions that trap or lose
    data, and is rolled back. Its module, globals, heap and stable memory are then compared with the snapshot, byte for
    byte. Everything happens in memory; no state directory is read or changed.
    """
    absent = missing(fixtures)
    if absent:
        raise Misuse(
            f"the demo needs its modules; {fixtures} lacks {', '.join(absent[:3])}"
            f"{' and others' if len(absent) > 3 else ''}. Give their directory with --fixtures"
        )
    start = time.perf_counter()
    acts = _play(fixtures) if app.json else _play_and_print(fixtures, start)
    if app.json:
        output.print_json(_facts(acts, time.perf_counter() - start))
    if not _hold(acts):
        raise click.exceptions.Exit(1)


def _play_and_print(fixtures: Path, start: float) -> Acts:
    with interruptible(), StoryPrinter() as printer:  # so that the spinner restores the terminal
        acts: Acts = []
        for role in ROLES:
            printer.chapter(role)
            steps: list[Step] = []
            acts.append((role, steps))
            Act(role, fixtures, printer.activity, _append_and_print(steps, printer)).play()
        printer.summary(acts, time.perf_counter() - start)
    return acts


def _append_and_print(steps: list[Step], printer: StoryPrinter) -> Callable[[Step], None]:
    def report(step: Step) -> None:
        steps.append(step)
        printer.step(step)

    return report


def _play(fixtures: Path) -> Acts:
    acts: Acts = []
    for role in ROLES:
        steps: list[Step] = []
        acts.append((role, steps))
        Act(role, fixtures, lambda _: None, steps.append).play()
    return acts


def _hold(acts: Acts) -> bool:
    return all(step.holds is not False for _, steps in acts for step in steps)


def _facts(acts: Acts, seconds: float) -> dict[str, Any]:
    return {
        "holds": _hold(acts),
        "proofs": sum(step.proof is not None for _, steps in acts for step in steps),
        "seconds": round(seconds, 3),
        "canisters": [{"title": role.title, "steps": [step.facts() for step in steps]} for role, steps in acts],
    }

"""`demo`: plays every act, shows or reports it, and says by its exit code whether all proofs hold."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import click

from sandbox.cli.app import App, Command, Misuse, with_app
from sandbox.cli.demo.cast import FIXTURES, ROLES, Role, missing
from sandbox.cli.demo.facts import Step
from sandbox.cli.demo.show import Teller
from sandbox.cli.demo.story import Act
from sandbox.cli.render import output

Acts = list[tuple[Role, list[Step]]]


@click.command(cls=Command)
@click.option(
    "--fixtures",
    type=click.Path(file_okay=False, path_type=Path),
    default=FIXTURES,
    help="Where the modules are [fixtures/wasm of the repository]",
)
@with_app
def demo(app: App, fixtures: Path) -> None:
    """Three real canisters run, break, and come back: nothing is faked, nothing is kept.

    Each is filled with a few thousand records, gets a snapshot, is upgraded to versions that trap or lose data, is
    rolled back, and its module, globals, heap and stable memory are proved to be what they were, byte for byte.
    """
    absent = missing(fixtures)
    if absent:
        raise Misuse(
            f"the demo needs the modules of the repository; {fixtures} lacks {', '.join(absent[:3])}"
            f"{' and others' if len(absent) > 3 else ''}. Run it from a checkout, or say where they are with --fixtures"
        )
    start = time.perf_counter()
    acts = _play_quietly(fixtures) if app.json else _play_aloud(fixtures, start)
    if app.json:
        output.print_json(_facts(acts, time.perf_counter() - start))
    if not _hold(acts):
        raise click.exceptions.Exit(1)


def _play_aloud(fixtures: Path, start: float) -> Acts:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # so that the terminal is left as it was found
    with Teller() as teller:
        acts: Acts = []
        for role in ROLES:
            teller.chapter(role)
            steps: list[Step] = []
            acts.append((role, steps))
            Act(role, fixtures, teller.doing, _both(steps, teller)).play()
        teller.finish(acts, time.perf_counter() - start)
    return acts


def _both(steps: list[Step], teller: Teller) -> Any:
    def tell(step: Step) -> None:
        steps.append(step)
        teller.tell(step)

    return tell


def _play_quietly(fixtures: Path) -> Acts:
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

"""The command `verify`: run scenarios, compare with their baselines, report."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import click

from sandbox.cli.app import App, Command, Misuse, with_app
from sandbox.cli.failures import FAILED, INTERRUPTED
from sandbox.cli.interrupt import interruptible
from sandbox.proofs.report.files import check_writable, write_report
from sandbox.proofs.report.machine import json_report, junit_report
from sandbox.proofs.report.model import Report
from sandbox.proofs.report.scenario_page import scenario_page
from sandbox.proofs.report.terminal import terminal_report
from sandbox.proofs.scenario.explained import explained
from sandbox.proofs.scenario.from_record import write_scenario
from sandbox.proofs.scenario.loader import Choices, Scenario, json_schema, load
from sandbox.proofs.scenario.runner import Run, RunOptions
from sandbox.proofs.scenario.source import Problem, ScenarioError

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
TARGET = click.Path(path_type=Path)
_POLL = 0.1
"""Seconds between two looks at a run."""


@click.command(cls=Command, epilog=explained())
@click.argument("files", metavar="FILE...", nargs=-1, type=FILE)
@click.option("--junit", type=TARGET, metavar="FILE", help="Write the report as JUnit XML.")
@click.option("--html", type=TARGET, metavar="FILE", help="Write the report as one self-contained HTML page.")
@click.option("--update", is_flag=True, help="Write the baselines (NAME.baseline.yaml) instead of comparing with them.")
@click.option("-k", "--only", default="", metavar="TEXT", help="Run only the cases with TEXT in their 'FILE [CASE]'.")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="Value of a parameter (YAML), also a list.")
@click.option("--seed", type=click.IntRange(0), help="Seed of all cases, in place of the seeds in the files.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of scenario files, for editors.")
@click.option("--from-record", "record", type=FILE, metavar="RECORD", help="Write a record of a sandbox as a scenario.")
@click.option("-o", "--out", type=TARGET, metavar="FILE", help="The scenario to write; modules are saved beside it.")
@with_app
def verify(app: App, files: tuple[Path, ...], **options: Any) -> int:
    """Run the scenarios in FILE..., and report what is not as expected.

    A scenario is a YAML file: canisters and their versions, steps, and what must come of them. All files are read
    before anything runs: modules, values, labels. Beside NAME.yaml, NAME.baseline.yaml holds what each step gave when
    --update last wrote it, and is compared if it is there. Everything happens in memory; no state directory is read.

    Exit codes: 0 all held; 1 an expectation failed or a baseline was exceeded; 2 a file cannot be used; 130
    interrupted, after the report of what was done.
    """
    if options["schema"]:
        click.echo(json.dumps(json_schema(), indent=2))
        return 0
    if (options["record"] is None) != (options["out"] is None):
        raise Misuse("--from-record RECORD and -o FILE belong together")
    if options["record"] is not None:
        return _convert(app, options["record"], options["out"])
    if not files:
        raise Misuse("give the files of scenarios")
    reports = {
        path: render for path, render in ((options["junit"], junit_report), (options["html"], scenario_page)) if path
    }
    check_writable(reports)
    scenarios = _loaded(files, Choices(_parameters(options["param"]), options["seed"]))
    run = Run(scenarios, RunOptions(options["update"], options["html"] is not None, options["only"]))
    if not run.progress.cases:
        raise Misuse(f"no case has {options['only']!r} in its 'FILE [CASE]'")
    report = _watched(app, run)
    app.emit(json_report(report) if app.json else {}, terminal_report(report))
    for path, render in reports.items():
        write_report(path, render(report))
        app.note(f"wrote {path}")
    return INTERRUPTED if report.interrupted else 0 if report.held else FAILED


def _parameters(given: tuple[str, ...]) -> dict[str, str]:
    for text in given:
        if "=" not in text:
            raise Misuse(f"--param takes NAME=VALUE, not {text!r}")
    return {name: value for name, _, value in (text.partition("=") for text in given)}


def _loaded(files: tuple[Path, ...], choices: Choices) -> list[Scenario]:
    """Load all files; `ScenarioError` lists the problems of all of them."""
    scenarios: list[Scenario] = []
    problems: list[Problem] = []
    for path in files:
        try:
            scenarios.append(load(path, choices))
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(dict.fromkeys(problems))
    return scenarios


def _convert(app: App, record: Path, target: Path) -> int:
    check_writable([target])
    written = write_scenario(record, target)
    app.emit({"scenario": str(target), "files": [str(path) for path in written]}, *[f"wrote {p}" for p in written])
    return 0


def _watched(app: App, run: Run) -> Report:
    """Run in a thread, so that Ctrl-C is answered at once, also within a message of a canister."""
    failures: list[BaseException] = []
    thread = Thread(target=partial(_guarded, run, failures), daemon=True, name="scenarios")
    with interruptible(), app.working() as show:
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_POLL)
                progress = run.progress
                show(f"case {progress.case:,} of {progress.cases:,}, {progress.title}: {progress.step}")
        except KeyboardInterrupt:
            return run.report(interrupted=True)
    if failures:
        raise failures[0]
    return run.report()


def _guarded(run: Run, failures: list[BaseException]) -> None:
    try:
        run.run()
    except BaseException as error:
        failures.append(error)

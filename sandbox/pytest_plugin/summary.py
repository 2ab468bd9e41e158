"""What is said of all tests at the end: instructions, kept values without use, the page of `--canister-report`.

Everything comes with the reports of the tests, which is why it is the same whether they ran in one process or several.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.pytest_plugin.evidence import LOGS
from sandbox.pytest_plugin.tested import TEXTS, TITLES, Tested, instructions_of


def check_report(path: Path | None) -> None:
    """`UsageError` if no file can be written there, before any test runs."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise pytest.UsageError(f"--canister-report: no file can be written at {path}")


class Summary:
    """Collects the reports of tests in the process that prints the summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._tests: dict[str, Tested] = {}
        self._deselected = False

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Note that not all tests are wanted."""
        self._deselected = self._deselected or bool(items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of a test."""
        test = self._tests.setdefault(report.nodeid, Tested(report.nodeid))
        test.seconds += report.duration
        test.facts |= getattr(report, "canister", {})
        if report.failed:
            test.outcome = "failed" if report.when == "call" else "error"
            sections = [f"{title}\n{text}" for title, text in report.sections if title != LOGS]
            test.text = "\n\n".join([report.longreprtext, *sections])
        elif report.skipped:
            test.outcome = "xfailed" if hasattr(report, "wasxfail") else "skipped"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        """Print the tables, and write the page."""
        tests = list(self._tests.values())
        if self._config.getoption("canister_instructions"):
            _print_table(terminalreporter, [row.cells for row in instructions_of(tests)])
        self._kept(terminalreporter, whole=exitstatus == 0 and not self._deselected and not _selective(self._config))
        path = self._config.getoption("canister_report")
        if path is not None:
            from sandbox.pytest_plugin.page import page

            try:
                path.write_text(page(tests), encoding="utf-8", errors="backslashreplace")
                terminalreporter.write_line(f"canister report: {path}")
            except OSError as error:
                terminalreporter.write_line(f"the canister report cannot be written: {error}", red=True)

    def _kept(self, out: pytest.TerminalReporter, *, whole: bool) -> None:
        """Say how many values were written anew, and which files no test uses; with `--canister-update`, delete them.

        Only a run of all tests, without failures, tells what is not used, and only in test files without a skipped one.
        """
        written = sum(test.facts.get("written", 0) for test in self._tests.values())
        if written:
            out.write_line(f"{written:,} kept {_values(written)} written")
        unused = sorted(self._unused()) if whole else []
        if unused and self._config.getoption("canister_update"):
            for file in unused:
                file.unlink(missing_ok=True)
            out.write_line(f"{len(unused):,} kept {_values(len(unused))} deleted that no test uses")
        elif unused:
            out.write_line(
                f"{len(unused):,} kept {_values(len(unused))} used by no test (--canister-update deletes them):"
            )
            for file in unused:
                out.write_line(f"  {file}")

    def _unused(self) -> Iterator[Path]:
        used: set[str] = set()
        modules: dict[Path, bool] = {}
        for test in self._tests.values():
            used.update(test.facts.get("kept", ()))
            module = self._config.rootpath / test.nodeid.split("::")[0]
            modules[module] = modules.get(module, True) and test.outcome == "passed"
        for module in {module.parent for module in modules}:
            for directory in (module / "kept").glob("*/"):
                source = module / f"{directory.name}.py"
                if modules.get(source, not source.exists()):
                    yield from (file for file in directory.glob("*.txt") if str(file) not in used)


def _values(count: int) -> str:
    return "value" if count == 1 else "values"


def _selective(config: pytest.Config) -> bool:
    """Whether options chose some of the tests; with pytest-xdist only the workers deselect."""
    chosen = ("keyword", "markexpr", "deselect", "lf", "stepwise", "maxfail")
    return any(config.getoption(name, None) for name in chosen) or any("::" in argument for argument in config.args)


def _print_table(out: pytest.TerminalReporter, rows: list[tuple[str, ...]]) -> None:
    out.write_sep("=", "canister instructions")
    if not rows:
        out.write_line("no test called a canister")
        return
    table = [TITLES, *rows]
    widths = [max(len(row[number]) for row in table) for number in range(len(TITLES))]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row[:TEXTS], widths, strict=False)]
        cells += [cell.rjust(width) for cell, width in zip(row[TEXTS:], widths[TEXTS:], strict=True)]
        out.write_line("  ".join(cells).rstrip())

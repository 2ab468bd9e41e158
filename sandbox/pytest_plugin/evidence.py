"""What is shown of a test that failed, and what every test reports of its calls.

A report carries the evidence as `canister`, in values that can be sent from one process to another (pytest-xdist).
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sandbox.pytest_plugin.isolation import Isolation
    from sandbox.pytest_plugin.observation import Observation

_PACKAGE = Path(__file__).resolve().parents[1]
_LINES = 60
"""Most lines of each section: of logs the last ones, of changes the first."""
_ENTRIES = 10
"""Most rows of each table of changes."""
_REPORTED = 200
"""Most lines of log in a report."""
LOGS = "canister logs"
"""The title of the section with what canisters printed."""


class Evidence:
    """The hook that makes reports."""

    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        error = None if call.excinfo is None else call.excinfo.value
        with _own_frames_hidden(error):
            report = yield
        observed = [each for each in self._isolation.observed if not each.runtime.gate.foreign]
        if report.failed and call.when != "teardown":
            begun = self._isolation.test is item
            report.sections += [section for section in _sections(observed, error, begun) if section[1]]
        if call.when == "call":
            report.canister = _facts(item, observed)  # type: ignore[attr-defined]  # what is set is sent along
        return report


@contextmanager
def _own_frames_hidden(error: BaseException | None) -> Iterator[None]:
    """Meanwhile, tracebacks leave out the frames of this package, and those of `contextlib` that it calls."""
    hidden: list[dict[str, Any]] = []
    for each in _chain(error):
        entry, ours = each.__traceback__, False
        while entry is not None:
            names = entry.tb_frame.f_globals
            ours = _is_ours(names) or (ours and names.get("__name__") == "contextlib")
            if ours and "__tracebackhide__" not in names:
                names["__tracebackhide__"] = True
                hidden.append(names)
            entry = entry.tb_next
    try:
        yield
    finally:
        for names in hidden:
            del names["__tracebackhide__"]


def _is_ours(names: dict[str, Any]) -> bool:
    """Whether these are the names of a module of this package."""
    file = names.get("__file__") or ""
    return names.get("__name__", "").startswith("sandbox.") and Path(file).is_relative_to(_PACKAGE)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came from."""
    seen: list[BaseException | None] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is None or each in seen:
            continue
        seen.append(each)
        yield each
        waiting += [each.__context__, each.__cause__]
        waiting += each.exceptions if isinstance(each, BaseExceptionGroup) else ()


def reporting(config: pytest.Config) -> bool:
    """Whether anybody will read the calls of tests."""
    return bool(config.getoption("canister_instructions") or config.getoption("canister_report"))


def _facts(item: pytest.Item, observed: list[Observation]) -> dict[str, Any]:
    """The evidence of a test. `calls`: canister, method, instructions; `memory`: bytes of all canisters at its end;
    `kept`: the files of kept values that it used; `written`: how many of them it wrote."""
    facts: dict[str, Any] = {}
    if observed and reporting(item.config):
        facts["calls"] = [list(call) for each in observed for call in each.calls]
        facts["memory"] = sum(each.memory for each in observed)
        facts["logs"] = [line for each in observed for line in each.printed][-_REPORTED:]
    if "sandbox.pytest_plugin.kept" in sys.modules:
        from sandbox.pytest_plugin.kept import KEPT

        keeper = item.stash.get(KEPT, None)
        if keeper is not None:
            facts["kept"], facts["written"] = sorted(map(str, keeper.used)), keeper.written
    return facts


def _sections(observed: list[Observation], error: BaseException | None, begun: bool) -> Iterator[tuple[str, str]]:
    lines = [line for each in observed for line in each.printed]
    more = [f"({len(lines) - _LINES:,} lines before)"] if len(lines) > _LINES else []
    yield LOGS, "\n".join(more + lines[-_LINES:])
    for each in _chain(error):
        backtrace = getattr(getattr(each, "result", None), "backtrace", ())
        if backtrace:
            numbered = (f"{number:3}  {name}" for number, name in enumerate(backtrace))
            yield "Wasm backtrace (innermost first)", "\n".join(numbered)
    if begun:
        yield "state changed since the test began", "\n\n".join(text for each in observed for text in _changes(each))


def _changes(observation: Observation) -> Iterator[str]:
    from sandbox.errors import SandboxError

    try:
        for name, change in observation.changes():
            if isinstance(change, str):
                yield f"{name}: {change}"
            elif change:
                yield f"{name}\n{_table(change)}"
    except SandboxError as problem:
        yield f"not known: {problem}"


def _table(change: Any) -> str:
    """A difference as `snapshot diff` shows it, cut."""
    from rich.console import Console

    from sandbox.cli.render.diff import DiffOptions, render_diff

    _, parts = render_diff(change, DiffOptions(limit=_ENTRIES))
    console = Console(width=120, color_system=None, force_terminal=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    lines = [line.removesuffix(" (--limit)").rstrip() for line in captured.get().rstrip().split("\n")]
    return "\n".join([*lines[:_LINES], *([f"({len(lines) - _LINES:,} lines more)"] if len(lines) > _LINES else [])])

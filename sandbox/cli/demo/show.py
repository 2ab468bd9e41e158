"""Print the story on a terminal, or as plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.status import Status
from rich.table import Table
from rich.text import Text

from sandbox.cli.demo.cast import Role
from sandbox.cli.demo.facts import Part, Step, reject_text
from sandbox.cli.render import output
from sandbox.errors import CallRejected

WIDTH = 100
"""Largest width used of a terminal, in columns."""


class StoryPrinter:
    """Prints each step when it is done; in the meantime, on a terminal, a spinner with the current activity."""

    def __init__(self) -> None:
        self.console: Console = output.console()
        self.lively = self.console.is_terminal
        if self.lively:
            self.console.width = min(self.console.width, WIDTH)
        self._status: Status | None = None

    def __enter__(self) -> StoryPrinter:
        self._print(Text("Real canisters run, break, and come back.", "bold"))
        if self.lively:
            self._status = self.console.status("", spinner="dots")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def activity(self, text: str) -> None:
        """Set the text beside the spinner."""
        if self._status is not None:
            self._status.update(Text(text, "dim"))

    def chapter(self, role: Role) -> None:
        """Print the heading of a canister."""
        if self.lively:
            self.console.print()
            self.console.print(Rule(Text(role.title, "bold"), align="left", style="dim"))
        else:
            self._print(Text(f"\n{role.title}"))

    def step(self, step: Step) -> None:
        """Print a step with its reject, details and table of parts."""
        self._print(self._headline(step))
        if step.reject is not None:
            self._print(*map(_indented, _reject_lines(step.reject)))
        self._print(*(_indented(Text(line, "dim")) for line in step.details))
        if step.parts:
            self._print(_indented(_parts_table(step.parts)))

    def summary(self, acts: Sequence[tuple[Role, Sequence[Step]]], seconds: float) -> None:
        """Print the proofs of all canisters as one table, and whether all hold."""
        if self._status is not None:
            self._status.stop()
        names = list(dict.fromkeys(s.proof for _, steps in acts for s in steps if s.proof))
        rows = [[name, *(self._mark(_verdict(steps, name)) for _, steps in acts)] for name in names]
        verdicts = [s.holds for _, steps in acts for s in steps if s.proof]
        self._print(Text(""), output.table(["proof", *(role.title for role, _ in acts)], rows), Text(""))
        if all(verdicts):
            self._print(Text(f"All {len(verdicts)} proofs hold. {seconds:.1f} s", "bold green"))
        else:
            failed = sum(not holds for holds in verdicts)
            self._print(Text(f"{failed} of {len(verdicts)} proofs FAIL. {seconds:.1f} s", "bold red"))

    def _headline(self, step: Step) -> Text:
        mark = self._mark(step.holds)
        line = Text.assemble(mark, " ", step.title)
        return Text.assemble(line, (f"  {_duration(step.seconds)}", "dim"))

    def _mark(self, holds: bool | None) -> Text:
        if holds is None:
            return Text("•" if self.lively else "-", "dim")
        words = ("✓", "✗") if self.lively else ("ok", "FAILED")
        return Text(words[0], "green") if holds else Text(words[1], "bold red")

    def _print(self, *parts: RenderableType) -> None:
        if self.lively:
            for part in parts:
                self.console.print(part)
        else:
            output.show(*parts)


def _indented(part: Text | Table) -> Padding:
    return Padding(part, (0, 0, 0, 4), expand=False)


def _reject_lines(reject: CallRejected) -> list[Text]:
    head = f"{reject.reject_code.name} ({reject.reject_code}), {reject.error_code}"
    lines = [Text.assemble(("rejected ", "red"), head), Text(reject_text(reject), "red")]
    trace = reject.result.backtrace if reject.result is not None else ()
    if trace:
        lines.append(Text(f"backtrace: {' < '.join(trace)}", "dim"))
    return lines


def _parts_table(parts: Sequence[Part]) -> Table:
    rows = [
        (
            part.name,
            f"{part.size:,}",
            part.digest[:12],
            _change(part),
            part.restored_digest[:12],
            Text("identical", "green") if part.identical else Text("DIFFERENT", "bold red"),
        )
        for part in parts
    ]
    headers = ("part", "bytes", "SHA-256", "when broken", "rolled back", "")
    return output.table(headers, rows, right=["bytes"])


def _change(part: Part) -> str:
    if not part.changed:
        return "same"
    grown = part.broken_size - part.size
    return f"changed, {grown:+,} bytes" if grown else "changed"


def _verdict(steps: Sequence[Step], proof: str) -> bool | None:
    return next((step.holds for step in steps if step.proof == proof), None)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"

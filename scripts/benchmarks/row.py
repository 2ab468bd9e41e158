"""One line of the table, and how it is shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from scripts.benchmarks.measure import Comparison, Timing


@dataclass(frozen=True, slots=True)
class Row:
    """One result. `aim` in words, empty for a figure that is only reported; `met` says whether it was reached."""

    name: str
    ours: Timing | None = None
    reference: Timing | None = None
    against: str = ""
    ratio: float | None = None
    """Of the walls, as the median over neighbouring batches where there were any."""
    cpu_ratio: float | None = None
    aim: str = ""
    met: bool | None = None
    note: str = ""


def versus(name: str, found: Comparison, against: str, most: float | None = None, note: str = "") -> Row:
    """A row for two sides measured together; `most`: the largest ratio wished for.

    Whether it was reached is told by the processor time, which other processes disturb least.
    """
    return Row(
        name,
        found.ours,
        found.reference,
        against,
        found.ratio,
        found.cpu_ratio,
        "" if most is None else f"≤ {most:g}×",
        None if most is None else found.cpu_ratio <= most,
        note,
    )


def in_threads(name: str, ours: Timing, reference: Timing, against: str, most: float, note: str = "") -> Row:
    """A row whose work is spread over the processors: the clock on the wall tells whether it is fast enough."""
    ratio, cpu_ratio = ours.wall / reference.wall, ours.cpu / max(reference.cpu, 1e-9)
    return by_clock(Row(name, ours, reference, against, ratio, cpu_ratio, note=note), most)


def by_clock(row: Row, most: float) -> Row:
    """The same row, whose work is spread over the processors."""
    assert row.ratio is not None
    return replace(row, aim=f"≤ {most:g}× by the clock", met=row.ratio <= most)


def faster(name: str, ours: Timing, reference: Timing, against: str, least: float, note: str = "") -> Row:
    """A row that is to be at least `least` times faster than its reference."""
    ratio = ours.wall / reference.wall
    cpu_ratio = ours.cpu / max(reference.cpu, 1e-9)
    speed = f"{1 / ratio:,.0f} × faster"
    text = f"{speed}; {note}" if note else speed
    return Row(name, ours, reference, against, ratio, cpu_ratio, f"{least:g}× faster", 1 / ratio >= least, text)


def alone_within(name: str, timing: Timing, most: float | None = None, note: str = "") -> Row:
    """A row without a reference; `most`: the longest time wished for, in seconds."""
    if most is None:
        return Row(name, timing, note=note)
    return Row(name, timing, aim=f"≤ {duration(most)}", met=timing.wall <= most, note=note)


def memory(name: str, size: float, most: int | None = None, note: str = "") -> Row:
    """A row about bytes."""
    text = f"{size / 1024:,.0f} KiB" + (f"; {note}" if note else "")
    if most is None:
        return Row(name, note=text)
    return Row(name, aim=f"≤ {most / 1024:,.0f} KiB", met=size <= most, note=text)


def duration(seconds: float) -> str:
    """A duration with a unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds / 1e-9)} ns"


def _digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def cells(row: Row) -> tuple[str, ...]:
    """What the table shows, in the order of `TITLES`."""
    return (
        row.name,
        _time(row.ours),
        _cpu(row.ours),
        row.against,
        _time(row.reference),
        _cpu(row.reference),
        _ratio(row.ratio),
        _ratio(row.cpu_ratio),
        row.aim,
        {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[row.met],
        row.note,
    )


TITLES = ("", "time", "CPU", "against", "time", "CPU", "ratio", "CPU", "aim", "met", "note")
RIGHT = frozenset({1, 2, 4, 5, 6, 7})
"""Columns of figures."""


def _time(timing: Timing | None) -> str:
    return "" if timing is None else duration(timing.wall)


def _cpu(timing: Timing | None) -> str:
    return "" if timing is None else duration(timing.cpu)


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.3g}×"


def record(group: str, row: Row) -> dict[str, object]:
    """The row as JSON keeps it; times in seconds."""
    return {"group": group, **asdict(row)}

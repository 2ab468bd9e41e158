"""Render profiles and coverage as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from sandbox.cli.render import output
from sandbox.profile import FunctionCost, ModuleCoverage, Profile

_SHOWN = 30
"""Functions of the table, those with most instructions of their own."""
_LONGEST = 96
"""Characters of a function's name."""
_HEADERS = ("self", "self %", "with children", "%", "calls", "function")


def render_profile(profile: Profile) -> output.Rendered:
    """Return the instructions by function; JSON has all functions."""
    total, costs, entries = profile.instructions, profile.functions(), profile.entry_points()
    facts = {
        "instructions": total,
        "executions": profile.executions,
        "complete": profile.complete,
        "entry_points": [_facts(cost) for cost in entries],
        "functions": [_facts(cost) for cost in costs],
    }
    parts: list[RenderableType] = [_headline(profile, entries)]
    parts.append(output.table(_HEADERS, [_row(cost, total) for cost in costs[:_SHOWN]], right=_HEADERS[:-1]))
    rest = costs[_SHOWN:]
    if rest:
        own = sum(cost.own for cost in rest)
        parts.append(Text(f"and {len(rest):,} more functions with {own:,} instructions of their own", "dim"))
    if not profile.complete:
        text = (
            "an execution had more call paths than a profile keeps: functions on further ones count for their callers"
        )
        parts.append(Text(text, "yellow"))
    return facts, parts


def _headline(profile: Profile, entries: Sequence[FunctionCost]) -> Text:
    text = Text(f"{profile.instructions:,} instructions", "bold")
    for cost in entries:
        times = f", {cost.calls:,} times" if cost.calls > 1 else ""
        text.append(f"\n  {output.named(cost.name)}: {cost.total:,}{times}", "not bold")
    return text


def _facts(cost: FunctionCost) -> dict[str, Any]:
    return {"name": cost.name, "self": cost.own, "with_children": cost.total, "calls": cost.calls}


def _row(cost: FunctionCost, total: int) -> tuple[str, ...]:
    own, whole = (f"{100 * part / max(total, 1):.1f}" for part in (cost.own, cost.total))
    name = output.one_line(cost.name)
    shown = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    return f"{cost.own:,}", own, f"{cost.total:,}", whole, f"{cost.calls:,}", shown


def render_coverage(modules: Sequence[ModuleCoverage]) -> output.Rendered:
    """Return which functions of each module were executed; JSON also has those that were not."""
    facts = [
        {
            "module_hash": module.module_hash,
            "canisters": list(module.canisters),
            "executed": list(module.executed),
            "missed": list(module.missed),
        }
        for module in modules
    ]
    parts: list[RenderableType] = []
    for module in modules:
        whole = len(module.executed) + len(module.missed)
        head = f"{len(module.executed):,} of {whole:,} functions of {', '.join(module.canisters)} were executed"
        parts += [Text(head, "bold"), *(Text(f"  {output.one_line(name)}") for name in sorted(set(module.executed)))]
    return {"coverage": facts}, parts

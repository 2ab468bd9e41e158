"""Files of profiles for other tools: folded stacks and speedscope."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sandbox.profile.call_tree import CallTree, Frame

MOST_DEEP: Final = 500
"""Frames of a folded stack. A line has all its callers, so that a deep recursion would take the square of its depth."""
DEEPER: Final = "[deeper calls]"
_SCHEMA: Final = "https://www.speedscope.app/file-format-schema.json"


def folded(tree: CallTree, names: Mapping[Frame, str]) -> str:
    """Return a line for each call path with instructions of its own: its frames, a space, their number.

    What is deeper than `MOST_DEEP` frames counts for one frame `DEEPER` below them.
    """
    lines: dict[str, int] = {}
    stacks = [""]
    for place, begins in tree.walk():
        if place == 0:
            continue
        if not begins:
            stacks.pop()
            continue
        stack = stacks[-1]
        if len(stacks) <= MOST_DEEP:
            stack += (";" if stack else "") + _in_line(names[tree.frames[place]])
        elif len(stacks) == MOST_DEEP + 1:
            stack += f";{DEEPER}"
        stacks.append(stack)
        if tree.own[place]:
            lines[stack] = lines.get(stack, 0) + tree.own[place]
    return "".join(f"{line} {own}\n" for line, own in lines.items())


def _in_line(name: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in name).replace(";", ",")


def speedscope(tree: CallTree, names: Mapping[Frame, str]) -> str:
    """Return the tree as a speedscope file: events on an axis of instructions, a function's own before its callees'."""
    numbers: dict[Frame, int] = {}
    events: list[dict[str, Any]] = []
    at = 0
    for place, begins in tree.walk():
        if place == 0:
            continue
        frame = numbers.setdefault(tree.frames[place], len(numbers))
        events.append({"type": "O" if begins else "C", "frame": frame, "at": at})
        if begins:
            at += tree.own[place]
    profile = {
        "type": "evented",
        "name": "instructions",
        "unit": "none",
        "startValue": 0,
        "endValue": at,
        "events": events,
    }
    shared = {"frames": [{"name": names[frame]} for frame in numbers]}
    document = {
        "$schema": _SCHEMA,
        "shared": shared,
        "profiles": [profile],
        "name": "canister profile",
        "activeProfileIndex": 0,
        "exporter": "canister-sandbox",
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

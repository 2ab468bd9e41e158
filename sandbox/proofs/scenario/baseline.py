"""Baselines: the accepted result of each step, as readable YAML beside the scenario.

An entry has reply or reject, instructions, the sizes of memories, and hashes of the changed parts of each canister's
state. Counts and hashes are compared only with those that were made in the same way (`counted_by`, `hashed_by`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import blake3
import yaml

from sandbox.engine import counting
from sandbox.limits import WASM_PAGE
from sandbox.memory import Memory, Pool
from sandbox.pagestore.durable_files import put_in_place
from sandbox.pagestore.memory_trees import tree
from sandbox.proofs.report.model import Failure, StepReport
from sandbox.proofs.scenario.source import Node, Problem, ScenarioError, Wrong, read_yaml
from sandbox.proofs.scenario.stage import Stage

FORMAT: Final = 1
ONLY: Final = "the only case"
"""The key of the only case of a scenario."""
_LONGEST = 400
"""Characters of the longest reply that is stored; of a longer one the hash is stored."""
_DIGITS = 16

Entry: TypeAlias = dict[str, Any]
"""The entry of one step."""
Hashes: TypeAlias = dict[str, dict[str, str]]
"""Hashes of the parts of canisters, by canister and part."""


@dataclass
class Baseline:
    """The content of a baseline file. `cases`: the entries of the steps, by the name of the case."""

    counted_by: str
    hashed_by: str
    cases: dict[str, list[Entry]] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> Baseline:
        """Return a baseline of this version, without cases."""
        return cls(counting(), hashing())

    def notes(self) -> tuple[str, ...]:
        """Return remarks on comparisons that are impossible, with the reason."""
        remarks = []
        if self.counted_by != counting():
            remarks.append(
                f"instructions are not compared: the baseline was counted by {self.counted_by}, not by {counting()}; "
                "--update makes a new one"
            )
        if self.hashed_by != hashing():
            remarks.append("hashes of the state are not compared: another version made them; --update makes new ones")
        return tuple(remarks)


@cache
def hashing() -> str:
    """Return the identity of the hashes: the root of a fixed sample memory."""
    sample = Pool().memory(5 * WASM_PAGE)
    sample.write(3 * WASM_PAGE + 5000, b"sample")
    digest = _root(sample)
    sample.close()
    return digest


def _root(memory: Memory) -> str:
    return tree(memory.image()).root.hex()[:_DIGITS]


def hashes(stage: Stage) -> Hashes:
    """Return the hashes of the parts of every canister; costs the pages written since the last time."""
    by_canister = {}
    for name in stage.canisters:
        if stage.canisters[name].id not in stage.runtime.subnet.canisters:
            continue
        state = stage.state(name)
        by_canister[name] = {
            "module": "" if state.code is None else state.code.hash.hex()[:_DIGITS],
            "globals": blake3.blake3(state.globals).hexdigest()[:_DIGITS],
            "heap": _root(state.heap),
            "stable": _root(state.stable),
            "certified": state.certified_data.hex(),
        }
    return by_canister


def entry(step: StepReport, parts: Sequence[str], before: Hashes, after: Hashes) -> Entry:
    """Return the entry of a step; `parts`: of `loader.BASELINE_PARTS`."""
    content: Entry = {"step": step.title}
    if "reply" in parts:
        content |= _reply(step)
        for each in step.steps:
            content.setdefault("steps", []).append({"step": each.title, **_reply(each)})
    if "instructions" in parts and step.instructions:
        content["instructions"] = step.instructions
    if "pages" in parts:
        content["pages"] = {name: {"heap": heap, "stable": stable} for name, (heap, stable) in step.pages.items()}
    if "state" in parts:
        changed = {name: _changed(before.get(name, {}), now) for name, now in after.items()}
        content["changed"] = {name: parts for name, parts in changed.items() if parts}
    return {key: value for key, value in content.items() if value != {}}


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    return {part: value for part, value in after.items() if before.get(part, "") != value}


def _reply(step: StepReport) -> Entry:
    if step.reject is not None:
        code = "" if step.reject.error_code is None else f" {step.reject.error_code}"
        return {"reject": f"{step.reject.reject_code.name}{code}: {step.reject.message}"}
    if step.answer is None:
        return {}
    text = step.answer.text
    return {"reply": text if len(text) <= _LONGEST else f"{len(text):,} characters, {_digest(step.answer.reply)}"}


def _digest(data: bytes) -> str:
    return f"blake3 {blake3.blake3(data).hexdigest()[:_DIGITS]}"


def compared(accepted: Entry, now: Entry, tolerance: float, baseline: Baseline) -> Iterator[Failure]:
    """Yield the differences of an accepted entry and the present one. More instructions than `tolerance` allows are a
    failure, fewer are not (see `improved`)."""
    for key in ("reply", "reject", "steps"):
        if accepted.get(key) != now.get(key) and (key in accepted or key in now):
            yield Failure(f"baseline {key}", _shown(accepted.get(key)), _shown(now.get(key)))
    if baseline.counted_by == counting():
        was, came = accepted.get("instructions"), now.get("instructions")
        if was is not None and came is not None and came > was * (1 + tolerance):
            more = f"{came:,} ({came / was - 1:+.1%})" if was else f"{came:,}"
            yield Failure("baseline instructions", f"at most {was:,} + {tolerance:.1%}", more)
    yield from _leaves("baseline pages", accepted.get("pages"), now.get("pages"))
    if baseline.hashed_by == hashing():
        yield from _leaves("baseline state", accepted.get("changed"), now.get("changed"), "as before the step")


def _leaves(what: str, accepted: Any, now: Any, absent: str = "none") -> Iterator[Failure]:
    """Yield the parts of two mappings of mappings that differ. `absent`: the text for a missing part."""
    accepted, now = accepted or {}, now or {}
    for name in dict.fromkeys((*accepted, *now)):
        was, came = accepted.get(name) or {}, now.get(name) or {}
        for part in dict.fromkeys((*was, *came)):
            if was.get(part) != came.get(part):
                yield Failure(what, _shown(was.get(part, absent)), _shown(came.get(part, absent)), f"{name}.{part}")


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def improved(accepted: Entry, now: Entry, tolerance: float, baseline: Baseline) -> str | None:
    """Return a remark if far fewer instructions were executed than in the baseline."""
    was, came = accepted.get("instructions", 0), now.get("instructions", 0)
    if baseline.counted_by != counting() or not was or not came or came >= was * (1 - tolerance):
        return None
    return f"fewer instructions than in the baseline: {came:,}, not {was:,} ({came / was - 1:+.1%}); --update keeps it"


_HEAD = """\
# Written by `canister-sandbox verify --update` and compared by `canister-sandbox verify`: review it like code.
# pages: of 64 KiB; changed: hashes of the parts of canisters that the step changed.
"""


def write(path: Path, baseline: Baseline) -> None:
    """Replace the file atomically."""
    content = {
        "format": FORMAT,
        "counted_by": baseline.counted_by,
        "hashed_by": baseline.hashed_by,
        "cases": baseline.cases,
    }
    text = yaml.dump(content, sort_keys=False, allow_unicode=True, width=110, Dumper=_Dumper)
    put_in_place(path, (_HEAD + text).encode(), 0o644)


class _Dumper(yaml.SafeDumper):
    """YAML writer: flat mappings on one line, and texts of several lines as literal blocks."""

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        flat = all(isinstance(value, int | str) for value in mapping.values()) and "step" not in mapping
        short = sum(len(str(item)) for item in mapping.items()) < 160
        return super().represent_mapping(tag, mapping, flow_style=flat and short and "format" not in mapping)

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(str, _Dumper.represent_str)


def read(path: Path) -> Baseline | None:
    """Return the baseline in a file, None if there is none; `ScenarioError` if it is no baseline."""
    if not path.exists():
        return None
    try:
        node = read_yaml(path, "a baseline")
        number = node.get("format")
        if node.form != "map" or number is None:
            node.expected("a baseline, a mapping with format, counted_by, hashed_by, cases")
        if number.text != str(FORMAT):
            number.wrong(f"a baseline of format {number.text}; this version of canister-sandbox reads {FORMAT}")
        return _baseline(node, path)
    except Wrong as wrong:
        raise ScenarioError([wrong.problem]) from None


def _baseline(node: Node, path: Path) -> Baseline:
    content = yaml.safe_load(path.read_bytes())
    cases = content.get("cases")
    if not isinstance(cases, dict) or not all(
        isinstance(steps, list) and all(isinstance(step, dict) for step in steps) for steps in cases.values()
    ):
        raise ScenarioError([Problem((node.get("cases") or node).place, "expected cases, each a list of steps")])
    return Baseline(str(content.get("counted_by")), str(content.get("hashed_by")), cases)

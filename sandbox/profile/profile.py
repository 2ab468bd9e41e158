"""`Profile`: the instructions of any number of executions, by function and by call path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.principal import Principal
from sandbox.profile import files, flame_graph
from sandbox.profile.call_tree import CallTree, Frame, FrameKind, Node
from sandbox.profile.coverage import ModuleCoverage, coverage


@dataclass(frozen=True, slots=True)
class FunctionCost:
    """The instructions of one function over all its calls.

    `own`: of the function itself; `total`: with the functions that it called, each instruction counted once, also in a
    recursion. `calls`: how often it was entered.
    """

    name: str
    own: int
    total: int
    calls: int


class Profile:
    """Instructions by function and by call path. `instructions` is the sum of those of the executions, to the digit.

    A function that the compiler inlined is no function of the module: its instructions count for its caller. A call of
    the system is a function of its own, such as `[ic0.msg_reply]`, and so are changed pages of the heap, which count
    after the execution has ended: `[changed heap pages]`, directly below the entry point.
    """

    def __init__(self) -> None:
        self.tree = CallTree()
        self.executions = 0
        """Entry points that were executed."""
        self.complete = True
        """False: an execution had more distinct call paths than a profile keeps; in it, functions on further paths
        count for their callers."""
        self._modules: dict[bytes, Sequence[Frame]] = {}

    def add(self, nodes: Sequence[Node], functions: Sequence[Frame], complete: bool = True) -> None:
        """Add one execution: its tree, whose first node is the entry point, and the functions of its module."""
        self.tree.add(nodes)
        self.executions += 1
        self.complete = self.complete and complete
        self._modules[nodes[0][1].module] = functions

    @property
    def instructions(self) -> int:
        """The instructions of all executions."""
        return sum(self.tree.own)

    def functions(self) -> list[FunctionCost]:
        """The costs of all functions, those with most instructions of their own first."""
        return self._costs((FrameKind.FUNCTION, FrameKind.SYSTEM, FrameKind.CHARGE))

    def entry_points(self) -> list[FunctionCost]:
        """The costs of all entry points, with the canister's name or id where there are several canisters."""
        return sorted(self._costs((FrameKind.ENTRY,)), key=lambda cost: -cost.total)

    def _costs(self, kinds: Sequence[FrameKind]) -> list[FunctionCost]:
        tree, totals = self.tree, self.tree.totals()
        own, total, calls = Counter[Frame](), Counter[Frame](), Counter[Frame]()
        open_: Counter[Frame] = Counter()
        for place, begins in tree.walk():
            frame = tree.frames[place]
            if not begins:
                open_[frame] -= 1
                continue
            if not open_[frame]:
                total[frame] += totals[place]
            open_[frame] += 1
            own[frame] += tree.own[place]
            calls[frame] += tree.calls[place]
        names = self.names()
        costs = [FunctionCost(names[f], own[f], total[f], calls[f]) for f in own if f.kind in kinds]
        return sorted(costs, key=lambda cost: (-cost.own, -cost.total, cost.name))

    def names(self) -> dict[Frame, str]:
        """The names of all frames; those of entry points have the canister's name or id where there are several."""
        several = len({frame.canister for frame in self.tree.frames if frame.kind is FrameKind.ENTRY}) > 1
        return {
            frame: f"{frame.name} of {frame.title}" if several and frame.kind is FrameKind.ENTRY else frame.name
            for frame in self.tree.frames
        }

    def coverage(self) -> tuple[ModuleCoverage, ...]:
        """Which functions of each module were executed, in the order in which the modules were."""
        return coverage(self.tree, self._modules)

    def flame_graph(self) -> str:
        """A flame graph as SVG, which needs no other file."""
        return flame_graph.svg(self.tree, self.names())

    def folded(self) -> str:
        """Call paths in the format of `flamegraph.pl` and `inferno`: a line for each, frames separated by `;`."""
        return files.folded(self.tree, self.names())

    def speedscope(self) -> str:
        """A file of speedscope (https://www.speedscope.app), as JSON."""
        return files.speedscope(self.tree, self.names())

    def save(self, path: str | Path) -> None:
        """Write the file `path` in the format of its ending: `.svg`, `.folded` or `.speedscope.json`."""
        target = Path(path)
        for ending, written in FORMATS.items():
            if target.name.endswith(ending):
                target.write_text(written(self), encoding="utf-8")
                return
        raise ValueError(f"the name of a profile ends in {', '.join(FORMATS)}, not {target.name!r}")

    def __repr__(self) -> str:
        return f"Profile({self.executions:,} executions, {self.instructions:,} instructions)"


class Coverage:
    """Which functions of the modules were executed: `Sandbox.coverage`."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    @property
    def modules(self) -> tuple[ModuleCoverage, ...]:
        """The modules that were executed, in that order."""
        return self._profile.coverage()

    def of(self, canister_id: Principal | str) -> ModuleCoverage:
        """The module of one canister, the last one if it executed several; `KeyError` if it executed none."""
        for module in reversed(self.modules):
            if str(canister_id) in module.canisters:
                return module
        raise KeyError(str(canister_id))

    def __repr__(self) -> str:
        return f"Coverage({', '.join(map(repr, self.modules))})"


FORMATS = {".svg": Profile.flame_graph, ".folded": Profile.folded, ".speedscope.json": Profile.speedscope}
"""The formats of files, by the endings of their names."""

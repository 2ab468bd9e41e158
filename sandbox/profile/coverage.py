"""Which functions of modules were executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.profile.call_tree import CallTree, Frame, FrameKind


@dataclass(frozen=True, slots=True)
class ModuleCoverage:
    """The functions that a module defines, by name, in the order of the module."""

    module_hash: bytes
    canisters: tuple[str, ...]
    """The canisters that executed the module."""
    executed: tuple[str, ...]
    missed: tuple[str, ...]

    @property
    def share(self) -> float:
        """The executed part of all functions, from 0 to 1."""
        return len(self.executed) / max(len(self.executed) + len(self.missed), 1)

    def __repr__(self) -> str:
        functions = len(self.executed) + len(self.missed)
        return f"ModuleCoverage({self.module_hash.hex()[:8]}, {len(self.executed):,} of {functions:,} functions)"


def coverage(tree: CallTree, modules: Mapping[bytes, Sequence[Frame]]) -> tuple[ModuleCoverage, ...]:
    """Return the coverage of modules, given by hash with their functions, in that order."""
    executed = set(tree.frames)
    canisters: dict[bytes, dict[str, None]] = {module: {} for module in modules}
    for frame in tree.frames:
        if frame.kind is FrameKind.ENTRY:
            canisters[frame.module][frame.canister] = None
    return tuple(
        ModuleCoverage(
            module,
            tuple(canisters[module]),
            tuple(frame.name for frame in functions if frame in executed),
            tuple(frame.name for frame in functions if frame not in executed),
        )
        for module, functions in modules.items()
    )

"""`Changes`: how an action changes a canister."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from sandbox.api.gate import exclusive
from sandbox.api.runtime import SubnetRuntime
from sandbox.principal import Principal

if TYPE_CHECKING:
    from sandbox.snapshots.diff import Diff
    from sandbox.snapshots.inspect.target import InspectionTarget


class Changes:
    """What becomes of a canister from now on: `diff` says what has changed so far, and after the `with`, what changed
    within. While it lives, the first overwriting of a page keeps the old one."""

    def __init__(self, runtime: SubnetRuntime, canister_id: Principal) -> None:
        self._runtime = runtime
        self._canister_id = canister_id
        self._before = self._present()
        self._after: InspectionTarget | None = None
        self._diff: Diff | None = None

    @property
    @exclusive
    def diff(self) -> Diff:
        """From the state at the beginning to the one at the end of the `with`, or the present one."""
        from sandbox.snapshots.diff import compare  # imported late: most programs compare nothing

        if self._after is None:
            return compare(self._before, self._present())
        if self._diff is None:
            self._diff = compare(self._before, self._after)
        return self._diff

    def _present(self) -> InspectionTarget:
        from sandbox.snapshots.inspect.target import inspection_target

        return inspection_target(self._runtime.state_of(self._canister_id))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._after = self._present()

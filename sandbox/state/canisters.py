"""All canisters of a subnet, and the ids of those that differ from the last state tree."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.principal import Principal
from sandbox.state.canister import READY, CanisterState
from sandbox.state.savepoint import RevertibleDict, RevertibleSet, Savepoints


class Canisters(RevertibleDict[Principal, CanisterState]):
    """The canisters by id. They change only by assignment and deletion of items.

    `changed`: ids created, deleted or modified in a certified field since `execution.certificates` last replaced the
    set by an empty one. `waking`: ids of the canisters that may have a task: all with a timer, a low-memory hook that
    is ready or a heartbeat are in it; `execution.tasks` removes those with none.
    """

    __slots__ = ("changed", "waking")

    def __init__(self, savepoints: Savepoints, content: Iterable[tuple[Principal, CanisterState]] = ()) -> None:
        super().__init__(savepoints, content)
        self.changed: RevertibleSet[Principal] = RevertibleSet(savepoints, ((name, None) for name in self))
        self.waking = set(self)

    def __setitem__(self, canister_id: Principal, state: CanisterState) -> None:
        old = self.get(canister_id)
        if old is None or old.code is not state.code or state.global_timer or state.low_memory_hook == READY:
            self.waking.add(canister_id)
        if (
            old is None
            or old.certified_data is not state.certified_data
            or old.settings is not state.settings
            or old.code is not state.code
            or old.last_installed_at != state.last_installed_at
        ):
            self.changed.add(canister_id)
        super().__setitem__(canister_id, state)

    def __delitem__(self, canister_id: Principal) -> None:
        super().__delitem__(canister_id)
        self.changed.add(canister_id)
        self.waking.discard(canister_id)

    def _restore(self, canister_id: Principal, state: CanisterState) -> None:
        self.waking.add(canister_id)
        super()._restore(canister_id, state)

    def _remove(self, canister_id: Principal) -> None:
        super()._remove(canister_id)
        self.waking.discard(canister_id)

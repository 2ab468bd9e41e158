"""All canisters of a subnet, and which of them the state tree no longer describes."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.principal import Principal
from sandbox.state.canister import CanisterState


class Canisters(dict[Principal, CanisterState]):
    """The canisters by id. They change by assignment and deletion of items alone.

    `changed`: canisters that were made or deleted, or of which something changed that the state tree tells, since
    whoever keeps the tree has emptied it.
    """

    __slots__ = ("changed",)

    def __init__(self, states: Mapping[Principal, CanisterState] | None = None) -> None:
        super().__init__(states or {})
        self.changed: set[Principal] = set(self)

    def copied(self) -> Canisters:
        """The same canisters, to be changed apart."""
        twin = Canisters.__new__(Canisters)
        twin |= self
        twin.changed = set(self.changed)
        return twin

    def __setitem__(self, canister_id: Principal, state: CanisterState) -> None:
        old = self.get(canister_id)
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

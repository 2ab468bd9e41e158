"""The one table of operations: from it follow the routes, the checks of parameters, and the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, get_type_hints

from sandbox.http.admin import canisters, model, snapshots, time
from sandbox.http.admin.desk import Desk


@dataclass(frozen=True)
class Operation:
    """One operation. `run` says by its annotations what it takes and gives, and by its docstring what it does.

    `file`: the content type of the body that becomes its parameter `file`, if it takes one.
    """

    method: str
    path: str
    run: Callable[[Desk, Any], Any]
    file: str | None = None

    @property
    def name(self) -> str:
        """The name by which clients know it."""
        return self.run.__name__

    @property
    def changes(self) -> bool:
        """Whether it may change something that is worth saving."""
        return self.method != "GET"

    @cached_property
    def takes(self) -> type[model.Asked]:
        """The record of its parameters."""
        kind: type[model.Asked] = next(kind for name, kind in self._hints.items() if name not in ("desk", "return"))
        return kind

    @cached_property
    def gives(self) -> type[Any]:
        """The record that it answers with."""
        kind: type[Any] = self._hints["return"]
        return kind

    @cached_property
    def in_path(self) -> frozenset[str]:
        """Its parameters that stand in the path."""
        return frozenset(re.findall(r"{(\w+)}", self.path))

    @property
    def in_query(self) -> bool:
        """Whether its other parameters stand in the query of the URL; else in a JSON body."""
        return self.method in ("GET", "DELETE") or self.file is not None

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self.run)


OPERATIONS: Final = (
    Operation("GET", "/state", time.show_state),
    Operation("GET", "/state/hash", time.state_hash),
    Operation("POST", "/state/save", time.save),
    Operation("GET", "/time", time.show_time),
    Operation("POST", "/time/advance", time.advance_time),
    Operation("POST", "/time/set", time.set_time),
    Operation("POST", "/time/tick", time.tick),
    Operation("POST", "/time/run", time.run),
    Operation("GET", "/anchors", time.list_anchors),
    Operation("POST", "/anchors", time.begin_anchor),
    Operation("DELETE", "/anchors/{anchor}", time.end_anchor),
    Operation("GET", "/canisters", canisters.list_canisters),
    Operation("GET", "/canisters/{canister}", canisters.show_canister),
    Operation("GET", "/canisters/{canister}/interface", canisters.show_interface),
    Operation("GET", "/canisters/{canister}/logs", canisters.show_logs),
    Operation("POST", "/canisters/{canister}/call", canisters.call),
    Operation("POST", "/canisters/{canister}/snapshots", snapshots.take_snapshot),
    Operation("POST", "/canisters/{canister}/snapshots/file", snapshots.upload_snapshot, "application/octet-stream"),
    Operation("GET", "/profiles/{profile}", canisters.show_profile),
    Operation("GET", "/snapshots", snapshots.list_snapshots),
    Operation("GET", "/snapshots/{snapshot}", snapshots.show_snapshot),
    Operation("DELETE", "/snapshots/{snapshot}", snapshots.delete_snapshot),
    Operation("GET", "/snapshots/{snapshot}/file", snapshots.download_snapshot),
    Operation("POST", "/snapshots/{snapshot}/load", snapshots.load_snapshot),
    Operation("POST", "/snapshots/{snapshot}/label", snapshots.label_snapshot),
    Operation("POST", "/snapshots/{snapshot}/verify", snapshots.verify_snapshot),
    Operation("GET", "/diff", snapshots.compare),
    Operation("POST", "/links", time.make_link),
)

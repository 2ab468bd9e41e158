"""Queries of snapshots: the code that they hold is asked about their bytes, and nothing is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.api import typed
from sandbox.api.attempt import whole
from sandbox.api.creation import new_canister
from sandbox.api.identity import Sender, sender_principal
from sandbox.api.resolver import SnapshotLike, resolve_source
from sandbox.api.runtime import SubnetRuntime
from sandbox.api.snapshot_access import SnapshotAccess
from sandbox.api.snapshot_transfer import SnapshotFiles
from sandbox.execution import CallResult
from sandbox.memory import Pool
from sandbox.snapshots import portable
from sandbox.state import WasmModule


class SnapshotQueries(SnapshotAccess):
    """The part of the snapshot manager that queries snapshots."""

    @whole
    def query(
        self,
        source: SnapshotLike | Path,
        method: str,
        *values: Any,
        sender: Sender = None,
        did: str | Path | None = None,
    ) -> Any:
        """Ask as `query_raw`, with Python values by the interface of the snapshot's module, or by `did`: None, the
        value, or a tuple, as for `Canister.call`."""
        function = typed.interface_of(self._module_in(source) if did is None else None, did).method(method)
        return typed.answer(function, values, lambda arg: self.query_raw(source, method, arg, sender))

    @whole
    def query_raw(
        self,
        source: SnapshotLike | Path,
        method: str,
        arg: bytes = typed.EMPTY_ARGUMENT,
        sender: Sender = None,
    ) -> CallResult:
        """Ask the code of a snapshot, or of a file or directory, a query with raw bytes, also a composite one, about
        its bytes, at the time at which it was taken; nothing is loaded and nothing changes. `sender` is the caller,
        anonymous by default.

        A file is asked alone: there are no other canisters, and the caller is its controller.
        """
        resolved = resolve_source(self._runtime, source)
        if isinstance(resolved, Path):
            return self._query_file(resolved, method, arg, sender)
        snapshot = self._snapshot(resolved, None)
        return self._runtime.query_snapshot(snapshot, method, arg, sender).or_raise()

    def _module_in(self, source: SnapshotLike | Path) -> WasmModule | None:
        """The module in a snapshot, a file or a directory."""
        resolved = resolve_source(self._runtime, source)
        if not isinstance(resolved, Path):
            return self._snapshot(resolved, None).code
        with portable.opened(resolved) as content:
            return WasmModule.from_bytes(content.module.read(0, content.module.size))

    def _query_file(self, path: Path, method: str, arg: bytes, sender: Sender) -> CallResult:
        """Query a file in a subnet of its own, which is freed afterwards."""
        with portable.opened(path) as content:
            about = content.fields
        rules = self._runtime.subnet
        alone = SubnetRuntime(Pool(), on_log=self._runtime.on_log)
        alone.configure(instruction_limits=rules.instruction_limits, backtraces=rules.backtraces)
        try:
            canister_id = alone.create_canister(new_canister([sender_principal(sender)], about.canister_id))
            made = SnapshotFiles(alone).upload(canister_id, path)
            [kept] = alone.state_of(canister_id).snapshots
            assert kept.id == made.id
            then = replace(kept, taken_at=about.taken_at, canister_version=about.canister_version)
            return alone.query_snapshot(then, method, arg, sender).or_raise()
        finally:
            alone.close()

"""Snapshots by their ids, as in the community proposal of 2023: take, load, list, edit, delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sandbox.api import typed
from sandbox.api.attempt import whole
from sandbox.api.identity import Sender, sender_principal
from sandbox.api.records import Snapshot
from sandbox.api.resolver import CanisterLike, SnapshotLike
from sandbox.api.snapshot_access import SnapshotAccess
from sandbox.errors import CallRejected
from sandbox.execution import CallResult
from sandbox.management import hook_path, snapshot_rules
from sandbox.management.commands import command
from sandbox.management.edits import Edits, edit_snapshot
from sandbox.management.load_parts import code_of
from sandbox.principal import Principal
from sandbox.snapshots.portable.stable_image import read_stable_image
from sandbox.state import SnapshotState, WasmModule

Patches = Mapping[int, bytes] | Iterable[tuple[int, bytes]]
"""Offsets in a memory and the bytes to be there; a later one wins."""
GlobalValues = Mapping[Any, float] | Iterable[tuple[int | str, float]]
"""Mutable globals, by index (int) or name (str), and their new values."""


class SnapshotLifecycle(SnapshotAccess):
    """The part of the snapshot manager that makes snapshots, loads them and deletes them."""

    @whole
    def take(
        self,
        canister_id: CanisterLike,
        label: str | None = None,
        sender: Sender = None,
        *,
        via_hooks: bool = False,
    ) -> Snapshot:
        """Keep the canister's present state; O(1), whatever its size and status.

        With `via_hooks`, keep what its `canister_pre_upgrade` makes of it: stable memory alone, with the module, for
        this or another version of the module to be loaded with. The hook runs on a copy, and the canister never knows;
        if it fails, `CallRejected` says how and nothing has changed, not even the canister's log.
        """
        target = self._canister_id(canister_id)
        handler = hook_path.take_via_hooks if via_hooks else snapshot_rules.take_snapshot
        taken = self._runtime.manage(command(handler, self._runtime.manager(target, sender), target, label))
        assert isinstance(taken.reply, SnapshotState)
        return Snapshot.of(taken.reply)

    @whole
    def load(
        self,
        snapshot_id: SnapshotLike,
        canister_id: CanisterLike,
        sender: Sender = None,
        *,
        via_hooks: bool = False,
        wasm: bytes | str | Path | None = None,
        arg: Any = None,
        skip_pre_upgrade: bool = False,
        did: str | Path | None = None,
    ) -> CallResult:
        """Put the snapshot into the canister; costs what differs.

        With `via_hooks`, put only its stable memory under a fresh instance and run `canister_post_upgrade`: an upgrade
        from the snapshot. Only then: `wasm` (another module than the snapshot's), `arg` (as for an installation) with
        `did` (the interface, where the module carries none), and `skip_pre_upgrade` for a plain snapshot, whose own
        module's `canister_pre_upgrade` is otherwise run first, on a copy: without that, the data that only the heap of
        the snapshot holds is lost. If a hook fails nothing has changed, not even the canister's log. The result, and
        the error, carry instructions and logs.
        """
        target = self._canister_id(canister_id)
        raw = self._snapshot_id(snapshot_id, target)
        caller = self._runtime.manager(target, sender)
        if via_hooks:
            load = _hook_load(self._code_of(raw), wasm, arg, did, skip_pre_upgrade)
            done = self._runtime.manage(command(hook_path.load_via_hooks, caller, target, raw, load))
        elif wasm is not None or arg is not None or did is not None or skip_pre_upgrade:
            raise TypeError("wasm, arg, did and skip_pre_upgrade belong to a load with via_hooks=True")
        else:
            done = self._runtime.manage(command(snapshot_rules.load_snapshot, caller, target, raw))
        return CallResult(target, "", reply=b"", instructions=done.instructions, logs=done.logs, profile=done.profile)

    @whole
    def load_stable_image(
        self,
        canister_id: CanisterLike,
        path: str | Path,
        wasm: bytes | str | Path | None = None,
        arg: Any = None,
        sender: Sender = None,
        did: str | Path | None = None,
    ) -> CallResult:
        """As `load` with `via_hooks`, from a file that holds a stable memory and nothing else, raw or gzip.

        `wasm`: the module; None is the canister's own. `did`: the interface for `arg`, where it carries none. The
        canister's certified data and chunk store stay.
        """
        target = self._canister_id(canister_id)
        caller, load = self._runtime.manager(target, sender), _hook_load(self._code(target), wasm, arg, did)
        image = read_stable_image(self._runtime.pool, Path(path))
        done = self._runtime.manage(command(hook_path.load_stable_image, caller, target, image, load))
        return CallResult(target, "", reply=b"", instructions=done.instructions, logs=done.logs, profile=done.profile)

    def list(self, canister_id: CanisterLike | None = None, sender: Sender = None) -> list[Snapshot]:
        """The snapshots of a canister, oldest first; of all canisters without an id.

        `sender` must be allowed to see them; without, also those of canisters without controllers are listed.
        """
        if canister_id is None:
            every = self._runtime.canister_ids()
            return [snapshot for owner in every for snapshot in self.list(owner, sender)]
        target = self._canister_id(canister_id)
        if sender is None:
            return [Snapshot.of(state) for state in self._runtime.state_of(target).snapshots]
        context = self._runtime.management_context(sender_principal(sender))
        return [Snapshot.of(state) for state in snapshot_rules.list_snapshots(context, target)]

    @whole
    def edit(
        self,
        snapshot_id: SnapshotLike,
        label: str | None = None,
        sender: Sender = None,
        *,
        wasm: bytes | str | Path | None = None,
        heap_size: int | None = None,
        stable_size: int | None = None,
        heap: Patches = (),
        stable: Patches = (),
        globals: GlobalValues = (),
        certified_data: bytes | None = None,
    ) -> Snapshot:
        """A new snapshot of the same canister that is this one with edits; this one stays, and nothing makes room.

        `heap`, `stable`: offsets and the bytes to be there, as a mapping or as pairs; `heap_size`, `stable_size`: in
        bytes, before that; `globals`: indices or names, and values; `wasm`: another module, bytes or a file;
        `certified_data`. The new one's history says what was edited (`Snapshot.derived`). What does not fit together
        is `CallRejected` with the reason.
        """
        edits = Edits.of(
            module=_module_bytes(wasm),
            heap_size=heap_size,
            stable_size=stable_size,
            heap=heap,
            stable=stable,
            globals=globals,
            certified_data=certified_data,
        )
        raw = self._snapshot_id(snapshot_id)
        caller = self._runtime.manager(self._owner(raw), sender)
        edited = self._runtime.manage(command(edit_snapshot, caller, raw, edits, label)).reply
        assert isinstance(edited, SnapshotState)
        return Snapshot.of(edited)

    @whole
    def delete(self, snapshot_id: SnapshotLike, sender: Sender = None) -> None:
        """Give the snapshot up."""
        raw = self._snapshot_id(snapshot_id)
        owner = self._owner(raw)
        self._runtime.manage(command(snapshot_rules.delete_snapshot, self._runtime.manager(owner, sender), owner, raw))

    def module(self, snapshot_id: SnapshotLike | None, canister_id: CanisterLike) -> bytes | None:
        """The module of a snapshot; without an id, that of the canister. None where there is none."""
        target = self._canister_id(canister_id)
        code = self._code(target) if snapshot_id is None else self._code_of(self._snapshot_id(snapshot_id, target))
        return None if code is None else code.submitted

    def _code(self, canister_id: Principal) -> WasmModule | None:
        return self._runtime.state_of(canister_id).code

    def _code_of(self, snapshot_id: bytes) -> WasmModule | None:
        try:
            owner = self._runtime.state_of(snapshot_rules.owner_id(snapshot_id))
        except CallRejected:
            return None
        found = (snapshot for snapshot in owner.snapshots if snapshot.id == snapshot_id)
        return next((code_of(snapshot_rules.intact(snapshot)) for snapshot in found), None)


def _hook_load(
    code: WasmModule | None,
    wasm: bytes | str | Path | None,
    arg: Any,
    did: str | Path | None,
    skip_pre_upgrade: bool = False,
) -> hook_path.HookLoad:
    """How to load; the argument is encoded by the interface `did`, else by that of the module that is to run."""
    module = _module_bytes(wasm)
    if module is not None:
        code = WasmModule.from_bytes(module)
    return hook_path.HookLoad(module, typed.deployment_argument(arg, lambda: code, did, "upgrade"), skip_pre_upgrade)


def _module_bytes(wasm: bytes | str | Path | None) -> bytes | None:
    """The bytes of a module given as such or as a file."""
    return None if wasm is None else typed.module_bytes(wasm)

"""The snapshot manager by ids, as in the community proposal of 2023: take, load, list, delete."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.api import typed
from sandbox.api.attempt import whole
from sandbox.api.changes import Source, present_of
from sandbox.api.gate import exclusive
from sandbox.api.records import Snapshot
from sandbox.api.snapshot_access import as_id
from sandbox.api.snapshot_retention import SnapshotKeeping
from sandbox.api.snapshot_transfer import SnapshotFiles, is_id
from sandbox.errors import CallRejected
from sandbox.execution import CallResult
from sandbox.management import hook_path, snapshot_rules
from sandbox.management.commands import command
from sandbox.management.edits import Edits, edit_snapshot
from sandbox.management.load_parts import code_of
from sandbox.principal import Principal
from sandbox.snapshots import portable
from sandbox.snapshots.diff import Diff, compare
from sandbox.snapshots.inspect.target import InspectionTarget, inspection_target
from sandbox.snapshots.portable.stable_image import read_stable_image
from sandbox.state import SnapshotState, WasmModule


class SnapshotManager(SnapshotFiles, SnapshotKeeping):
    """Snapshots of all canisters of a sandbox; only controllers may act on them. Ids are bytes, or their hexadecimal
    text. Without `sender`, the first controller of the canister acts."""

    @whole
    def take(
        self,
        canister_id: Principal | str,
        label: str | None = None,
        sender: Principal | str | None = None,
        *,
        via_hooks: bool = False,
    ) -> Snapshot:
        """Keep the canister's present state; O(1), whatever its size and status.

        With `via_hooks`, keep what its `canister_pre_upgrade` makes of it: stable memory alone, with the module, for
        this or another version of the module to be loaded with. The hook runs on a copy, and the canister never knows;
        if it fails, `CallRejected` says how and nothing has changed, not even the canister's log.
        """
        target = Principal.of(canister_id)
        handler = hook_path.take_via_hooks if via_hooks else snapshot_rules.take_snapshot
        taken = self._sandbox.manage(command(handler, self._who(target, sender), target, label))
        assert isinstance(taken.reply, SnapshotState)
        return Snapshot.of(taken.reply)

    @whole
    def load(
        self,
        snapshot_id: bytes | str,
        canister_id: Principal | str,
        sender: Principal | str | None = None,
        *,
        via_hooks: bool = False,
        **how: Any,
    ) -> CallResult:
        """Put the snapshot into the canister; costs what differs.

        With `via_hooks`, put only its stable memory under a fresh instance and run `canister_post_upgrade`: an upgrade
        from the snapshot. More keywords then: `wasm` (another module than the snapshot's), `arg` (as for an
        installation) with `did` (the interface, where the module carries none), and `skip_pre_upgrade` for a plain
        snapshot, whose own module's `canister_pre_upgrade` is otherwise run first, on a copy: with it, what only the
        heap of the snapshot holds is lost. If a hook fails nothing has changed, not even the canister's log. The
        result, and the error, tell instructions and logs.
        """
        target, raw = Principal.of(canister_id), as_id(snapshot_id)
        caller = self._who(target, sender)
        if via_hooks:
            load = _hook_load(self._code_of(raw), **how)
            done = self._sandbox.manage(command(hook_path.load_via_hooks, caller, target, raw, load))
        elif how:
            raise TypeError(f"{', '.join(how)} of a load without via_hooks")
        else:
            done = self._sandbox.manage(command(snapshot_rules.load_snapshot, caller, target, raw))
        return CallResult(target, "", reply=b"", instructions=done.instructions, logs=done.logs)

    @whole
    def load_stable_image(
        self,
        canister_id: Principal | str,
        path: str | Path,
        wasm: bytes | str | Path | None = None,
        arg: Any = None,
        sender: Principal | str | None = None,
        did: str | Path | None = None,
    ) -> CallResult:
        """As `load` with `via_hooks`, from a file that holds a stable memory and nothing else, raw or gzip.

        `wasm`: the module; None is the canister's own. `did`: the interface for `arg`, where it carries none. The
        canister's certified data and chunk store stay.
        """
        target = Principal.of(canister_id)
        caller, load = self._who(target, sender), _hook_load(self._code(target), wasm=wasm, arg=arg, did=did)
        image = read_stable_image(self._sandbox.pool, Path(path))
        done = self._sandbox.manage(command(hook_path.load_stable_image, caller, target, image, load))
        return CallResult(target, "", reply=b"", instructions=done.instructions, logs=done.logs)

    def list(self, canister_id: Principal | str | None = None, sender: Principal | str | None = None) -> list[Snapshot]:
        """The snapshots of a canister, oldest first; of all canisters without an id.

        `sender` must be allowed to see them; without, also those of a canister that nobody controls are listed.
        """
        if canister_id is None:
            every = self._sandbox.canisters()
            return [snapshot for canister in every for snapshot in self.list(canister.id, sender)]
        target = Principal.of(canister_id)
        if sender is None:
            return [Snapshot.of(state) for state in self._sandbox.state_of(target).snapshots]
        world = self._sandbox.world(self._sandbox.who(sender))
        return [Snapshot.of(state) for state in snapshot_rules.list_snapshots(world, target)]

    @whole
    def edit(
        self, snapshot_id: bytes | str, label: str | None = None, sender: Principal | str | None = None, **edits: Any
    ) -> Snapshot:
        """A new snapshot of the same canister that is this one with `edits`; this one stays, and nothing makes room.

        `heap`, `stable`: offsets and the bytes to be there, as a mapping or as pairs; `heap_size`, `stable_size`: in
        bytes, before that; `globals`: indices or names, and values; `wasm`: another module, bytes or a file;
        `certified_data`. The new one's history says what was edited (`Snapshot.derived`). What does not fit together
        is `CallRejected` with the reason.
        """
        module = edits.pop("wasm", None)
        if module is not None:
            edits["module"] = module if isinstance(module, bytes) else Path(module).read_bytes()
        raw = as_id(snapshot_id)
        caller = self._who(self._owner(raw), sender)
        edited = self._sandbox.manage(command(edit_snapshot, caller, raw, Edits.of(**edits), label)).reply
        assert isinstance(edited, SnapshotState)
        return Snapshot.of(edited)

    @whole
    def delete(self, snapshot_id: bytes | str, sender: Principal | str | None = None) -> None:
        """Give the snapshot up."""
        raw = as_id(snapshot_id)
        owner = self._owner(raw)
        self._sandbox.manage(command(snapshot_rules.delete_snapshot, self._who(owner, sender), owner, raw))

    def module(self, snapshot_id: bytes | str | None, canister_id: Principal) -> bytes | None:
        """The module of a snapshot; without an id, that of the canister. None where there is none."""
        code = self._code(canister_id) if snapshot_id is None else self._code_of(as_id(snapshot_id))
        return None if code is None else code.submitted

    def _code(self, canister_id: Principal) -> WasmModule | None:
        return self._sandbox.state_of(canister_id).code

    def _code_of(self, snapshot_id: bytes) -> WasmModule | None:
        try:
            owner = self._sandbox.state_of(snapshot_rules.owner_id(snapshot_id))
        except CallRejected:
            return None
        found = (snapshot for snapshot in owner.snapshots if snapshot.id == snapshot_id)
        return next((code_of(snapshot_rules.intact(snapshot)) for snapshot in found), None)

    # --- looking inside

    @exclusive
    def inspect(self, snapshot_id: bytes | str, sender: Principal | str | None = None) -> InspectionTarget:
        """What the snapshot holds, read without running its code: see `sandbox.snapshots.inspect`."""
        return inspection_target(self._snapshot(snapshot_id, sender))

    @exclusive
    def diff(self, old: Source, new: Source | None = None, sender: Principal | str | None = None) -> Diff:
        """What differs: see `sandbox.snapshots.diff`. Each is a snapshot or its id, a canister, or a file or directory;
        without `new`, the present state of the canister that the snapshot `old` is of.

        Costs what was written between two states of one memory; else what differs, once all pages were hashed.
        """
        before = self._opened(old, sender)
        if new is None:
            new = present_of(before)
        return compare(before, self._opened(new, sender))

    def _opened(self, source: Source, sender: Principal | str | None) -> InspectionTarget:
        if isinstance(source, Snapshot):
            return inspection_target(self._snapshot(source.id, sender))
        if isinstance(source, bytes):
            return inspection_target(self._snapshot(source, sender))
        if isinstance(source, str | Path):
            return inspection_target(self._snapshot(source, sender) if is_id(source) else portable.opened(Path(source)))
        return inspection_target(self._sandbox.state_of(source if isinstance(source, Principal) else source.id))

    @whole
    def query(
        self,
        source: bytes | str | Path,
        method: str,
        arg: bytes = typed.EMPTY_ARGUMENT,
        sender: Principal | str | None = None,
    ) -> CallResult:
        """Ask the code of a snapshot (by id), or of a file or directory, a query, also a composite one, about its
        bytes, at the time at which it was taken; nothing is loaded and nothing changes. `sender` is the caller,
        anonymous by default.

        A file is asked alone: there are no other canisters, and the caller is its controller.
        """
        if isinstance(source, Path) or (isinstance(source, str) and Path(source).exists()):
            return self._query_file(Path(source), method, arg, sender)
        snapshot = self._snapshot(source, None)
        return self._sandbox.query_snapshot(snapshot, method, arg, sender).or_raise()

    def _query_file(self, path: Path, method: str, arg: bytes, sender: Principal | str | None) -> CallResult:
        """In a sandbox of its own, which is gone afterwards."""
        with portable.opened(path) as content:
            about = content.fields
        here = self._sandbox
        subnet = here.world(here.who(sender)).subnet
        limits, traced = subnet.instruction_limits, subnet.backtraces
        alone = type(here)(on_log=here.on_log, instruction_limits=limits, backtraces=traced)
        try:
            canister = alone.create_canister([here.who(sender)], about.canister_id)
            made = alone.snapshots.upload(canister.id, path)
            [kept] = alone.state_of(canister.id).snapshots
            assert kept.id == made.id
            then = replace(kept, taken_at=about.taken_at, canister_version=about.canister_version)
            return alone.query_snapshot(then, method, arg, sender).or_raise()
        finally:
            alone.close()


def _hook_load(
    code: WasmModule | None,
    *,
    wasm: bytes | str | Path | None = None,
    arg: Any = None,
    skip_pre_upgrade: bool = False,
    did: str | Path | None = None,
) -> hook_path.HookLoad:
    """How to load; the argument is encoded by the interface `did`, else by that of the module that is to run."""
    module = wasm if wasm is None or isinstance(wasm, bytes) else Path(wasm).read_bytes()
    if module is not None:
        code = WasmModule.from_bytes(module)
    return hook_path.HookLoad(module, typed.deployment_argument(arg, lambda: code, did), skip_pre_upgrade)

"""Snapshots out of a sandbox and into one: as files, as directories of dfx and icp-cli, as new canisters.

Uploading is what the platform's upload is (SPECIFICATION 6.3 to 6.6): the new snapshot's source is `metadata_upload`,
its time is now, which is moved forward to that of the file if it is earlier, so that the canister's clock does not go
back; and loading it sets timer and low-memory hook where the file says what they were, which loading the
snapshot it was downloaded from does not. All or nothing: a file that is torn or does not fit changes nothing. After an
interruption a download goes on where it was; an upload reads the file from the beginning, and in a state directory does
not write again what it had kept (pruning forgets that).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from sandbox.api.attempt import whole
from sandbox.api.canister import Canister
from sandbox.api.creation import SettingsValues, new_canister
from sandbox.api.gate import exclusive
from sandbox.api.identity import Sender, identity
from sandbox.api.records import Snapshot
from sandbox.api.resolver import CanisterLike, SnapshotLike, resolve_source
from sandbox.api.snapshot_access import SnapshotAccess
from sandbox.canister.module import compile_module
from sandbox.errors import CallRejected, InvalidModule, SnapshotFileCorrupt, SnapshotFileError
from sandbox.execution import Advance
from sandbox.management import lifecycle, upload_whole
from sandbox.management.commands import command
from sandbox.management.load_parts import check_globals
from sandbox.principal import Principal
from sandbox.snapshots import portable
from sandbox.snapshots.portable import Content, Progress
from sandbox.snapshots.portable.history import steps_of
from sandbox.state import SnapshotState, WasmModule
from sandbox.store.checksum import snapshot_checksum


class SnapshotFiles(SnapshotAccess):
    """The part of the snapshot manager that deals with files."""

    @exclusive
    def download(
        self,
        snapshot_id: SnapshotLike,
        path: str | Path,
        format: str | None = None,
        sender: Sender = None,
        progress: Progress | None = None,
    ) -> Path:
        """Write a snapshot to `path`: `icsnap`, one file; `dir`, the directory of dfx and icp-cli. Without `format`, a
        directory unless the name ends in `.icsnap`.

        Nothing is overwritten. After an interruption, the same call continues what it left in `PATH.part`. `progress`
        is called with bytes done and bytes in all.
        """
        target = Path(path)
        snapshot = self._snapshot(snapshot_id, sender)
        portable.write(portable.of_state(snapshot, snapshot_checksum(snapshot)), target, format, progress)
        return target

    @whole
    def upload(
        self,
        canister_id: CanisterLike,
        path: str | Path,
        sender: Sender = None,
        progress: Progress | None = None,
        keep_time: bool = False,
    ) -> Snapshot:
        """A new snapshot of the canister from a file or a directory, its label kept.

        As the platform's upload: at most 10 snapshots, and loading it sets timer and low-memory hook if they are known.
        If the sandbox's time is earlier than that of the snapshot, it is moved forward to it, unless `keep_time`.
        `SnapshotFileCorrupt` if what is there is torn, tampered with or mixed; then nothing has changed.
        """
        self._runtime.check_writable()
        target = self._canister_id(canister_id)
        who = self._runtime.manager(target, sender)
        with portable.opened(Path(path)) as content:
            metadata = _metadata(content)
            upload_whole.admit(self._runtime.management_context(who), target, metadata)
            directory = self._runtime.directory
            keep = None if directory is None else directory.repository
            images, chunks = portable.filled(self._runtime.pool, content, progress, keep)
        self._reach(content, keep_time)
        metadata = replace(metadata, chunks=chunks)
        made = self._runtime.manage(command(upload_whole.upload_whole, who, target, metadata, images)).reply
        assert isinstance(made, SnapshotState)
        return Snapshot.of(made)

    @whole
    def create_canister(
        self,
        source: SnapshotLike | Path | Content,
        controllers: Iterable[Principal | str] | None = None,
        canister_id: Principal | str | None = None,
        sender: Sender = None,
        progress: Progress | None = None,
        cycles: int | None = None,
        settings: SettingsValues | None = None,
        name: str | None = None,
        keep_time: bool = False,
    ) -> Canister:
        """A new canister with the state of a file, a directory, opened content, or a snapshot here, its timer included;
        `name`: as for `Sandbox.create_canister`; `keep_time`: as for `upload`.

        Controllers, `settings` and `cycles` are not part of a snapshot: they are the new
        canister's own, and so is the status of its low-memory hook. `sender` reads the snapshot here. If anything
        fails, there is no new canister.
        """
        self._runtime.check_writable()
        self._runtime.check_name(name)
        new, creator = new_canister(controllers, canister_id, cycles, settings), identity("default")
        with self._content(source, sender) as content:
            metadata = replace(_metadata(content), low_memory_hook=None)
            if metadata.via_hooks:
                raise SnapshotFileError(
                    f"{content.where} holds only stable memory, as the canister's hook left it: upload it to a "
                    "canister, then load it via hooks"
                )
            lifecycle.create_canister(
                self._runtime.management_context(creator), new.settings, new.specified_id, new.cycles
            )
            images, chunks = portable.filled(self._runtime.pool, content, progress)
        self._reach(content, keep_time)
        metadata = replace(metadata, chunks=chunks)
        made = self._runtime.manage(command(upload_whole.create_from_upload, creator, new, metadata, images)).reply
        assert isinstance(made, Principal)
        self._runtime.name_canister(made, name)
        return Canister(self._runtime, made)

    def _reach(self, content: Content, keep_time: bool) -> None:
        """Move the time forward to that of the snapshot, if it is earlier, unless `keep_time`."""
        missing = content.fields.taken_at - self._runtime.subnet.time
        if missing > 0 and not keep_time:
            self._runtime.perform(Advance(missing))

    def _content(self, source: SnapshotLike | Path | Content, sender: Sender) -> Content:
        """The snapshot in a file or a directory, or the one here."""
        if isinstance(source, Content):
            return source
        resolved = resolve_source(self._runtime, source)
        if isinstance(resolved, Path):
            return portable.opened(resolved)
        return portable.of_state(self._snapshot(resolved, sender))


def _metadata(content: Content) -> upload_whole.Uploading:
    _check_module(content)
    fields = content.fields
    return upload_whole.Uploading(
        module_size=content.module.size,
        globals=fields.globals,
        heap_size=content.heap.size,
        stable_size=content.stable.size,
        certified_data=fields.certified_data,
        global_timer=fields.global_timer,
        low_memory_hook=fields.low_memory_hook,
        label=fields.label,
        via_hooks=fields.via_hooks,
        derived=steps_of(fields.history),
    )


def _check_module(content: Content) -> None:
    """`SnapshotFileCorrupt` if the module is none, or the globals are not those of the module."""
    try:
        module = compile_module(WasmModule.from_bytes(content.module.read(0, content.module.size)))
        if not content.fields.via_hooks:
            check_globals(module, content.fields.globals)
    except InvalidModule as error:
        raise SnapshotFileCorrupt(f"{content.where}: its module is none that runs here: {error}") from error
    except CallRejected as error:
        raise SnapshotFileCorrupt(f"{content.where}: its globals are not those of its module") from error

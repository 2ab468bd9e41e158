"""Snapshots out of a sandbox and into one: as files, as directories of dfx and icp-cli, as new canisters.

Uploading is what the platform's upload is (digest 6.3 to 6.6): the new snapshot's source is `metadata_upload`, its time
is now, and loading it sets timer and low-memory hook where the file says what they were, which loading the snapshot it
was downloaded from does not. All or nothing: a file that is torn or does not fit changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.api.identity import identity
from sandbox.api.records import Snapshot
from sandbox.canister.code import prepare, submit
from sandbox.errors import CallRejected, InvalidModule, SnapshotFileCorrupt, SnapshotFileError
from sandbox.management import lifecycle, uploads
from sandbox.management import snapshots as rules
from sandbox.management.commands import command
from sandbox.management.uploaded import check_globals
from sandbox.principal import Principal
from sandbox.snapshots import portable
from sandbox.snapshots.checksum import snapshot_checksum
from sandbox.snapshots.portable import Content, Progress
from sandbox.snapshots.portable.history import steps_of
from sandbox.state import SnapshotState

if TYPE_CHECKING:
    from sandbox.api.sandbox import Sandbox

Who = Callable[[Principal], Principal]
"""Who acts on a canister."""


def snapshot_of(sandbox: Sandbox, snapshot_id: bytes, who: Who) -> SnapshotState:
    """The snapshot with this id, if the caller may see it."""
    owner = rules.owner_id(snapshot_id)
    world = sandbox.world(who(owner) if owner in {c.id for c in sandbox.canisters()} else Principal.anonymous())
    snapshot, state = rules.locate(world, owner, snapshot_id)
    rules.visible(world, state.id)
    return snapshot


def content_of(sandbox: Sandbox, source: str | Path | bytes, who: Who) -> Content:
    """The snapshot in a file or a directory, or the one here with this id."""
    if isinstance(source, bytes) or (_is_id(str(source)) and not Path(source).exists()):
        raw = as_id(source if isinstance(source, bytes) else str(source))
        return portable.of_state(snapshot_of(sandbox, raw, who))
    return portable.opened(Path(source))


def _is_id(text: str) -> bool:
    return 16 <= len(text) <= 74 and not len(text) % 2 and not set(text.lower()) - set("0123456789abcdef")


def as_id(value: bytes | str) -> bytes:
    """Bytes of a snapshot id; text that is not hexadecimal names no snapshot."""
    if isinstance(value, bytes):
        return value
    try:
        return bytes.fromhex(value)
    except ValueError:
        return value.encode()


def download(snapshot: SnapshotState, path: Path, form: str | None, progress: Progress | None) -> None:
    """`SnapshotManager.download`."""
    content = portable.of_state(snapshot, snapshot_checksum(snapshot))
    portable.write(content, path, form, progress)


def upload(
    sandbox: Sandbox, canister_id: Principal, path: Path, who: Who, progress: Progress | None = None
) -> Snapshot:
    """`SnapshotManager.upload`."""
    sender = who(canister_id)
    with portable.opened(path) as content:
        metadata = _metadata(content)
        uploads.admit(sandbox.world(sender), canister_id, metadata)
        images, chunks = portable.filled(sandbox.pool, content, progress)
    metadata = replace(metadata, chunks=chunks)
    made = sandbox.manage(command(uploads.upload_whole, sender, canister_id, metadata, images)).reply
    assert isinstance(made, SnapshotState)
    return Snapshot.of(made)


def create_canister(
    sandbox: Sandbox, content: Content, new: uploads.NewCanister, progress: Progress | None = None
) -> Principal:
    """`SnapshotManager.create_canister`."""
    if content.fields.via_hooks:
        raise SnapshotFileError(
            f"{content.where} holds only stable memory, as the canister's hook left it: upload it to a canister, "
            "then load it via hooks"
        )
    creator = identity("default")
    metadata = replace(_metadata(content), low_memory_hook=None)
    lifecycle.create_canister(sandbox.world(creator), new.settings, new.specified_id, new.cycles)
    images, chunks = portable.filled(sandbox.pool, content, progress)
    metadata = replace(metadata, chunks=chunks)
    made = sandbox.manage(command(uploads.create_from_upload, creator, new, metadata, images)).reply
    assert isinstance(made, Principal)
    return made


def _metadata(content: Content) -> uploads.Uploading:
    fields = content.fields
    return uploads.Uploading(
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
        is64=_is64(content),
    )


def _is64(content: Content) -> bool:
    """Whether the module has a 64-bit heap; `SnapshotFileCorrupt` if the globals are not those of the module."""
    try:
        module = prepare(submit(content.module.read(0, content.module.size)))
        if not content.fields.via_hooks:
            check_globals(module, content.fields.globals)
    except InvalidModule as error:
        raise SnapshotFileCorrupt(f"{content.where}: its module is none that runs here: {error}") from error
    except CallRejected as error:
        raise SnapshotFileCorrupt(f"{content.where}: its globals are not those of its module") from error
    return module.facts.is64

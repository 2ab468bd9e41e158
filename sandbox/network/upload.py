"""Upload a snapshot to a network: several slices at once; zeros are not sent. It can be continued.

A log beside the source has the id of the new snapshot, and a line with part, offset and BLAKE3 for each slice that the
network took. A slice is sent again unless the source still has these bytes there.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from sandbox.errors import SnapshotFileError
from sandbox.limits import SNAPSHOT_SLICE
from sandbox.management.snapshot_slices import global_value
from sandbox.network.parallel import KINDS, WORKERS, opened, run_all
from sandbox.network.remote import Remote
from sandbox.pagestore.durable_files import write_durably
from sandbox.snapshots.portable import Content, Progress
from sandbox.snapshots.portable.content import whole

LOG: Final = ".upload"
"""The suffix of the log of an upload."""
_ZEROS: Final = bytes(SNAPSHOT_SLICE)


def upload(
    remote: Remote, content: Content, log: Path, progress: Progress | None = None, replaced: bytes | None = None
) -> bytes:
    """Make a new snapshot of the canister from `content` and return its id; `replaced`: the one whose place it takes.

    After an interruption, the same call continues what `log` tells of; the log is deleted at the end.
    """
    if content.fields.via_hooks:
        raise SnapshotFileError(f"{content.where} holds only stable memory, as a hook left it: a network loads no such")
    known = _known(remote, log)
    if known is None:
        made: bytes = remote.manage(
            "upload_canister_snapshot_metadata", **_metadata(content), replace_snapshot=replaced
        )["snapshot_id"]
        write_durably(log, f"{remote.id} {made.hex()}\n".encode())
        known = made, frozenset()
    _Upload(remote, content, known[0], progress).run(log, known[1])
    log.unlink()
    return known[0]


def _known(remote: Remote, log: Path) -> tuple[bytes, frozenset[str]] | None:
    """Return the snapshot and the lines of an upload that was interrupted; None if there is none to continue."""
    lines = log.read_text("utf-8", "replace").split("\n") if log.exists() else []
    head = lines[0].split(" ") if lines else []
    if len(head) != 2 or head[0] != str(remote.id):
        return None
    there = {snapshot.id.hex(): snapshot.id for snapshot in remote.snapshots()}
    made = there.get(head[1])
    return None if made is None else (made, frozenset(lines[1:-1]))


def _metadata(content: Content) -> dict[str, Any]:
    fields = content.fields
    timer, hook = fields.global_timer, fields.low_memory_hook
    return {
        "wasm_module_size": content.module.size,
        "globals": [global_value(letter, bits) for letter, bits in fields.globals],
        "wasm_memory_size": content.heap.size,
        "stable_memory_size": content.stable.size,
        "certified_data": fields.certified_data,
        "global_timer": None if timer is None else {"active": timer} if timer else {"inactive": None},
        "on_low_wasm_memory_hook_status": None if hook is None else {hook: None},
    }


@dataclass(slots=True)
class _Upload:
    remote: Remote
    content: Content
    id: bytes
    progress: Progress | None

    def run(self, log: Path, known: frozenset[str]) -> None:
        """Send what is missing."""
        parts = self.content.parts()
        lock, total, done = threading.Lock(), sum(part.size for part in parts.values()), 0
        read = threading.Lock()  # parts of a file are read by one thread at a time
        with ExitStack() as stack:
            descriptor = opened(stack, log, os.O_WRONLY | os.O_APPEND)

            def send(name: str, offset: int, size: int) -> None:
                nonlocal done
                with read:
                    data = parts[name].read(offset, size)
                line = f"{name} {offset} {blake3(data).hexdigest()}"
                if data != _ZEROS[:size] and line not in known:
                    self._put({KINDS[name]: {"offset": offset}}, data)
                with lock:
                    done += size
                    os.write(descriptor, f"{line}\n".encode())
                    if self.progress is not None:
                        self.progress(done, total)

            tasks = [
                partial(send, name, offset, min(SNAPSHOT_SLICE, parts[name].size - offset))
                for name in KINDS
                for offset in range(0, parts[name].size, SNAPSHOT_SLICE)
            ]
            chunks = [partial(self._put, {"wasm_chunk": None}, whole(chunk)) for chunk in self.content.chunks.values()]
            run_all([*tasks, *chunks], WORKERS)

    def _put(self, kind: dict[str, Any], data: bytes) -> None:
        self.remote.manage("upload_canister_snapshot_data", snapshot_id=self.id, kind=kind, chunk=data)

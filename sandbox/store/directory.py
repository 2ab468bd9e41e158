"""The state directory.

    lock                  held (flock) by the process that uses the directory
    manifest              version, BLAKE3, CBOR: the generation and every record; replaced by rename
    memories/N.memory     committed bytes of one memory, sparse
    modules/SHA256        modules as submitted and chunks, write-once
    journal-G             how to take the memories back to generation G

The rename of the manifest is the one moment at which a save happens. Before it, `journal-G` with G its own
generation says that the memories have moved on: opening takes them back. After it, the journal is of an older
generation and void. Nothing is believed that contradicts its checksum.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import blake3
import cbor2

from sandbox.errors import StateCorrupt, StateError, StateLocked
from sandbox.memory import Image, Memory, Pool
from sandbox.state import CanisterState, Code, SnapshotState, Subnet
from sandbox.store.records import Sources, decode_subnet, encode_subnet

_HEADER = b"canister-sandbox state "
_VERSION = 1


class StateDirectory:
    """An open, locked directory. One process at a time; close it to let others in."""

    def __init__(self, path: Path, lock_timeout: float = 10.0, strategy: str | None = None) -> None:
        self.path = path
        try:
            (path / "modules").mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{path} cannot be used as a state directory: {error}") from error
        try:
            self._wait(lock_timeout)
            self._record = self._read_manifest()
            self.generation: int = self._record["generation"] if self._record else 0
            self.pool = Pool(path / "memories", strategy)
            self._recover()
        except BaseException:
            os.close(self._lock)
            raise
        self._saved: dict[str, int] = {}
        self._modules: dict[bytes, bytes] = {}

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever saved here."""
        return self._record is None

    def load(self, subnet: Subnet) -> None:
        """Fill a fresh subnet with what was saved, and begin to journal what happens to its memories."""
        if self._record is not None:
            decode_subnet(self._record["subnet"], subnet, Sources(self.pool.open, self._module))
        self.pool.prune(_names(subnet))
        self._note_generations(subnet)
        self.pool.begin_journal(self._journal(self.generation))

    def save(self, subnet: Subnet) -> None:
        """Make the subnet's present state the directory's, on the disk itself; all or nothing."""
        _settle(subnet)
        try:
            self._sync_memories(subnet)
            for code in _codes(subnet):
                self._store_module(code)
            self._write_manifest({"generation": self.generation + 1, "subnet": encode_subnet(subnet)})
        except OSError as error:
            raise StateError(f"{self.path} cannot be saved: {error}") from error
        self.generation += 1
        self.pool.prune(_names(subnet))
        self.pool.end_journal()
        self._note_generations(subnet)
        self.pool.begin_journal(self._journal(self.generation))

    def close(self) -> None:
        """Let other processes in. What was not saved is taken back when the directory is opened next."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # --- opening

    def _wait(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise StateLocked(
                        f"{self.path} is in use by another process (waited {timeout:g} s for its lock)"
                    ) from None
                time.sleep(0.02)

    def _read_manifest(self) -> dict[str, Any] | None:
        file = self.path / "manifest"
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return None
        header, _, rest = content.partition(b"\n")
        if not header.startswith(_HEADER):
            raise StateCorrupt(f"{file} is not the manifest of a state directory")
        version = header[len(_HEADER) :]
        if version != str(_VERSION).encode():
            raise StateError(f"{file} has format {version.decode(errors='replace')}, this version reads {_VERSION}")
        if blake3.blake3(rest[32:]).digest() != rest[:32]:
            raise StateCorrupt(f"{file} contradicts its checksum")
        record = cbor2.loads(rest[32:])
        assert isinstance(record, dict)
        return record

    def _recover(self) -> None:
        """Take the memories back if a save did not happen; clear journals of saves that did."""
        own = self._journal(self.generation)
        for file in self.path.glob("journal-*"):
            if file.name not in (own.name, f"{own.name}.done"):
                file.unlink()
        self.pool.recover(own)

    def _journal(self, generation: int) -> Path:
        return self.path / f"journal-{generation}"

    # --- modules

    def _module(self, digest: bytes) -> bytes:
        known = self._modules.get(digest)
        if known is None:
            file = self.path / "modules" / digest.hex()
            try:
                known = file.read_bytes()
            except OSError as error:
                raise StateCorrupt(f"the module {file} cannot be read: {error}") from error
            if hashlib.sha256(known).digest() != digest:
                raise StateCorrupt(f"the module {file} contradicts its name, which is its SHA-256")
            self._modules[digest] = known
        return known

    def _store_module(self, code: Code) -> None:
        file = self.path / "modules" / code.hash.hex()
        if code.hash not in self._modules and not file.exists():
            _write_durably(file, code.submitted)
        self._modules[code.hash] = code.submitted

    # --- saving

    def _sync_memories(self, subnet: Subnet) -> None:
        for memory in _memories(subnet):
            if self._saved.get(memory.name) != memory.generation:
                _sync(self.path / "memories" / memory.name)
        _sync(self.path / "memories")

    def _note_generations(self, subnet: Subnet) -> None:
        self._saved = {memory.name: memory.generation for memory in _memories(subnet)}

    def _write_manifest(self, record: dict[str, Any]) -> None:
        body = cbor2.dumps(record)
        digest = blake3.blake3(body).digest()
        _write_durably(self.path / "manifest", _HEADER + str(_VERSION).encode() + b"\n" + digest + body)


def _settle(subnet: Subnet) -> None:
    """Give every snapshot memories of its own: images of a memory that changes live only in this process."""
    live = {memory for state in subnet.canisters.values() for memory in (state.heap, state.stable)}
    for state in list(subnet.canisters.values()):
        settled = tuple(_settled(snapshot, live) for snapshot in state.snapshots)
        if any(new is not old for new, old in zip(settled, state.snapshots, strict=True)):
            subnet.canisters[state.id] = replace(state, snapshots=settled)


def _settled(snapshot: SnapshotState, live: set[Memory]) -> SnapshotState:
    heap, stable = (_own(image, live) for image in (snapshot.heap, snapshot.stable))
    upload = snapshot.upload
    if upload is not None:
        module = _own(upload.module, live)
        upload = upload if module is upload.module else replace(upload, module=module)
    same = heap is snapshot.heap and stable is snapshot.stable and upload is snapshot.upload
    return snapshot if same else replace(snapshot, heap=heap, stable=stable, upload=upload)


def _own(image: Image, live: set[Memory]) -> Image:
    memory = image.memory
    if memory not in live and image.same_as(memory.image()):
        return image
    return memory.fork(image).image()


def _memories(subnet: Subnet) -> list[Memory]:
    """Every memory that the subnet's records name."""
    found = []
    for state in subnet.canisters.values():
        found += [state.heap, state.stable]
        for snapshot in state.snapshots:
            found += [snapshot.heap.memory, snapshot.stable.memory]
            if snapshot.upload is not None:
                found.append(snapshot.upload.module.memory)
    return found


def _names(subnet: Subnet) -> set[str]:
    return {memory.name for memory in _memories(subnet)}


def _codes(subnet: Subnet) -> list[Code]:
    """Modules and chunks of modules: what is kept by its SHA-256."""
    states = list(subnet.canisters.values())
    holders: list[CanisterState | SnapshotState] = [
        *states,
        *(snapshot for state in states for snapshot in state.snapshots),
    ]
    codes = [holder.code for holder in holders if holder.code is not None]
    return codes + [Code(chunk, digest) for holder in holders for digest, chunk in holder.chunks.items()]


def _write_durably(file: Path, content: bytes) -> None:
    """Write beside, wait for the disk, rename, wait for the directory."""
    temporary = file.with_name(f".new-{file.name}")
    with open(temporary, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, file)
    _sync(file.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

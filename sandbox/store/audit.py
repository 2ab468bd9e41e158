"""The check of a whole state directory: everything that can be read is compared with its digest.

Opening a directory already checks the manifest, the records, the modules of canisters and the manifests of snapshots;
this module checks the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import StateCorrupt
from sandbox.memory import Memory
from sandbox.pagestore.durable_files import DIGEST
from sandbox.pagestore.hash_tree import KEY, PAGES_PER_BLOCK, Node
from sandbox.pagestore.objects import Objects
from sandbox.principal import Principal
from sandbox.state import CanisterState, SnapshotState, Subnet
from sandbox.store import verify
from sandbox.store.directory import StateDirectory
from sandbox.store.repository import Repository


@dataclass(frozen=True, slots=True)
class Problem:
    """A damaged part and why. `part`: `heap page 0x2c1` (of 64 KiB), `stable`, `snapshot ID: heap page 0x2`,
    `pack ...`, `module ...`; `canister_id`: the canister it belongs to, None if unknown."""

    part: str
    why: str
    canister_id: Principal | None = None


def problems(directory: StateDirectory, subnet: Subnet, *, deep: bool) -> Iterator[Problem]:
    """Yield every problem.

    Not `deep`: damage of live memories that opening has noticed; for every snapshot its manifest, and whether its
    modules and the top nodes of its memories are there; the index of every pack. `deep`: every byte of live memories
    as of the last save, of snapshots, packs and modules.
    """
    repository = directory.repository.unread()
    for state in subnet.canisters.values():
        for kind in ("heap", "stable"):
            yield from _memory(directory, state, kind, getattr(state, kind), deep)
        for snapshot in state.snapshots:
            yield from _snapshot(directory, repository, state, snapshot, deep)
    yield from (Problem(f"pack {path.name}", str(error)) for path, error in _torn(repository.objects).items())
    if deep:
        yield from _packs(repository.objects)
        yield from _modules(directory.path / "modules")


def _memory(
    directory: StateDirectory, state: CanisterState, kind: str, memory: Memory, deep: bool
) -> Iterator[Problem]:
    if memory.damage is not None:
        yield Problem(kind, memory.damage, state.id)
    elif deep:
        for page in dict.fromkeys(page // PAGES_PER_BLOCK for page in directory.checks.damaged_pages(memory)):
            yield Problem(f"{kind} page {page:#x}", f"{memory.store.where} differs from the last save", state.id)


def _snapshot(
    directory: StateDirectory, repository: Repository, state: CanisterState, snapshot: SnapshotState, deep: bool
) -> Iterator[Problem]:
    entry = directory.entry(snapshot)
    if entry is None:
        return  # not saved yet
    name = f"snapshot {snapshot.id.hex()}"
    if deep:
        known = snapshot if snapshot.damage is None else None
        for difference in verify.on_disk(repository, entry, known, verify.Reading()):
            yield Problem(f"{name}: {difference.part}", difference.why, state.id)
        return
    try:
        manifest = repository.manifest(entry)
        for digest in manifest.modules:
            repository.module(digest)
        for key in manifest.memory_keys:
            repository.objects.keys(key)
    except StateCorrupt as error:
        yield Problem(name, str(error), state.id)


def _torn(objects: Objects) -> dict[Path, StateCorrupt]:
    assert objects.packs is not None  # read
    return objects.torn


def _packs(objects: Objects) -> Iterator[Problem]:
    """Check every node of every pack, and the bytes below the blocks."""
    for pack in objects.packs:
        for kind in ("node", "delta"):
            for key in pack.columns[kind].keys:
                try:
                    keys = objects.keys(key)
                    if len(keys) == PAGES_PER_BLOCK * KEY:
                        objects.block(Node(1, keys))
                except StateCorrupt as error:
                    yield Problem(f"pack {pack.path.name}", str(error))


def _modules(directory: Path) -> Iterator[Problem]:
    for file in sorted(directory.iterdir()):
        if DIGEST.fullmatch(file.name) and hashlib.sha256(file.read_bytes()).hexdigest() != file.name:
            yield Problem(f"module {file.name}", f"{file} contradicts its name, which is its SHA-256")

"""The checksum of a snapshot: the root of a hash tree, so that it costs what changed since the last one.

Leaf: BLAKE3 of a Wasm page (64 KiB). Node: BLAKE3 of 256 children of 32 bytes. Anything that holds only zeros is 32
zero bytes and is neither read nor stored, so that a sparse memory costs what it holds. The root of a memory covers the
top level and the size. Keys of BLAKE3's derive mode keep leaves, nodes and roots apart.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from itertools import pairwise

import blake3

from sandbox.limits import WASM_PAGE
from sandbox.memory import Image, Memory
from sandbox.state import SnapshotState

_FAN = 256
_ZERO = bytes(32)
_ZERO_PAGE = bytes(WASM_PAGE)
_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Tree:
    """Hashes of one image: level 0 are the pages, missing entries are zero."""

    image: weakref.ref[Image]
    levels: tuple[dict[int, bytes], ...]
    size: int

    @property
    def root(self) -> bytes:
        """Covers every byte and the size."""
        top = self.levels[-1]
        body = b"".join(k.to_bytes(8, "big") + top[k] for k in sorted(top))
        return _hash("memory", self.size.to_bytes(8, "big") + body)


_latest: weakref.WeakKeyDictionary[Memory, Tree] = weakref.WeakKeyDictionary()
"""The newest tree of each memory: where the next one starts from while its image lives."""


def tree(image: Image) -> Tree:
    """The hash tree of an image; only pages changed since the memory's last tree are read."""
    known = _latest.get(image.memory)
    before = known.image() if known is not None else None
    if known is not None and before is not None:
        levels = tuple(dict(level) for level in known.levels)
        runs = image.changed_since(before)
        grown = (min(known.size, image.size), max(known.size, image.size))
        pages = _pages([*runs, (grown[0], grown[1] - grown[0])] if known.size > image.size else runs)
    else:
        levels = tuple({} for _ in range(_LEVELS))
        pages = _pages(image.extents())
    _update(image, levels, pages)
    result = Tree(weakref.ref(image), levels, image.size)
    _latest[image.memory] = result
    return result


def snapshot_checksum(snapshot: SnapshotState) -> bytes:
    """32 bytes that cover every byte and every field of a snapshot."""
    label = _optional(None if snapshot.label is None else snapshot.label.encode())
    parts = (
        snapshot.id,
        bytes(snapshot.canister_id),
        label,
        snapshot.taken_at.to_bytes(8, "big"),
        snapshot.canister_version.to_bytes(8, "big"),
        _module(snapshot),
        snapshot.globals,
        tree(snapshot.heap).root,
        tree(snapshot.stable).root,
        snapshot.certified_data,
        _optional(None if snapshot.global_timer is None else snapshot.global_timer.to_bytes(8, "big")),
        _optional(None if snapshot.low_memory_hook is None else snapshot.low_memory_hook.encode()),
        b"".join(sorted(snapshot.chunks)),
        *((b"via hooks",) if snapshot.via_hooks else ()),
    )
    return _hash("snapshot", b"".join(len(part).to_bytes(8, "big") + part for part in parts))


def _module(snapshot: SnapshotState) -> bytes:
    """The module's SHA-256; of an upload, whose module may still change, everything that stands in for it."""
    upload = snapshot.upload
    if upload is None:
        return b"" if snapshot.code is None else snapshot.code.hash
    values = b"".join(kind.encode() + bits.to_bytes(16, "big") for kind, bits in upload.globals)
    return tree(upload.module).root + upload.module_size.to_bytes(8, "big") + values


def _optional(value: bytes | None) -> bytes:
    return b"\0" if value is None else b"\1" + value


def memory_checksum(memory: Memory) -> bytes:
    """The root over a memory's present bytes."""
    return tree(memory.image()).root


def _pages(runs: list[tuple[int, int]]) -> set[int]:
    """The Wasm pages that these byte ranges touch."""
    return {
        page
        for offset, length in runs
        if length > 0
        for page in range(offset // WASM_PAGE, (offset + length - 1) // WASM_PAGE + 1)
    }


def _update(image: Image, levels: tuple[dict[int, bytes], ...], pages: set[int]) -> None:
    changed = pages
    for page in pages:
        inside = page * WASM_PAGE < image.size
        _set(levels[0], page, _leaf(image.read(page * WASM_PAGE, WASM_PAGE)) if inside else _ZERO)
    for below, level in pairwise(levels):
        changed = {index // _FAN for index in changed}
        for index in changed:
            children = [below.get(k, _ZERO) for k in range(index * _FAN, (index + 1) * _FAN)]
            _set(level, index, _hash("node", b"".join(children)) if any(c != _ZERO for c in children) else _ZERO)


def _leaf(page: bytes) -> bytes:
    return _ZERO if page == _ZERO_PAGE else _hash("page", page)


def _set(level: dict[int, bytes], index: int, digest: bytes) -> None:
    if digest == _ZERO:
        level.pop(index, None)
    else:
        level[index] = digest


def _hash(purpose: str, data: bytes) -> bytes:
    return blake3.blake3(
        data, derive_key_context=f"canister-sandbox 2026 snapshot checksum {purpose}", max_threads=1
    ).digest()

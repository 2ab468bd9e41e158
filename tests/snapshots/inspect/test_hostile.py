"""Whatever the bytes are, the decoders answer or raise their own error, soon and without much memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.snapshots.inspect import Hints, InspectError, Plain
from sandbox.snapshots.inspect.motoko.tree import WHOLE, DecodeLimits
from tests.conftest import sandbox_of
from tests.snapshots.inspect.images import (
    Sparse,
    everything,
    hints,
    motoko_people,
    motoko_region,
    new,
    rust_people,
    whole,
)


@cache
def graph_copy(keep: DecodeLimits) -> tuple[bytes, Hints]:
    canister = new("vars_v1.enhanced")
    canister.call("fill")
    found = sandbox_of(canister).snapshots.inspect(canister.take_snapshot(via_hooks=True).id).stable
    return whole(found), Hints(hints(canister).metadata, keep=keep)


IMAGES: dict[str, Callable[[], tuple[bytes, Hints | None]]] = {
    "rust": lambda: (rust_people(), None),
    "variables": motoko_people,
    "regions": lambda: (motoko_region("classical")[1], motoko_region("classical")[2]),
    "graph copy": lambda: graph_copy(DecodeLimits()),
    "whole graph copy": lambda: graph_copy(WHOLE),
    "running": lambda: (motoko_region("enhanced")[0], motoko_region("enhanced")[2]),
}
MAGICS = (
    b"MGR\1",
    b"BTR\1",
    b"BTR\2",
    b"SVC\1",
    b"SMH\1",
    b"SCL\1",
    b"GLI\1",
    b"GLD\1",
    b"MOREGION",
    b"\x20\0\0\0DIDL",
)
QUIET = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@cache
def used(name: str) -> list[int]:
    """Where an image holds data, in steps of 64 bytes."""
    image, _ = IMAGES[name]()
    return [at for at in range(0, len(image), 64) if image[at : at + 64] != bytes(64)]


class Flipped:
    """An image with other bytes at a few places."""

    def __init__(self, name: str, changes: dict[int, int]) -> None:
        self.image, _ = IMAGES[name]()
        self.places = used(name)
        self.changes = changes
        self.size = len(self.image)

    def read(self, offset: int, length: int) -> bytes:
        data = bytearray(self.image[offset : offset + length])
        for at, value in self.changes.items():
            if offset <= at < offset + length:
                data[at - offset] ^= value
        return bytes(data)

    def extents(self) -> list[tuple[int, int]]:
        return [(at, 64) for at in self.places]


@pytest.mark.parametrize("name", IMAGES)
@QUIET
@given(seed=st.integers(0, 1 << 32), count=st.integers(1, 8))
def test_flipped_bytes_are_answered_or_refused(name: str, seed: int, count: int) -> None:
    chance = random.Random(seed)
    changes = {chance.choice(used(name)) + chance.randrange(64): chance.randrange(1, 256) for _ in range(count)}
    with suppress(InspectError):
        everything(Flipped(name, changes), IMAGES[name]()[1])


@QUIET
@given(st.sampled_from(MAGICS), st.binary(max_size=4000), st.sampled_from([0, 65536, 131072]))
def test_random_bytes_behind_a_magic_are_answered_or_refused(magic: bytes, body: bytes, size: int) -> None:
    with suppress(InspectError):
        everything(Plain((magic + body).ljust(size, b"\0")), Hints(enhanced=False))


@QUIET
@given(st.sampled_from(MAGICS), st.binary(max_size=200))
def test_a_memory_of_500_gib_is_refused_as_soon(magic: bytes, body: bytes) -> None:
    size = 500 << 30
    with suppress(InspectError):
        everything(Sparse(size, {0: magic + body, size - 40: body[:40].ljust(40, b"\2")}))


@QUIET
@given(st.text(max_size=400))
def test_any_text_may_stand_for_stable_types(text: str) -> None:
    image, _ = motoko_people()
    everything(Plain(image), Hints({"motoko:stable-types": text.encode("utf-8", "replace")}))

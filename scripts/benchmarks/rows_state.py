"""Rows about state: pages, snapshots, compiled code, directories, Candid."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import Row, alone, alternate, once
from rows_calls import GIB, installed

from sandbox import Sandbox, engine
from sandbox.candid import decode, encode
from sandbox.memory import Memory, Pool, View

MIB = 1 << 20
PAGE = 4096


def filled(size: int) -> Memory:
    """A memory of which every page holds something."""
    memory = Pool().memory(size)
    piece = os.urandom(MIB)
    for offset in range(0, size, MIB):
        memory.write(offset, piece)
    return memory


def scattered(size: int, pages: int) -> list[int]:
    """Offsets of pages all over a memory, always the same ones."""
    return [page * PAGE for page in random.Random(1).sample(range(size // PAGE), pages)]


def write(view: View, offsets: list[int]) -> None:
    for offset in offsets:
        view.write(offset, b"changed!")


def pages(quick: bool) -> Iterator[Row]:
    """Commit and rollback of k dirty pages: the same for a small and a large heap."""
    small, large = filled(6 * MIB), filled(GIB)
    views = [memory.view(reserve=4 * GIB) for memory in (large, small)]
    rounds = 11 if quick else 41
    for count in (1, 5, 50):
        offsets = [scattered(memory.size, count) for memory in (large, small)]
        for name in ("commit", "rollback"):
            big, little = (
                lambda view=view, at=at, end=name: (write(view, at), getattr(view, end)())
                for view, at in zip(views, offsets, strict=True)
            )
            ours, reference = alternate(big, little, 20, rounds)
            yield Row(f"{name} of {count} pages, 1 GiB heap", ours, reference, "6 MiB heap", 1.25)


def snapshots(quick: bool) -> Iterator[Row]:
    """Take, change 1 %, load, against copying the whole."""
    memory = filled(GIB)
    view = memory.view(reserve=4 * GIB)
    count = GIB // PAGE // 100
    copied = once(lambda: memory.fork())
    for kind, offsets in (
        ("scattered", scattered(GIB, count)),
        ("together", [k * PAGE for k in range(count)]),
    ):
        image = memory.image()
        write(view, offsets)
        committed = once(view.commit)
        restored = once(lambda image=image: memory.restore(image))
        view.rollback()
        yield Row(f"commit of 1 % of 1 GiB, {kind}", committed, copied, "copying 1 GiB", note="image alive")
        yield Row(f"load of a snapshot, 1 % changed, {kind}", restored, copied, "copying 1 GiB")
    yield Row("take a snapshot of 1 GiB", alone(memory.image, 100, 11), copied, "copying 1 GiB")


def compiled_code(quick: bool) -> Iterator[Row]:
    """The second start of a 3 MB module, from the cache."""
    module = large_module(1_200 if quick else 9_000)
    with tempfile.TemporaryDirectory() as directory:
        runtime, where = engine.runtime(), Path(directory)
        first = once(lambda: runtime.compile(module, where))
        second = alone(lambda: runtime.compile(module, where), 1, 5)
    note = f"{len(module) / 1e6:.1f} MB; {first / second:,.0f} times faster than compiling"
    yield Row("second start from the code cache", second, first, "first start", 1 / 20, note)


def large_module(functions: int) -> bytes:
    """A module of many functions that all compute something."""
    import wasmtime

    body = "".join(
        f"(local.set $x (i64.xor (i64.mul (local.get $x) (i64.const {k * 2654435761 + 1})) (i64.const {k})))"
        for k in range(25)
    )
    text = "".join(f"(func $f{n} (param $x i64) (result i64) {body} (local.get $x))" for n in range(functions))
    return bytes(wasmtime.wat2wasm(f"(module {text})"))


def directories(quick: bool) -> Iterator[Row]:
    """A sandbox on disk."""
    with tempfile.TemporaryDirectory() as directory:
        with Sandbox.open(directory) as sandbox:
            name = installed(sandbox).id
        yield Row("open and close a state directory", alone(lambda: Sandbox.open(directory).close(), 5, 5))
        with Sandbox.open(directory) as sandbox:
            counter = sandbox.canister(name)
            yield Row("an update and save, on the disk", alone(lambda: (counter.update("inc"), sandbox.save()), 3, 7))


def candid(quick: bool) -> Iterator[Row]:
    """10,000 records; the aim is 170 ms to decode."""
    types = "(vec record { id : nat; name : text; email : text; age : nat; active : bool; tags : vec text })"
    record = {"name": "Ada", "email": "ada@example.org", "age": 36, "active": True, "tags": ["a", "b"]}
    values = [[{"id": k, **record} for k in range(10_000)]]
    data = encode(types, values)
    yield Row("Candid: decode 10,000 records", alone(lambda: decode(types, data), 1, 7), 0.170, "the aim, 170 ms", 1)
    yield Row("Candid: encode 10,000 records", alone(lambda: encode(types, values), 1, 7))

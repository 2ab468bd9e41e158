"""Rows about starting, keeping and encoding: compiled code, state directories, Candid."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sandbox import Sandbox
from sandbox.candid import decode, encode
from scripts.benchmarks import guests
from scripts.benchmarks.measure import Timing, alone, compare
from scripts.benchmarks.row import Row, alone_within, faster, versus

_FUNCTIONS = 8_200  # about 3 MB
_RECORDS = 10_000
_TYPE = "(vec record { id : nat; name : text; email : text; age : nat; active : bool; tags : vec text })"

_START = """
import sys, time
from sandbox import Sandbox
canister = Sandbox().create_canister()
module = open(sys.argv[1], "rb").read()
cpu, wall = time.process_time(), time.perf_counter()
canister.install(module)
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


def cached_code(seconds: float) -> Iterator[Row]:
    """The second start of a 3 MB module, in a new process, with its machine code in the cache."""
    module = guests.large_module(_FUNCTIONS)
    firsts: list[Timing] = []
    laters: list[Timing] = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "module.wasm")
        path.write_bytes(module)
        for run in range(1 if seconds < 1 else 3):
            cache = Path(directory, f"cache{run}")
            firsts.append(_start(path, cache))
            laters += [_start(path, cache) for _ in range(3)]
    first, second = _median(firsts), _median(laters)
    note = f"{len(module) / 1e6:.1f} MB, {_FUNCTIONS:,} functions, new process"
    yield faster("installation from the code cache", second, first, "first start", 20, note)


def _start(module: Path, cache: Path) -> Timing:
    """Install `module` in a process of its own."""
    environment = {**os.environ, "CANISTER_SANDBOX_CACHE": str(cache)}
    run = [sys.executable, "-c", _START, str(module)]
    printed = subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout
    wall, cpu = map(float, printed.split())
    return Timing(wall, cpu)


def _median(timings: list[Timing]) -> Timing:
    return Timing(statistics.median(t.wall for t in timings), statistics.median(t.cpu for t in timings))


def directory(seconds: float) -> Iterator[Row]:
    """A sandbox on disk."""
    with tempfile.TemporaryDirectory() as place:
        with Sandbox.open(place) as sandbox:
            name = guests.counter(sandbox).id
        yield alone_within("open and close a state directory", alone(lambda: Sandbox.open(place).close(), seconds))
        with Sandbox.open(place) as sandbox:
            kept = sandbox.canister(name)
            in_memory = guests.counter(Sandbox())

            def update_and_save() -> None:
                kept.update("inc")
                sandbox.save()

            found = compare(update_and_save, lambda: in_memory.update("inc"), seconds)
            yield versus("an update and save, on disk", found, "update in memory")
            found = compare(lambda: kept.update("inc"), lambda: in_memory.update("inc"), seconds)
            yield versus("an update without save, on disk", found, "update in memory")


def candid(seconds: float) -> Iterator[Row]:
    """10,000 records."""
    record = {"name": "Ada", "email": "ada@example.org", "age": 36, "active": True, "tags": ["a", "b"]}
    values = [[{"id": k, **record} for k in range(_RECORDS)]]
    data = encode(_TYPE, values)
    size = f"{len(data) / 1e6:.1f} MB"
    decoded = alone(lambda: decode(_TYPE, data), seconds)
    yield alone_within(f"Candid: decode {_RECORDS:,} records", decoded, 0.170, size)
    yield alone_within(f"Candid: encode {_RECORDS:,} records", alone(lambda: encode(_TYPE, values), seconds))

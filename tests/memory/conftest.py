"""Every test that takes `pool` runs over every way to find dirty pages that this machine has, on disk and off it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.errors import Unsupported
from sandbox.memory import Pool, Run, host
from tests.conftest import STRATEGIES


def make(strategy: str, directory: Path | None) -> Pool:
    """A pool, or a skipped test where the machine does not offer the strategy."""
    try:
        return Pool(directory, strategy)
    except Unsupported as error:
        pytest.skip(str(error))


@pytest.fixture(params=[f"{strategy}-{place}" for strategy in STRATEGIES for place in ("anonymous", "files")])
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Pool:
    strategy, place = request.param.split("-")
    return make(strategy, tmp_path / "memories" if place == "files" else None)


@pytest.fixture(params=STRATEGIES)
def arena(request: pytest.FixtureRequest) -> Pool:
    """A pool without a directory."""
    return make(request.param, None)


@pytest.fixture
def disk(tmp_path: Path) -> Pool:
    """A pool with a directory."""
    return Pool(tmp_path / "memories")


@pytest.fixture(autouse=True)
def mappings(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, int]]:
    """Every change of a mapping must lie inside address space that is reserved at that moment; otherwise the process
    dies later, in some other place. Gives the reservations: address -> length."""
    reserved: dict[int, int] = {}
    wrong: list[str] = []
    reserve, unmap, private, zeros, drop = (
        host.reserve,
        host.unmap,
        host.map_private,
        host.map_zeros,
        host.drop_private,
    )

    def check(what: str, address: int, length: int) -> None:
        if length and not any(base <= address <= address + length <= base + n for base, n in reserved.items()):
            wrong.append(what)
            raise AssertionError(f"{what} of {length} bytes at {address:#x}, outside of every reservation")

    def checked_reserve(length: int) -> int:
        address = reserve(length)
        reserved[address] = length
        return address

    def checked_unmap(address: int, length: int) -> None:
        if address not in reserved:
            return  # made by another test
        if reserved.pop(address) != length:
            wrong.append("unmapping a part")
        unmap(address, length)

    def checked_private(address: int, length: int, fd: int, offset: int) -> None:
        check("mapping", address, length)
        private(address, length, fd, offset)

    def checked_zeros(address: int, length: int) -> None:
        check("zeros", address, length)
        zeros(address, length)

    def checked_drop(base: int, runs: list[Run]) -> None:
        for offset, length in runs:
            check("dropping", base + offset, length)
        drop(base, runs)

    monkeypatch.setattr(host, "reserve", checked_reserve)
    monkeypatch.setattr(host, "unmap", checked_unmap)
    monkeypatch.setattr(host, "map_private", checked_private)
    monkeypatch.setattr(host, "map_zeros", checked_zeros)
    monkeypatch.setattr(host, "drop_private", checked_drop)
    yield reserved
    assert not wrong

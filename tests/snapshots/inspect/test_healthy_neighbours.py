"""Whatever bytes are flipped in one node of a real map, the entries of all other nodes are still shown."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sandbox import Sandbox
from sandbox.snapshots.inspect import Plain, decode
from sandbox.snapshots.inspect.source import Damaged, Damages
from sandbox.snapshots.inspect.stable_structures.btree import BTree, read_btree
from sandbox.snapshots.inspect.stable_structures.nodes import read_node
from tests.conftest import fixture
from tests.snapshots.inspect.images import part, stable, whole

QUIET = settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MEMORIES = (0, 1, 2, 4, 5, 6)
"""Maps of the fixture: both layouts, overflow pages, keys of fixed size and of any."""


@cache
def image(memory: int) -> bytes:
    canister = Sandbox().create_canister()
    canister.install(fixture("structures_rs"), {"managed": None})
    canister.call("fill", 250)
    return whole(part(decode(stable(canister)), f"memory {memory}").data)


Entry = tuple[bytes, bytes]


@cache
def leaves(memory: int) -> dict[int, list[Entry]]:
    """The entries of every node without children."""
    tree = read_btree(Plain(image(memory)))
    found = {}
    for address in addresses(tree):
        node = read_node(tree, address, Damages())
        if not node.children:
            found[address] = node_entries(tree, address)
    return found


def addresses(tree: BTree) -> list[int]:
    waiting, found = [tree.root], []
    while waiting:
        found.append(waiting.pop())
        waiting += read_node(tree, found[-1], Damages()).children
    return found


def node_entries(tree: BTree, address: int) -> list[Entry]:
    alone = replace(tree, root=address, length=read_node(tree, address, Damages()).entries)
    return [(whole(key), whole(value)) for key, value in alone.entries()]


def shown(data: bytes) -> tuple[list[Entry], tuple[str, ...]]:
    entries: list[Entry] = []
    try:
        for key, value in read_btree(Plain(data)).entries():
            entries.append((whole(key), whole(value)))
    except Damaged as error:
        return entries, error.damages
    return entries, ()


@pytest.mark.parametrize("memory", MEMORIES)
@QUIET
@given(data=st.data())
def test_a_damaged_leaf_withholds_nothing_of_other_nodes(memory: int, data: st.DataObject) -> None:
    raw = bytearray(image(memory))
    whole_map = shown(bytes(raw))[0]
    damaged = data.draw(st.sampled_from(sorted(leaves(memory))))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[damaged + data.draw(st.integers(0, 127))] ^= data.draw(st.integers(1, 255))
    entries, damages = shown(bytes(raw))
    inside = leaves(memory)[damaged]
    outside = {entry for entry in whole_map if entry not in inside}
    assert [entry for entry in entries if entry in outside] == [entry for entry in whole_map if entry in outside]
    if len(entries) < len(whole_map):
        assert any(f"{damaged:#x}" in text or "header says" in text for text in damages)

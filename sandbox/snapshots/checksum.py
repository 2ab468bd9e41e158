"""Checksums of snapshots and memories; see `store.checksum`."""

from sandbox.store.checksum import memory_checksum, snapshot_checksum
from sandbox.store.trees import tree

__all__ = ["memory_checksum", "snapshot_checksum", "tree"]

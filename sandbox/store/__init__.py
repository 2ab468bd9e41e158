"""State on disk: a sandbox in a directory, saved all or nothing; snapshots, write-once, with shared pages."""

from sandbox.pagestore.prune import Pruned
from sandbox.pagestore.restore import Patch, copied, restoration, showing
from sandbox.pagestore.stored_memory import Stored
from sandbox.store.directory import StateDirectory
from sandbox.store.repository import Entry, Repository
from sandbox.store.verify import Difference, Reading

__all__ = [
    "Difference",
    "Entry",
    "Patch",
    "Pruned",
    "Reading",
    "Repository",
    "StateDirectory",
    "Stored",
    "copied",
    "restoration",
    "showing",
]

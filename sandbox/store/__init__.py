"""What outlives the process: a sandbox in a directory, saved all or nothing; snapshots, shared and write-once."""

from sandbox.store.directory import StateDirectory
from sandbox.store.prune import Pruned
from sandbox.store.repository import Entry, Repository
from sandbox.store.restore import Patch, copied, restoration, showing
from sandbox.store.stored import Stored
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

"""What outlives the process: a sandbox in a directory, saved all or nothing; snapshots, shared and write-once."""

from sandbox.store.directory import StateDirectory
from sandbox.store.repository import Entry, Repository
from sandbox.store.restore import Patch, copied, restoration, showing
from sandbox.store.stored import Stored

__all__ = ["Entry", "Patch", "Repository", "StateDirectory", "Stored", "copied", "restoration", "showing"]

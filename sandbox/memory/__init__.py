"""Committed memories, private views of them, and every past state at the price of what changed.

`Pool` makes memories; `Memory` holds committed bytes; `View` is a copy-on-write mapping that a message writes; `Image`
is a past state; `PoolMark` takes a whole pool back. Bytes only: this package knows no Wasm.
"""

from sandbox.memory.committed import Image, Memory, View
from sandbox.memory.host import PAGE, Run
from sandbox.memory.journal import Journal
from sandbox.memory.pool import Pool
from sandbox.memory.readable import Readable
from sandbox.memory.write_barrier import Overwritten, PoolMark

__all__ = ["PAGE", "Image", "Journal", "Memory", "Overwritten", "Pool", "PoolMark", "Readable", "Run", "View"]

"""Looking inside a snapshot, offline, without running its code.

What is looked at are `Bytes`: a size, `read(offset, length)`, and `extents()` that say where data may be; nothing else
is read, so that a sparse memory costs its data. The bytes are the guest's and not trusted: what is wrong with them is
an `InspectError` that says what and where, and no input makes these functions hang, recurse deeply or ask for much
memory.

- `pages`, `picture`: what kind of data each page holds, as counts and as a picture
- `search`: texts in a memory, bytes in hexadecimal
- `globals`: what the module's globals are called and hold
- `decode`: the data structures in a stable memory: `ic-stable-structures` (`stable_*`), Motoko (`motoko_*`)
- `guess`: what bytes without a type probably mean
"""

from sandbox.snapshots.inspect.decode import Hints, decode
from sandbox.snapshots.inspect.model import Decoded, Part
from sandbox.snapshots.inspect.pages import Page, PageMap, page_map
from sandbox.snapshots.inspect.search import Found, hexdump, strings
from sandbox.snapshots.inspect.source import Bytes, InspectError, Plain

__all__ = [
    "Bytes",
    "Decoded",
    "Found",
    "Hints",
    "InspectError",
    "Page",
    "PageMap",
    "Part",
    "Plain",
    "decode",
    "hexdump",
    "page_map",
    "strings",
]

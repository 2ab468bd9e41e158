"""Inspect a snapshot offline, without running its code.

The input are `Bytes`: a size, `read(offset, length)`, and `extents()`, the runs that may hold data; only these are
read, so that a sparse memory costs its data. The bytes are the guest's and not trusted: malformed ones raise an
`InspectError` that says what and where, and no input makes these functions hang, recurse deeply or allocate much
memory.

- `pages`, `picture`: what kind of data each page holds, as counts and as a picture
- `search`: texts in a memory, bytes in hexadecimal
- `globals`: names, types and values of the module's globals
- `decode`: the data structures in a stable memory: `stable_structures` (of `ic-stable-structures`), `motoko`, Candid
- `formats`: the probable format of bytes without a type
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

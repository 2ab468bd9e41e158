"""The versions of Motoko's stable memory: the number in its last four bytes, and where the stable variables are.

Sources: dfinity/motoko `rts/motoko-rts/src/region.rs` (0 to 6); 7 and 8 are those of moc 1.10.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CANDID, GRAPH_COPY, IN_HEAP = "classical persistence", "graph copy", "enhanced orthogonal persistence"
VERSIONS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        0: (CANDID, "variables only"),
        1: (CANDID, "with stable memory"),
        2: (CANDID, "with regions"),
        3: (GRAPH_COPY, "without regions"),
        4: (GRAPH_COPY, "with regions"),
        5: (IN_HEAP, "without regions"),
        6: (IN_HEAP, "with regions"),
        7: (GRAPH_COPY, "without regions"),
        8: (GRAPH_COPY, "with regions"),
    }
)
"""The form of the saved variables, and what lies beside them."""


def form_of(version: int) -> str | None:
    """`CANDID`, `GRAPH_COPY` or `IN_HEAP`; None for a version of a later compiler, or for other bytes."""
    return VERSIONS.get(version, (None, ""))[0]

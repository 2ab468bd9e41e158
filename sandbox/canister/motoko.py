"""Enhanced orthogonal persistence of Motoko, which keeps data in the heap, and the copying of it to stable memory.

The compiler gives such modules two update methods for controllers (`dfinity/motoko` in its
`design/GraphCopyStabilization.md`). The first begins to copy all stable variables to the end of stable memory, message
by message; `canister_pre_upgrade` then finishes the copy. `canister_post_upgrade` of a module over a fresh heap finds
the copy there and reads it, as much as its own limits allow; the second method reads the rest.
"""

from __future__ import annotations

from sandbox.canister.module import CompiledModule
from sandbox.canister.motoko_versions import GRAPH_COPY, form_of
from sandbox.memory import Memory

STABILIZE = "__motoko_stabilize_before_upgrade"
DESTABILIZE = "__motoko_destabilize_after_upgrade"


def stabilizes(prepared: CompiledModule) -> bool:
    """Whether the module keeps its data in the heap and offers to write it to stable memory."""
    return prepared.facts.uses_enhanced_persistence and prepared.facts.methods.get(STABILIZE) == "update"


def to_destabilize(prepared: CompiledModule, stable: Memory) -> bool:
    """Whether stable memory may hold a copy that `canister_post_upgrade` reads in part, and the module has a method
    that reads the rest: `read_persistence_version` in `rts/motoko-rts/src/stable_mem.rs`.

    A version that is not known here and that the module accepts can only be a later form of the copy.
    """
    if prepared.facts.methods.get(DESTABILIZE) != "update" or not stable.size:
        return False
    first, last = stable.read(0, 4), stable.read(stable.size - 4, 4)
    return first == bytes(4) and form_of(int.from_bytes(last, "little")) in (GRAPH_COPY, None)

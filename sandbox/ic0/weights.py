"""Instructions that a system call counts besides the one that calls it: the replica's fixed part.

Source: `dfinity/ic` `rs/embedders/src/wasmtime_embedder/system_api_complexity.rs`, `overhead::new`. It adds 1 for
each byte that a call copies, and more for what is printed; here bytes count nothing. All else: `engine.metering`.
"""

from __future__ import annotations

from typing import Final

_USUAL: Final = 500
_OTHERS: Final = {
    "call_new": 1_500,
    "call_perform": 5_000,
    "debug_print": 100,
    "is_controller": 1_000,
    "performance_counter": 200,
}


def system_call(name: str) -> int:
    """Instructions that a call of this function of `ic0` counts."""
    return _OTHERS.get(name, _USUAL)

"""The rows by the names under which they can be asked for, in the order of the table."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Final

from scripts.benchmarks import (
    rows_calls,
    rows_code,
    rows_diff,
    rows_files,
    rows_growth,
    rows_http,
    rows_keep,
    rows_matrix,
    rows_memory,
    rows_scenario,
    rows_system,
)
from scripts.benchmarks.row import Row

GROUPS: Final[dict[str, Callable[[float], Iterator[Row]]]] = {
    "update": rows_calls.update,
    "query": rows_calls.query,
    "typed": rows_calls.typed,
    "profile": rows_calls.profile,
    "anchor": rows_calls.anchor,
    "isolation": rows_calls.isolation,
    "record": rows_calls.record,
    "stable": rows_calls.stable,
    "pages": rows_memory.pages,
    "snapshot": rows_memory.snapshot,
    "persist": rows_keep.persist,
    "diff": rows_diff.difference,
    "code": rows_code.cached_code,
    "between": rows_system.between,
    "timer": rows_system.timer,
    "many": rows_system.many,
    "certificate": rows_system.certificate,
    "disk": rows_code.directory,
    "growth": rows_growth.growth,
    "files": rows_files.files,
    "served": rows_http.served,
    "candid": rows_code.candid,
    "scenario": rows_scenario.scenario,
    "matrix": rows_matrix.matrix,
}
"""Each takes the seconds that one comparison may last."""


def rows_of(name: str, seconds: float) -> list[Row]:
    """Measure the rows of one group; `RuntimeError`, which any process can be handed, if something is broken."""
    try:
        return list(GROUPS[name](seconds))
    except Exception as error:
        raise RuntimeError(f"{type(error).__name__}: {error}\n{traceback.format_exc()}") from None

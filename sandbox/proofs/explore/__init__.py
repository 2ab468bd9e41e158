"""Calls made up from a Candid interface: what to call, what it changes, and the fewest calls that show something.

Needs hypothesis, the extra `canister-sandbox[explore]`. Knows no upgrade: a `Subject` says how to call and what
changed.
"""

from __future__ import annotations

import sys

if "hypothesis" not in sys.modules:  # who imports it first decides where it keeps its files: not where a command runs
    from hypothesis.configuration import set_hypothesis_home_dir

    from sandbox.engine import cache

    set_hypothesis_home_dir(cache.directory().with_name("hypothesis"))

from sandbox.proofs.explore.sequences import (
    USERS,
    Exploration,
    Sequence,
    Subject,
    combine,
    explore,
    succeeds,
    useful_queries,
)
from sandbox.proofs.explore.smallest import smallest

__all__ = [
    "USERS",
    "Exploration",
    "Sequence",
    "Subject",
    "combine",
    "explore",
    "smallest",
    "succeeds",
    "useful_queries",
]

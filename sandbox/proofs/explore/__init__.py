"""Generated calls of a Candid interface: their arguments, their effects, and the smallest sequence with an effect.

Needs hypothesis, the extra `canister-sandbox[explore]`. Independent of upgrades: a `Subject` makes the calls and
reports changes.
"""

from __future__ import annotations

import sys

if "hypothesis" not in sys.modules:  # its files must not be in the working directory of a command
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

"""The history of an edited snapshot in a file: ours comes back, another's is kept in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.snapshots.portable.history import history_of, steps_of
from sandbox.state import Derived

STEPS = st.lists(
    st.builds(
        Derived,
        st.binary(max_size=40),
        st.binary(max_size=40),
        st.integers(0, 2**64 - 1),
        st.lists(st.text(), max_size=3).map(tuple),
    ),
    max_size=3,
)


@given(steps=STEPS)
def test_ours_comes_back(steps: list[Derived]) -> None:
    assert steps_of(history_of(steps)) == tuple(steps)


OURS = {"parent": "00", "checksum": "11", "at": 3, "edits": ["x"]}


@pytest.mark.parametrize(
    "item",
    [
        {"derived": "by hand"},
        OURS | {"parent": "0"},
        OURS | {"at": -1},
        OURS | {"edits": [b"bytes"]},
        OURS | {"edits": ["\ud800"]},
        OURS | {"more": 1},
    ],
)
def test_what_is_not_ours_becomes_words(item: dict[str, Any]) -> None:
    [step] = steps_of((item,))
    assert (step.parent, step.checksum, step.at) == (b"", b"", 0)
    [words] = step.edits
    assert all(name in words for name in item)

"""A Candid message at the start of stable memory."""

from __future__ import annotations

from sandbox.snapshots.inspect import Hints, Plain, decode
from sandbox.snapshots.inspect.motoko.tree import DecodeLimits
from sandbox.snapshots.inspect.value import Node
from tests.snapshots.inspect.images import hints, new, part, plain, saved


def test_what_stable_save_wrote_is_what_the_canister_answers() -> None:
    canister = new("people_heap_rs_v1")
    canister.call("fill", 200)
    canister.call("set_age", 3, 77)
    people, edits = canister.call("list", 0, 500), canister.call("edit_count")
    about = Hints(hints(canister).metadata, keep=DecodeLimits(items=1000))
    decoded = decode(Plain(saved(canister)), about)
    assert decoded.layout == "Candid"
    rows = list(part(decoded, "values").rows())
    [kept, counted] = [plain(row[1]) for row in rows if isinstance(row[1], Node)]
    assert [{"id": n, **person} for n, person in enumerate(kept)] == people
    assert counted == edits == 1

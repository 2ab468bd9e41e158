"""Random call graphs: what some canisters do to each other, as data, and as programs of the universal guest.

Programs leave tracks that say what happened: `done` at the end of a message, `asked` at the end of a replicated query,
`trapping` before a trap, `cleaning` and `cleaned` around a cleanup, `burned N` when cycles are burned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

from sandbox import Principal
from tests.management.methods import encoded
from tests.spec.guest import *

CANISTERS = 3
GROW_AT = 7
DEPLOYMENTS = {"upgrade": 8, "reinstall": 8 + CANISTERS}
"""From these slots on each canister keeps the arguments of `install_code` for the canister of that number."""
End = Literal["reply", "reject", "trap", "return"]
Where = Literal["update", "callback", "cleanup", "query", "composite"]


@dataclass(frozen=True)
class Change:
    """Writes to everything that a message can write to."""

    value: int


@dataclass(frozen=True)
class Accept:
    cycles: int


@dataclass(frozen=True)
class Burn:
    cycles: int


@dataclass(frozen=True)
class Give:
    """Cycles to a canister, an old or a new one, by the management canister."""

    callee: int | None
    cycles: int


@dataclass(frozen=True)
class Manage:
    """One canister manages another, or itself."""

    callee: int
    method: Literal["stop_canister", "start_canister", "uninstall_code", "delete_canister", "upgrade", "reinstall"]


@dataclass(frozen=True)
class Ask:
    """A call of another canister, or of oneself."""

    callee: int
    body: Body
    on_reply: Body
    on_reject: Body
    on_cleanup: Body | None
    cycles: int
    timeout: int | None
    query: bool


@dataclass(frozen=True)
class Body:
    """What a message does, and how it ends."""

    steps: tuple[Step, ...]
    end: End


Step = Change | Accept | Burn | Give | Manage | Ask


_CYCLES = st.sampled_from([0, 1, 1000, 10**9, 3 * 10**9])
_PLAIN = st.one_of(
    st.builds(Change, st.integers(0, 255)),
    st.builds(Accept, _CYCLES),
    st.builds(Burn, _CYCLES),
    st.builds(Give, st.one_of(st.none(), st.integers(0, CANISTERS - 1)), _CYCLES),
)
_ALL = ["stop_canister", "start_canister", "uninstall_code", "delete_canister", "upgrade", "reinstall"]
_MANAGE = st.builds(
    Manage,
    st.integers(0, CANISTERS - 1),
    st.sampled_from([*_ALL, "start_canister", "reinstall"]),
)
_ENDS = st.sampled_from(["reply", "reply", "reject", "trap", "return"])
_LEAVES = st.builds(Body, st.lists(_PLAIN, max_size=2).map(tuple), _ENDS)


def _larger(smaller: st.SearchStrategy[Body]) -> st.SearchStrategy[Body]:
    asks = st.builds(
        Ask,
        callee=st.integers(0, CANISTERS - 1),
        body=smaller,
        on_reply=smaller,
        on_reject=smaller,
        on_cleanup=st.one_of(st.none(), _LEAVES),
        cycles=_CYCLES,
        timeout=st.one_of(st.none(), st.integers(0, 20)),
        query=st.booleans(),
    )
    return st.builds(
        Body, st.lists(st.one_of(_PLAIN, asks, asks, asks, _MANAGE), min_size=1, max_size=3).map(tuple), _ENDS
    )


BODIES: st.SearchStrategy[Body] = st.recursive(_LEAVES, _larger, max_leaves=10)
GRAPHS = st.lists(st.tuples(st.integers(0, CANISTERS - 1), _larger(BODIES)), min_size=1, max_size=3)
"""Users' calls that are under way together: which canister, and what it does."""


def program(body: Body, canisters: Sequence[Guest], where: Where = "update") -> Do:
    """The program of a body; what cannot be done where it runs is left out."""
    done = debug_print("cleaning") if where == "cleanup" else Do()
    for step in body.steps:
        done += _step(step, canisters, where)
    end = body.end
    if end == "trap":
        return done + debug_print("trapping") + trap("on purpose")
    if where == "cleanup":
        return done + debug_print("cleaned")
    answer = {"reply": do("msg_reply"), "reject": reject("no"), "return": Do()}[end]
    return done + answer + debug_print("done" if where != "query" else "asked")


def _step(step: Step, canisters: Sequence[Guest], where: Where) -> Do:
    if isinstance(step, Change):
        return _change(step.value, where)
    if isinstance(step, Accept):
        return Do() if where in ("cleanup", "composite") else evaluate(accept(step.cycles))
    if isinstance(step, Burn) and where == "composite":
        return Do()
    if isinstance(step, Burn):
        return evaluate(burn(step.cycles)) + debug_print(f"burned {step.cycles}")
    if where in ("cleanup", "query"):
        return Do()
    if isinstance(step, Ask):
        return _ask_query(step, canisters) if where == "composite" else _ask(step, canisters)
    if where == "composite":
        return Do()
    return _give(step, canisters) if isinstance(step, Give) else _manage(step, canisters)


def _change(value: int, where: Where) -> Do:
    letter = bytes([value])
    done = set_slot(6, slot(6) + letter)
    done += do("global_timer_set", 1 << 62 | value) if where not in ("query", "composite") else Do()
    done += evaluate(stable_grow(1)) + stable_write(value, letter)
    done += evaluate(memory_grow(1)) if value % GROW_AT == 1 else Do()
    return done + (do("certified_data_set", letter) if where in ("update", "callback") else Do())


def _give(step: Give, canisters: Sequence[Guest]) -> Do:
    if step.callee is None:
        method, arg = "create_canister", encoded("create_canister", {})
    else:
        method, arg = "deposit_cycles", encoded("deposit_cycles", {"canister_id": canisters[step.callee].id})
    return _call_management(method, arg, step.cycles)


def _manage(step: Manage, canisters: Sequence[Guest]) -> Do:
    if step.method in DEPLOYMENTS:
        return _call_management("install_code", slot(DEPLOYMENTS[step.method] + step.callee), 0)
    return _call_management(step.method, encoded(step.method, {"canister_id": canisters[step.callee].id}), 0)


def _call_management(method: str, arg: B, cycles: int) -> Do:
    silent = debug_print("done")
    return call(
        Principal.management(), arg, method=method, on_reply=silent, on_reject=silent, cycles=cycles, refused=Do()
    )


def _ask(step: Ask, canisters: Sequence[Guest]) -> Do:
    return call(
        canisters[step.callee],
        program(step.body, canisters, "query" if step.query else "update"),
        method="query" if step.query else "update",
        on_reply=program(step.on_reply, canisters, "callback"),
        on_reject=program(step.on_reject, canisters, "callback"),
        on_cleanup=None if step.on_cleanup is None else program(step.on_cleanup, canisters, "cleanup"),
        cycles=step.cycles,
        timeout=step.timeout,
        refused=Do(),
    )


def _ask_query(step: Ask, canisters: Sequence[Guest]) -> Do:
    """The same in a composite query: nothing but queries is called, and nothing is given."""
    return call(
        canisters[step.callee],
        program(step.body, canisters, "composite"),
        method="query" if step.query else "composite_query",
        on_reply=program(step.on_reply, canisters, "composite"),
        on_reject=program(step.on_reject, canisters, "composite"),
        on_cleanup=None if step.on_cleanup is None else program(step.on_cleanup, canisters, "composite"),
        refused=Do(),
    )

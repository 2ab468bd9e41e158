"""A profile adds up to the instructions of what was executed, to the digit, and changes nothing."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import CallRejected, CallResult, Canister, Profile, Sandbox
from sandbox.api import runtime_of
from sandbox.api.runtime import SubnetRuntime
from sandbox.api.typed import EMPTY_ARGUMENT
from sandbox.canister import instances
from sandbox.canister.module import facts_of
from sandbox.execution import ExecutionEnvironment, Input
from sandbox.profile import FrameKind
from sandbox.wasm import profiling
from tests.conftest import FEW_INSTRUCTIONS, FIXTURES, fixture, guest, sandbox_of, wat

Paths = dict[tuple[str, ...], tuple[int, int]]
"""Call path below the entry point → (instructions of its own, calls)."""


def paths(profile: Profile) -> Paths:
    """The paths of a profile, its entry points among them."""
    tree = profile.tree
    names: list[tuple[str, ...]] = [()]
    for place in range(1, len(tree.frames)):
        names.append((*names[tree.parents[place]], tree.frames[place].name))
    return {names[k]: (tree.own[k], tree.calls[k]) for k in range(1, len(names))}


@contextmanager
def executed(runtime: SubnetRuntime) -> Iterator[list[int]]:
    """The instructions of each input within."""
    counts: list[int] = []

    def count(_: Input, env: ExecutionEnvironment) -> None:
        counts.append(env.executed)

    runtime.on_step = count
    yield counts
    runtime.on_step = None


def profiled(canister: Canister, method: str) -> tuple[CallResult, Paths]:
    """The result of an update, also of one that trapped, and its paths; their sum is that of the result."""
    with sandbox_of(canister).profile() as profile:
        try:
            result = canister.update(method)
        except CallRejected as error:
            result = error.result
    assert result.profile is not None
    assert result.profile.instructions == result.instructions == profile.instructions
    assert paths(result.profile) == paths(profile)
    return result, paths(profile)


CALLS = """
  (func $leaf nop)
  (func $twice (call $leaf) (call $leaf))
  (func (export "canister_update go") (call $twice) (call $leaf) (call $msg_reply))"""


def test_instructions_of_each_path_are_those_of_its_instructions_and_system_calls(
    install: Callable[..., Canister],
) -> None:
    _, found = profiled(install(guest(CALLS)), "go")
    go = ("update go", "canister_update go")
    assert found == {
        go[:1]: (0, 1),
        go: (1 + 3 * 5, 1),
        (*go, "twice"): (1 + 2 * 5, 1),
        (*go, "twice", "leaf"): (2 * 2, 2),
        (*go, "leaf"): (2, 1),
        (*go, "[ic0.msg_reply]"): (500, 1),
    }


def test_changed_heap_pages_and_written_stable_pages_are_frames_of_their_own(install: Callable[..., Canister]) -> None:
    body = """
      (func $write (drop (call $stable64_grow (i64.const 1)))
        (call $stable64_write (i64.const 0) (i64.const 0) (i64.const 5)))
      (func (export "canister_update go") (i32.store (i32.const 9) (i32.const 1)) (call $write) (call $msg_reply))"""
    _, found = profiled(install(guest(body)), "go")
    write = ("update go", "canister_update go", "write")
    assert found["update go", "[changed heap pages]"] == (1_000, 1)
    assert found[*write, "[ic0.stable64_grow]"] == (100, 1)
    assert found[*write, "[ic0.stable64_write]"] == (20 + 5 + 1_000, 1)


def test_a_recursion_has_a_node_for_each_level_and_none_for_each_call(install: Callable[..., Canister]) -> None:
    body = """
      (func $fib (param $n i32) (result i32)
        (if (i32.lt_u (local.get $n) (i32.const 2)) (then (return (i32.const 1))))
        (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1))) (call $fib (i32.sub (local.get $n) (i32.const 2)))))
      (func (export "canister_update go") (drop (call $fib (i32.const 16))) (call $msg_reply))"""
    result, found = profiled(install(guest(body)), "go")
    levels = [found["update go", "canister_update go", *["fib"] * level][1] for level in range(1, 17)]
    assert len(found) == 2 + 16 + 1
    assert levels[:3] == [1, 2, 4]
    assert sum(levels) == 2 * 1597 - 1
    assert result.profile is not None
    (fib,) = [cost for cost in result.profile.functions() if cost.name == "fib"]
    assert fib.own == fib.total
    assert fib.calls == sum(levels)


@pytest.mark.parametrize("trap", ["unreachable", "(call $trap (i32.const 0) (i32.const 0))"])
def test_a_trap_in_the_middle_keeps_what_was_executed_before(install: Callable[..., Canister], trap: str) -> None:
    body = f"""
      (func $inner nop nop {trap})
      (func $outer (call $leaf) (call $inner) (call $leaf))
      (func $leaf nop)
      (func (export "canister_update go") (call $outer) (call $msg_reply))"""
    canister = install(guest(body))
    result, found = profiled(canister, "go")
    assert result.reject is not None
    outer = ("update go", "canister_update go", "outer")
    assert found[*outer, "leaf"] == (2, 1)
    assert found[*outer, "inner"][1] == 1
    assert found[outer][0] == 1 + 3 * 5  # the block was charged as a whole
    assert result.backtrace == canister_backtrace(canister)
    assert profiled(canister, "go")[1] == found


def canister_backtrace(canister: Canister) -> tuple[str, ...]:
    """The backtrace of `go` without a profile."""
    with pytest.raises(CallRejected) as caught:
        canister.update("go")
    backtrace: tuple[str, ...] = caught.value.result.backtrace
    return backtrace


@pytest.mark.parametrize("pages", [0, 3])
def test_a_message_that_reaches_its_limit_adds_up_to_the_limit(pages: int) -> None:
    limit = 10_000
    limits = type(FEW_INSTRUCTIONS)(update=limit, query=limit, install=limit, inspect=limit)
    canister = Sandbox(instruction_limits=limits).create_canister()
    stores = " ".join(f"(i32.store (i32.const {page * 4096}) (i32.const 1))" for page in range(pages))
    work = "(memory.fill (i32.const 0) (i32.const 0) (i32.const 77))" * 8
    body = f"""
      (func $heavy {work})
      (func (export "canister_update go") {stores} (loop $l (call $heavy) (br $l)))"""
    canister.install(guest(body))
    result, found = profiled(canister, "go")
    assert result.instructions == limit
    assert all(own >= 0 for own, _ in found.values())


@pytest.mark.parametrize("pages", [11, 40])
def test_changed_pages_beyond_the_limit_are_cut_at_it(pages: int) -> None:
    limit = 12_000
    limits = type(FEW_INSTRUCTIONS)(update=limit, query=limit, install=limit, inspect=limit)
    canister = Sandbox(instruction_limits=limits).create_canister()
    body = f"""
      (func (export "canister_update go") (local $k i32)
        (loop $l
          (i32.store (i32.mul (local.get $k) (i32.const 4096)) (i32.const 1))
          (br_if $l (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const {pages}))))
        (call $msg_reply))"""
    canister.install(guest(body, "(memory 3)"))
    result, found = profiled(canister, "go")
    before = sum(own for path, (own, _) in found.items() if path[-1] != "[changed heap pages]")
    assert result.instructions == min(limit, before + pages * 1_000)
    assert found["update go", "[changed heap pages]"][0] == result.instructions - before


def test_calls_through_tables_count_for_the_function_also_an_imported_one(install: Callable[..., Canister]) -> None:
    body = """
      (type $void (func))
      (table 2 funcref)
      (elem (i32.const 0) $leaf $msg_reply)
      (func $leaf nop)
      (func (export "canister_update go")
        (call_indirect (type $void) (i32.const 0)) (call_indirect (type $void) (i32.const 1)))"""
    _, found = profiled(install(guest(body)), "go")
    go = ("update go", "canister_update go")
    assert found == {
        go[:1]: (0, 1),
        go: (1 + 2 * 11, 1),
        (*go, "leaf"): (2, 1),
        (*go, "[ic0.msg_reply]"): (500, 1),
    }


def test_a_tail_call_takes_the_place_of_its_caller(install: Callable[..., Canister]) -> None:
    body = """
      (type $count (func (param i32)))
      (table funcref (elem $even $odd))
      (func $even (param $n i32)
        (if (i32.eqz (local.get $n)) (then (return)))
        (return_call $odd (i32.sub (local.get $n) (i32.const 1))))
      (func $odd (param $n i32)
        (return_call_indirect (type $count) (i32.sub (local.get $n) (i32.const 1)) (i32.const 0)))
      (func $leaf nop)
      (func (export "canister_update go") (call $even (i32.const 1000)) (call $leaf) (return_call $msg_reply))"""
    _, found = profiled(install(guest(body)), "go")
    go = ("update go", "canister_update go")
    assert {path: calls for path, (_, calls) in found.items()} == {
        go[:1]: 1,
        go: 1,
        (*go, "even"): 501,
        (*go, "odd"): 500,
        (*go, "leaf"): 1,
        ("update go", "[ic0.msg_reply]"): 1,
    }


def test_each_of_many_callees_has_its_node_in_every_message(install: Callable[..., Canister]) -> None:
    """The nodes of a message are none of an earlier one's, whose places in memory they take."""
    count = 3_000
    functions = " ".join(f"(func $f{k} {'nop ' * (k % 7)})" for k in range(count))
    body = f"""
      (table funcref (elem {" ".join(f"$f{k}" for k in range(count))}))
      {functions}
      (func $pass (param $from i32) (param $step i32)
        (loop $l
          (call_indirect (local.get $from))
          (br_if $l (i32.lt_u (local.tee $from (i32.add (local.get $from) (local.get $step))) (i32.const {count})))))
      (func (export "canister_update all") (call $pass (i32.const 0) (i32.const 1)) (call $msg_reply))
      (func (export "canister_update third") (call $pass (i32.const 1) (i32.const 3)) (call $msg_reply))"""
    canister = install(guest(body))
    for method, called in (("all", range(count)), ("third", range(1, count, 3)), ("all", range(count))):
        _, found = profiled(canister, method)
        callees = {path[-1]: cost for path, cost in found.items() if len(path) == 4}
        assert callees == {f"f{k}": (1 + k % 7, 1) for k in called}


def test_every_entry_point_is_profiled(sandbox: Sandbox) -> None:
    body = """
      (table funcref (elem $called_back))
      (func $started nop)
      (start $started)
      (func $called_back (param i32) (call $msg_reply))
      (func (export "canister_init") (drop (call $global_timer_set (i64.const 1))))
      (func (export "canister_pre_upgrade"))
      (func (export "canister_post_upgrade"))
      (func (export "canister_inspect_message") (call $accept_message))
      (func (export "canister_global_timer"))
      (func (export "canister_heartbeat"))
      (func (export "canister_query q") (call $msg_reply))
      (func (export "canister_update call")
        (call $canister_self_copy (i32.const 0) (i32.const 0) (i32.const 10))
        (call $call_new (i32.const 0) (i32.const 10) (i32.const 100) (i32.const 1)
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
        (drop (call $call_perform)))
      (data (i32.const 100) "q")"""
    with executed(runtime_of(sandbox)) as counts, sandbox.profile() as profile:
        canister = sandbox.create_canister()
        canister.install(guest(body))
        sandbox.tick()
        canister.update("call")
        canister.query_raw("q")
        canister.upgrade(guest(body))
    assert profile.instructions == sum(counts) > 0
    entries = Counter({cost.name: cost.calls for cost in profile.entry_points()})
    heartbeats = entries.pop("heartbeat")
    assert heartbeats >= 1
    assert entries == {
        "start": 2,
        "init": 1,
        "global_timer": 1,
        "inspect_message": 1,
        "update call": 1,
        "query q": 2,
        "reply callback": 1,
        "pre_upgrade": 1,
        "post_upgrade": 1,
    }


def test_with_more_paths_than_fit_the_sum_stays_and_the_profile_says_so(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "MOST_NODES", 50)
    monkeypatch.setattr(profiling, "PROFILING", f"{profiling.PROFILING} with 50 nodes")
    body = """
      (func $a (param $n i32) (call $both (local.get $n)))
      (func $b (param $n i32) (call $both (local.get $n)))
      (func $both (param $n i32)
        (if (local.get $n) (then
          (call $a (i32.sub (local.get $n) (i32.const 1)))
          (call $b (i32.sub (local.get $n) (i32.const 1))))))
      (func $leaf nop)
      (func (export "canister_update go") (call $both (i32.const 9)) (call $leaf) (call $msg_reply))"""
    canister = sandbox.create_canister()
    canister.install(guest(body))
    result, found = profiled(canister, "go")
    assert result.profile is not None
    assert not result.profile.complete
    assert len(found) == 50
    assert found["update go", "canister_update go"][0] == 1 + 1 + 3 * 5 + 2 + 500  # two functions have no node


def test_without_a_profile_no_second_build_is_made_or_run(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    canister = sandbox.create_canister()
    canister.install(guest(CALLS))
    cache = runtime_of(sandbox).instances
    with sandbox.profile():
        canister.update("go")
        assert cache.open(runtime_of(sandbox).state_of(canister.id)).recorder is not None

    def unexpected(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(instances, "profiled_build", unexpected)
    assert canister.update("go").profile is None
    assert cache.open(runtime_of(sandbox).state_of(canister.id)).recorder is None


def test_profiles_nest_and_results_have_profiles_of_their_own(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    canister.install(guest(CALLS))
    with sandbox.profile() as outer:
        first = canister.update("go")
        with sandbox.profile() as inner:
            second = canister.update("go")
    assert [p.executions for p in (outer, inner, first.profile, second.profile) if p] == [2, 1, 1, 1]
    assert outer.instructions == 2 * inner.instructions == first.instructions + second.instructions
    assert first == second


def test_entry_points_of_several_canisters_have_their_names(sandbox: Sandbox) -> None:
    named, other = sandbox.create_canister(name="store"), sandbox.create_canister()
    for canister in (named, other):
        canister.install(guest(CALLS))
    with sandbox.profile() as profile:
        named.update("go")
        alone = [cost.name for cost in profile.entry_points()]
        other.update("go")
    assert alone == ["update go"]
    both = {"update go of store", f"update go of {other.id}"}
    assert {cost.name for cost in profile.entry_points()} == both
    assert {line.partition(";")[0] for line in profile.folded().splitlines()} == both


def test_coverage_names_executed_and_missed_functions(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    canister.install(guest(CALLS + '(func $other) (func (export "canister_query q") (call $msg_reply))'))
    with sandbox.coverage() as coverage:
        canister.update("go")
    (module,) = coverage.modules
    assert coverage.of(canister.id) == module
    assert module.canisters == (str(canister.id),)
    assert module.module_hash == canister.status().module_hash
    assert module.executed == ("leaf", "twice", "canister_update go")
    assert module.missed == ("other", "canister_query q")
    assert module.share == 0.6
    with pytest.raises(KeyError):
        coverage.of("aaaaa-aa")


Program = list[list[tuple[str, int]]]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Functions as lists of steps; a function calls only those behind it."""
    count = draw(st.integers(1, 5))
    return [
        draw(
            st.lists(
                st.tuples(
                    st.sampled_from(["direct", "table", "system", "leave"]), st.integers(1, max(count - k - 1, 1))
                ),
                max_size=4,
            )
        )
        for k in range(count)
    ]


def text_of(program: Program) -> str:
    """The module: `leave` leaves the function by a branch if its number is even, and by `return` if it is odd."""
    spelled = {
        "direct": "(call $f{0})",
        "table": "(call_indirect (i32.const {0}))",
        "system": "(call $time) drop",
    }
    functions = []
    for place, steps in enumerate(program):
        lines = []
        for kind, by in steps:
            target = place + by
            if kind == "leave":
                lines.append("(return)" if by % 2 else f"(br $f{place})")
            elif kind == "system" or target < len(program):
                lines.append(spelled[kind].format(target))
        functions.append(f"(func $f{place} (block $f{place} {' '.join(lines)}))")
    table = f"(table funcref (elem {' '.join(f'$f{k}' for k in range(len(program)))}))"
    go = '(func (export "canister_update go") (call $f0) (call $msg_reply))'
    return guest_text(f"{table} {' '.join(functions)} {go}")


def guest_text(body: str) -> str:
    """The body with the imports that it needs."""
    imports = '(import "ic0" "time" (func $time (result i64))) (import "ic0" "msg_reply" (func $msg_reply))'
    return f"(module {imports} {body})"


def expected(program: Program) -> Counter[tuple[str, ...]]:
    """Calls of each path, by carrying the program out."""
    calls: Counter[tuple[str, ...]] = Counter()

    def run(place: int, path: tuple[str, ...]) -> None:
        path = (*path, f"f{place}")
        calls[path] += 1
        for kind, by in program[place]:
            if kind == "leave":
                return
            if kind == "system":
                calls[*path, "[ic0.time]"] += 1
            elif place + by < len(program):
                run(place + by, path)

    go = ("update go", "canister_update go")
    calls[go[:1]] = calls[go] = calls[*go, "[ic0.msg_reply]"] = 1
    run(0, go)
    return calls


@given(programs())
def test_paths_and_calls_are_those_of_the_program(program: Program) -> None:
    canister = Sandbox().create_canister()
    canister.install(wat(text_of(program)))
    plain = canister.update("go")
    result, found = profiled(canister, "go")
    assert {path: calls for path, (_, calls) in found.items()} == expected(program)
    assert result.instructions == plain.instructions


def everything_of(name: str, module: bytes, profiled: bool) -> tuple[list[Any], str]:
    """The outcome of every method and hook of a module, with or without a profile, and the hash of the state."""
    sandbox = Sandbox(seed=5, instruction_limits=FEW_INSTRUCTIONS)
    runtime = runtime_of(sandbox)
    done: list[Any] = []
    with executed(runtime) as counts, sandbox.profile() if profiled else nullcontext(Profile()) as profile:
        canister = sandbox.create_canister()

        def do(action: Callable[[], CallResult]) -> None:
            before, executions = profile.instructions, len(counts)
            try:
                result = action()
            except CallRejected as error:
                result = error.result
            done.append((result, counts[executions:]))
            if profiled:
                assert profile.instructions - before == sum(counts[executions:]), (name, result)

        def tick() -> CallResult:
            sandbox.advance_time(60)
            sandbox.tick(2)
            return CallResult(canister.id, "")

        do(lambda: canister.install(module, EMPTY_ARGUMENT))
        code = runtime.state_of(canister.id).code
        if code is not None:
            for method, kind in facts_of(code).methods.items():
                if method in OVERFLOWS:
                    continue
                call = canister.update if kind == "update" else canister.query_raw
                do(lambda call=call, method=method: call(method))  # type: ignore[misc]
            do(tick)
            do(lambda: canister.upgrade(module, EMPTY_ARGUMENT))
    assert profile.instructions == (sum(counts) if profiled else 0)
    assert all(frame.kind is not FrameKind.FUNCTION or frame.name for frame in profile.tree.frames)
    return done, sandbox.state_hash()


OVERFLOWS = frozenset({"recurse_forever"})
"""Methods that end in a stack overflow: with a profile, which has larger frames, after fewer instructions."""

FEW = ("counter.classical", "timers.enhanced", "service_rs", "universal.wasm64")
"""Both pointer types, Motoko and Rust, a module without names, one that calls itself by timers."""
REST = sorted({path.name.removesuffix(".gz").removesuffix(".wasm") for path in FIXTURES.glob("*.wasm*")} - set(FEW))


@pytest.mark.parametrize("name", [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in REST)])
def test_with_a_profile_every_entry_point_does_and_counts_the_same(name: str) -> None:
    module = fixture(name)
    assert everything_of(name, module, profiled=True) == everything_of(name, module, profiled=False)


RANDOM = zipfile.ZipFile(FIXTURES / "random-modules.zip")
RANDOM_NAMES = sorted(RANDOM.namelist())


@pytest.mark.parametrize("first", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 10))])
def test_with_a_profile_random_modules_do_and_count_the_same(first: int) -> None:
    """Calls through tables, tail calls, traps of every kind, both pointer types; start functions."""
    for name in RANDOM_NAMES[first::10]:
        module = RANDOM.read(name)
        assert everything_of(name, module, profiled=True) == everything_of(name, module, profiled=False), name

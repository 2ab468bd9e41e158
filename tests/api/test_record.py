"""Records: every input of a sandbox and what came of it, to be had again to the bit, or to be told where not."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from sandbox import CallRejected, Principal, Sandbox, Visibility
from sandbox.engine import counting
from sandbox.execution import Update
from sandbox.management.commands import HANDLERS
from sandbox.memory import Pool
from sandbox.record import End, Header, Outcome, read
from sandbox.record.state_hash import hashing
from sandbox.record.values import BLOB, CLASSES, decode, encode
from sandbox.replay import replay
from tests.api.life import Outside, asked, changed, fresh, live, recorded
from tests.conftest import STRATEGIES, fixture
from tests.spec.guest import (
    Guest,
    call,
    debug_print,
    do,
    guest,
    ic0,
    on_timer,
    pack,
    reply,
    set_slot,
    slot,
    spin,
    stable_grow,
    stable_write,
    trap,
)
from tests.spec.guest import evaluate as run

Change = Callable[[Outcome], Outcome]
GOLDEN = Path(__file__).parents[1] / "golden"


# --- the same again


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_life_replays_to_the_same_state(path: Path, strategy: str) -> None:
    state = recorded(path)
    found = replay(path, strategy=strategy)
    assert found.difference is None
    assert found.end == End(True, "closed")
    assert found.state_hash == state
    assert found.steps > 40
    assert found.counts_compared
    assert found.states_compared


def test_recording_changes_nothing(path: Path) -> None:
    seen, unseen = fresh(), fresh()
    with seen.record(path):
        answers = live(seen)
    assert answers == live(unseen)
    assert seen.state_hash() == unseen.state_hash()


@pytest.mark.parametrize("options", [{"costs": "mainnet"}, {"max_snapshots": 10}, {"seed": 99}])
def test_the_rules_of_the_sandbox_are_part_of_the_record(path: Path, options: dict[str, Any]) -> None:
    state = recorded(path, **options)
    found = replay(path)
    assert (found.difference, found.state_hash) == (None, state)
    assert state != replay(_other_record(path)).state_hash


def _other_record(path: Path) -> Path:
    other = path.with_name("other")
    recorded(other)
    return other


def test_a_sandbox_on_disk_can_be_recorded_and_saved_meanwhile(path: Path, tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state", max_snapshots=3) as sandbox, sandbox.record(path):
        canister = guest(sandbox)
        canister.do(set_slot(6, "x" * 10_000), reply())
        canister.take_snapshot()
        sandbox.save()
        canister.do(set_slot(6, "y"), reply())
        state = sandbox.state_hash()
    assert (replay(path).difference, replay(path).state_hash) == (None, state)


def test_time_that_passed_before_is_kept(path: Path) -> None:
    sandbox = fresh()
    sandbox.advance_time(seconds=1000)
    with sandbox.record(path):
        guest(sandbox)
    assert replay(path).state_hash == sandbox.state_hash()


def test_without_an_http_double_outcalls_are_refused_again(path: Path) -> None:
    sandbox = fresh(http=None)
    with sandbox.record(path):
        canister = guest(sandbox)
        with pytest.raises(CallRejected, match="http_request"):
            canister.do(asked("http_request", {"url": "https://x/x", "method": {"get": None}, "headers": []}))
    assert replay(path).difference is None


def test_snapshots_via_hooks_and_stable_images_replay(path: Path, tmp_path: Path) -> None:
    sandbox, stable = fresh(), tmp_path / "stable"
    stable.write_bytes(b"first" + bytes(3 << 20) + b"last".ljust(1 << 20, b"."))
    with sandbox.record(path):
        canister = sandbox.create_canister()
        canister.install(fixture("people_stable_rs_v1"))
        canister.call("fill", 10)
        snapshot = canister.take_snapshot(via_hooks=True)
        canister.load_snapshot(snapshot.id, via_hooks=True, wasm=fixture("people_stable_rs_v2_good"))
        other = guest(sandbox)
        sandbox.snapshots.load_stable_image(other.id, stable)
        state = sandbox.state_hash()
        assert canister.call("size") == 10
        assert sandbox.raw_state(other).stable.startswith(b"first")
    assert (replay(path).difference, replay(path).state_hash) == (None, state)


def test_every_command_can_be_recorded() -> None:
    """What handlers take, beside the context, is made of values that a record can hold."""
    blobs: dict[bytes, bytes] = {}
    for handler in HANDLERS.values():
        for name, kind in get_type_hints(handler).items():
            if isinstance(kind, type) and is_dataclass(kind) and name not in ("context", "return"):
                assert kind.__name__ in CLASSES, handler.__name__
    memory = Pool().memory(5 << 20)
    memory.write((1 << 20) - 2, b"over the edge")
    memory.write(3 << 20, b"x")
    image = memory.image()
    again = decode(encode(image, blobs.__setitem__), blobs).image(Pool())
    assert (again.size, again.read(0, 5 << 20)) == (image.size, image.read(0, 5 << 20))


def test_modules_are_stored_once(path: Path) -> None:
    sizes = []
    for count in (1, 5):
        sandbox = fresh()
        with sandbox.record(path.with_name(str(count))) as recording:
            for _ in range(count):
                sandbox.create_canister().install(fixture("counter.enhanced"))
        sizes.append(recording.path.stat().st_size)
    assert sizes[1] < sizes[0] + 10_000


def test_what_happens_after_the_end_is_not_in_it(path: Path) -> None:
    sandbox = fresh()
    with sandbox.record(path) as recording:
        canister = guest(sandbox)
    state = sandbox.state_hash()
    canister.do(set_slot(6, "later"), reply())
    recording.close()
    found = replay(path)
    assert (found.steps, found.state_hash) == (recording.steps, state) == (2, state)


# --- what is different is told


def test_a_record_written_again_is_the_same_file(record: Path, path: Path) -> None:
    assert changed(record, path).read_bytes() == record.read_bytes()


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("answer", lambda o: replace(o, answer=["reply", b"other"])),
        ("submitted", lambda o: replace(o, submitted=[[1, ["reply", b"other"]]])),
        ("logs", lambda o: replace(o, logs=["other"])),
        ("instructions", lambda o: replace(o, instructions=[1, 2])),
        ("state of canister", lambda o: replace(o, canisters={k: bytes(32) for k in o.canisters})),
        ("state of canister", lambda o: replace(o, canisters={})),
        ("state of canister", lambda o: replace(o, canisters={**o.canisters, b"\1\1": None})),
        ("state of the subnet", lambda o: replace(o, subnet=bytes(32))),
        ("outcalls", lambda o: replace(o, outcalls=[])),
    ],
)
def test_the_first_step_that_differs_is_reported(record: Path, path: Path, what: str, change: Change) -> None:
    count, seventh = 0, 7

    def outcome(item: Outcome) -> Outcome:
        nonlocal count
        count += 1
        if count < seventh:
            return item
        if what == "outcalls":
            return change(item) if item.outcalls else item
        return change(item)

    found = replay(changed(record, path, outcome=outcome))
    assert found.difference is not None
    assert found.difference.what.startswith(what)
    assert found.difference.expected != found.difference.came
    assert found.step is not None
    if what != "outcalls":
        assert found.steps == seventh - 1
        assert found.step.startswith("update update of rwlgt-iiaaa-aaaaa-aaaaa-cai by 2vxsx-fae, 0x")


def test_another_input_has_another_outcome(record: Path, path: Path) -> None:
    def step(item: Any) -> Any:
        return replace(item, arg=reply("other").code) if isinstance(item, Update) else item

    found = replay(changed(record, path, step=step))
    assert found.difference is not None
    assert found.difference.what == "answer"


def test_answers_to_submitted_calls_are_compared(path: Path) -> None:
    def outcome(item: Outcome) -> Outcome:
        return replace(item, submitted=[[n, ["reply", b"yes"]] for n, _ in item.submitted])

    sandbox = fresh()
    with sandbox.record(path):
        canister = guest(sandbox)
        with sandbox.anchor():
            sandbox.submit(canister, "update", reply("undone").code)
            sandbox.tick()
        for text in ("one", "two"):
            sandbox.submit(canister, "update", reply(text).code)
        canister.do(reply("three"))
        sandbox.submit(canister, "no_such_method")
        sandbox.tick()
    found = [[answer for _, answer in item.submitted] for item in read(path) if isinstance(item, Outcome)]
    assert found[4] == [["reply", b"undone"]]
    assert found[8] == [["reply", b"one"], ["reply", b"two"]]
    assert [answer[0] for answers in found[9:] for answer in answers] == ["reject"]
    assert replay(path).difference is None
    told = replay(changed(path, path.with_name("other"), outcome=outcome)).difference
    assert told is not None
    assert (told.what, told.expected) == ("submitted", f"call 1: reply 0x{b'yes'.hex()}")


def test_another_outside_world_has_another_outcome(record: Path, path: Path) -> None:
    def outcome(item: Outcome) -> Outcome:
        if not item.outcalls:
            return item
        [[asked_for, _]] = item.outcalls
        return replace(item, outcalls=[[asked_for, ["answered", Outside(b"bye")({"url": "/x"})]]])

    found = replay(changed(record, path, outcome=outcome))
    assert found.difference is not None
    assert "outcalls" in found.difference.what or "answer" in found.difference.what


def test_counts_and_states_of_other_versions_are_not_compared(record: Path, path: Path) -> None:
    def outcome(item: Outcome) -> Outcome:
        return replace(item, instructions=[0, 0], subnet=bytes(32), canisters={})

    header = next(read(record))
    assert isinstance(header, Header)
    assert (header.counted_by, header.hashed_by) == (counting(), hashing())
    other = replace(header, counted_by="another engine", hashed_by="another way")
    found = replay(changed(record, path, other, outcome=outcome))
    assert found.difference is None
    assert not found.counts_compared
    assert not found.states_compared
    assert replay(changed(record, path.with_name("2"), outcome=outcome)).difference is not None


# --- values


def test_values_come_back_as_they_were() -> None:
    blobs: dict[bytes, bytes] = {}
    for value in [
        None,
        True,
        -(1 << 127),
        1.5,
        "text",
        b"short",
        b"x" * BLOB,
        Principal.anonymous(),
        (),
        [],
        [(1, [2]), {"a": (b"y" * BLOB, None)}],
        Visibility(False, (Principal.management(),)),
    ]:
        again = decode(encode(value, blobs.__setitem__), blobs)
        assert again == value
        assert type(again) is type(value)
    assert len(blobs) == 2


# --- for ever


def test_the_golden_record_of_format_1_replays() -> None:
    """If only `instructions` differ, `engine.metering.REVISION` must change; if only a state, `state_hash.VERSION`. The
    file stays as it is."""
    found = replay(GOLDEN / "record-1.life")
    assert found.difference is None, found
    assert found.end == End(True, "closed")
    assert found.steps == 45


KINDS = ("do", "trap", "call", "query", "submit", "round", "idle", "time", "snapshot", "load", "anchor", "undo", "make")


@pytest.mark.parametrize("seed", range(6))
def test_random_lives_replay(path: Path, seed: int) -> None:
    choose = random.Random(seed)
    sandbox = fresh(max_snapshots=10)
    with sandbox.record(path):
        canisters = [guest(sandbox, bits=bits) for bits in (32, 64)]
        anchors: list[AbstractContextManager[None]] = []
        for _ in range(80):
            with suppress(CallRejected):
                _random_step(choose, sandbox, canisters, anchors)
        while anchors:
            anchors.pop().__exit__(None, None, None)
    found = replay(path, strategy=choose.choice(STRATEGIES))
    assert found.difference is None
    assert found.steps > 80
    assert found.state_hash == sandbox.state_hash()


def _random_step(
    choose: random.Random, sandbox: Sandbox, canisters: list[Guest], anchors: list[AbstractContextManager[None]]
) -> None:
    one, other, size = choose.choice(canisters), choose.choice(canisters), choose.randrange(10_000)
    write = set_slot(6, "x" * size) + run(stable_grow(1)) + stable_write(size, b"y" * size)
    match choose.choice(KINDS):
        case "do":
            one.do(write, reply(pack(ic0("performance_counter", 1))))
        case "trap":
            one.do(write, debug_print("no"), trap("no"))
        case "call":
            one.do(write, call(other, write + call(one, reply()), cycles=size))
        case "query":
            one.ask(write, reply(slot(6)))
        case "submit":
            sandbox.submit(one, "update", (call(other, write + reply())).code)
        case "round":
            sandbox.tick()
        case "idle":
            sandbox.run_until_idle()
        case "time":
            one.do(on_timer(write), do("global_timer_set", ic0("time") + size), reply())
            sandbox.advance_time(nanoseconds=2 * size)
        case "snapshot":
            one.take_snapshot(str(size))
        case "load":
            one.load_snapshot(choose.choice([s.id for s in one.list_snapshots()] or [b"none"]))
        case "anchor":
            anchors.append(sandbox.anchor())
            anchors[-1].__enter__()
        case "undo" if anchors:
            anchors.pop().__exit__(None, None, None)
        case "make" if not anchors and len(canisters) < 5:
            canisters.append(guest(sandbox))


def test_a_loop_ends_by_the_limit_of_the_record(path: Path) -> None:
    sandbox = fresh()
    with sandbox.record(path):
        canister = guest(sandbox)
        with pytest.raises(CallRejected, match="IC0522"):
            canister.do(spin())
    assert replay(path).difference is None

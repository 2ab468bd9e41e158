"""Rounds end, and calls that have no answer end with who waits for whom, whatever canisters do to each other."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import CallResult, Canister, Sandbox, StillWaiting
from sandbox.api import runtime_of
from sandbox.limits import INSTRUCTIONS_EXECUTION, INSTRUCTIONS_ROUND
from sandbox.replay.replay import replay
from sandbox.replay.script import identified
from tests.conftest import guest, number

Install = Callable[..., Canister]
EXECUTIONS = INSTRUCTIONS_ROUND // INSTRUCTIONS_EXECUTION

# `wait_for` asks the canister in its argument for `ready` until that is rejected, and then replies how often it asked;
# `once` asks once.
POLLER = """
(global $asked (mut i64) (i64.const 0)) (global $size (mut i32) (i32.const 0))
(table funcref (elem $again $done))
(data (i32.const 100) "ready")
(func $ask (param $reply i32)
  (global.set $asked (i64.add (global.get $asked) (i64.const 1)))
  (call $call_new (i32.const 0) (global.get $size) (i32.const 100) (i32.const 5)
    (local.get $reply) (i32.const 0) (i32.const 1) (i32.const 0))
  (drop (call $call_perform)))
(func $again (param i32) (call $ask (i32.const 0)))
(func $done (param i32) (call $reply64 (global.get $asked)))
(func $peer (global.set $size (call $msg_arg_data_size))
  (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (global.get $size)))
(func (export "canister_update wait_for") (call $peer) (call $ask (i32.const 0)))
(func (export "canister_update once") (call $peer) (call $ask (i32.const 1)))
"""
PEER = '(func (export "canister_update ready") (call $msg_reply))'
# `ready` has its own canister stopped, which cannot be while this call is open: a call without end or messages.
SILENT = """
(table funcref (elem $done)) (data (i32.const 100) "stop_canister")
(func $done (param i32) (call $msg_reply))
(func (export "canister_update ready")
  (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (call $msg_arg_data_size))
  (call $call_new (i32.const 0) (i32.const 0) (i32.const 100) (i32.const 13)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
  (call $call_data_append (i32.const 0) (call $msg_arg_data_size))
  (drop (call $call_perform)))
"""


@pytest.fixture
def poller(install: Install) -> Canister:
    return install(guest(POLLER))


@pytest.fixture
def peer(install: Install) -> Canister:
    return install(guest(PEER))


def counted(sandbox: Sandbox) -> int:
    """Messages executed so far: each takes at least one number."""
    return runtime_of(sandbox).subnet.next_id


def test_a_round_ends_while_two_canisters_call_each_other(sandbox: Sandbox, poller: Canister, peer: Canister) -> None:
    sandbox.submit(poller, "wait_for", bytes(peer.id))
    before = counted(sandbox)
    sandbox.tick()
    assert EXECUTIONS // 2 < counted(sandbox) - before <= EXECUTIONS + 2
    assert poller.open_calls


def test_a_call_without_end_says_who_waits_for_whom(sandbox: Sandbox, poller: Canister, peer: Canister) -> None:
    with pytest.raises(StillWaiting) as caught:
        poller.update("wait_for", bytes(peer.id), max_rounds=2)
    assert f"{poller.id}.wait_for has no answer after 2 rounds" in str(caught.value)
    assert f"{poller.id}.wait_for waits for {peer.id}.ready" in str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.request_id) == (str(caught.value), caught.value.request_id)


def test_it_goes_on_and_is_answered_later(sandbox: Sandbox, poller: Canister, peer: Canister) -> None:
    with pytest.raises(StillWaiting) as caught:
        poller.update("wait_for", bytes(peer.id), max_rounds=1)
    request = caught.value.request_id
    assert request is not None
    assert sandbox.ingress_status(request) is None
    peer.stop()  # now the next question is refused
    sandbox.run_until_idle()
    answer = sandbox.ingress_status(request)
    assert isinstance(answer, CallResult)
    assert number(answer.reply) > EXECUTIONS // 4
    assert not poller.open_calls
    poller.stop()
    assert poller.status().status == "stopped"


def test_a_call_that_waits_in_the_queue_can_be_waited_for_later(
    sandbox: Sandbox, poller: Canister, peer: Canister
) -> None:
    sandbox.submit(poller, "wait_for", bytes(peer.id))
    with pytest.raises(StillWaiting) as caught:
        peer.update("ready", max_rounds=0)
    request = caught.value.request_id
    assert request is not None
    sandbox.tick()
    assert isinstance(sandbox.ingress_status(request), CallResult)


def test_rounds_until_idle_end_too(sandbox: Sandbox, poller: Canister, peer: Canister) -> None:
    sandbox.submit(poller, "wait_for", bytes(peer.id))
    with pytest.raises(StillWaiting, match=f"still not idle after 2 rounds.*{poller.id}.wait_for waits for {peer.id}"):
        sandbox.run_until_idle(max_rounds=2)


def test_a_call_that_nothing_can_answer_says_so_at_once(install: Install) -> None:
    silent = install(guest(SILENT))
    silent.update_settings(controllers=[silent.id])
    argument = identified(silent.id)
    with pytest.raises(StillWaiting) as caught:
        silent.update("ready", argument)
    assert "and nothing is left to execute" in str(caught.value)
    assert f"{silent.id}.ready waits for aaaaa-aa.stop_canister" in str(caught.value)
    assert f"a call of stop_canister waits for {silent.id} to stop" in str(caught.value)
    assert caught.value.request_id is not None


def test_stop_waits_for_open_calls(sandbox: Sandbox, install: Install) -> None:
    drawing = install(guest(SILENT.replace('"stop_canister"', '"raw_rand"').replace("(i32.const 13)", "(i32.const 8)")))
    sandbox.submit(drawing, "ready", b"DIDL\0\0")
    sandbox.tick()
    assert drawing.open_calls  # the answer comes in the next round
    drawing.stop()
    assert drawing.status().status == "stopped"


def test_stop_names_the_calls_that_stay_open(sandbox: Sandbox, poller: Canister, peer: Canister) -> None:
    sandbox.submit(poller, "wait_for", bytes(peer.id))
    sandbox.tick()
    with pytest.raises(StillWaiting) as caught:
        poller.stop(max_rounds=1)
    assert f"{poller.id} is stopping and not stopped after 1 rounds" in str(caught.value)
    assert f"{poller.id}.wait_for waits for {peer.id}.ready" in str(caught.value)
    assert poller.status().status == "stopping"
    poller.start()
    assert poller.status().status == "running"


def test_stop_of_a_canister_that_waits_for_ever_says_so_at_once(sandbox: Sandbox, install: Install) -> None:
    silent = install(guest(SILENT))
    argument = identified(silent.id)
    owner = silent.status().settings.controllers[0]
    silent.update_settings(controllers=[owner, silent.id])
    sandbox.submit(silent, "ready", argument)
    sandbox.tick()
    with pytest.raises(StillWaiting, match=r"nothing is left to execute.*ready waits for aaaaa-aa\.stop_canister"):
        silent.stop()


def test_what_is_given_up_is_recorded_and_replayed(tmp_path: Path) -> None:
    file = tmp_path / "waiting.record"
    with Sandbox() as sandbox, sandbox.record(file):
        poller, peer = sandbox.create_canister(), sandbox.create_canister()
        poller.install(guest(POLLER))
        peer.install(guest(PEER))
        with pytest.raises(StillWaiting):
            poller.update("wait_for", bytes(peer.id), max_rounds=1)
        with pytest.raises(StillWaiting):
            poller.stop(max_rounds=1)
        peer.stop()
        sandbox.run_until_idle(max_rounds=5)
        state = sandbox.state_hash()
    again = replay(file)
    assert (again.difference, again.state_hash) == (None, state)

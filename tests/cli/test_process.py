"""The command as a process: exit codes, streams, pipes, terminals, locks, interrupts."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.cli.conftest import Cli

COMMAND = [sys.executable, "-m", "sandbox"]
ROOT = Path(__file__).resolve().parents[2]


def _environment(**more: str) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "TTY_COMPATIBLE")}
    return {**plain, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **more}


def run(state: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--state", str(state), *args]
    return subprocess.run(command, capture_output=True, text=True, env=_environment(), timeout=120, check=False)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def counter(with_canister: Callable[..., Cli]) -> Path:
    return with_canister("c", "counter.classical").state


def test_exit_codes_and_streams(counter: Path) -> None:
    done = run(counter, "canister", "call", "c", "inc")
    assert (done.returncode, done.stdout, done.stderr) == (0, "(1 : nat)\n", "")
    rejected = run(counter, "canister", "call", "c", "boom")
    assert (rejected.returncode, rejected.stdout) == (1, "")
    assert rejected.stderr.startswith("rejected: CANISTER_ERROR (5) IC0503\n")
    misuse = run(counter, "canister", "call", "c", "inc", "(")
    assert (misuse.returncode, misuse.stdout) == (2, "")
    assert misuse.stderr.startswith("error: ")
    for result in (done, rejected, misuse):
        assert "Traceback" not in result.stderr
        assert "\x1b" not in result.stdout + result.stderr
    logs = run(counter, "canister", "logs", "c", "--output", "json")
    assert "boom: on purpose" in json.loads(logs.stdout)[0]["text"]


def test_a_terminal_gets_colours(counter: Path) -> None:
    leader, follower = pty.openpty()
    command = [*COMMAND, "--state", str(counter), "canister", "call", "c", "get"]
    subprocess.run(command, stdout=follower, stderr=follower, env=_environment(), timeout=120, check=True)
    os.close(follower)
    shown = os.read(leader, 10_000).decode()
    os.close(leader)
    assert "\x1b[" in shown
    assert "nat" in shown


def on_terminal(columns: int, state: Path, *args: str, **environment: str) -> str:
    """What a terminal of so many columns shows."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    command = [*COMMAND, "--state", str(state), *args]
    env = _environment(**environment)
    subprocess.run(command, stdout=follower, stderr=follower, env=env, timeout=120, check=True)
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown) if "NO_COLOR" in environment else shown


def test_a_map_without_colours_is_drawn_by_signs(counter: Path) -> None:
    command = ("snapshot", "inspect", "c", "--picture")
    assert "▀" in on_terminal(60, counter, *command)
    for without in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = on_terminal(60, counter, *command, **without)
        assert "▀" not in shown
        assert "▒ structured" in shown
        assert max(map(len, shown.splitlines())) <= 80


def test_ids_are_whole_however_narrow_the_terminal(counter: Path) -> None:
    taken = run(counter, "snapshot", "take", "c", "--output", "json")
    snapshot = json.loads(taken.stdout)["id"]
    for columns in (200, 80, 50):
        assert snapshot in on_terminal(columns, counter, "snapshot", "list", NO_COLOR="1")
        assert "rwlgt-iiaaa-aaaaa-aaaaa-cai" in on_terminal(columns, counter, "canister", "list", NO_COLOR="1")
        assert snapshot in on_terminal(columns, counter, "snapshot", "verify", "--all", NO_COLOR="1")


def test_a_reader_that_goes_away_is_no_error(counter: Path) -> None:
    text = " ".join([*(f"'{part}'" for part in COMMAND), "--state", f"'{counter}'", "canister", "metadata", "c"])
    piped = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {text} candid:service | true"],
        capture_output=True,
        text=True,
        env=_environment(),
        timeout=120,
        check=False,
    )
    assert piped.stderr == ""


def test_output_in_an_encoding_without_the_letters(counter: Path) -> None:
    command = [*COMMAND, "--state", str(counter), "canister", "call", "c", "trap_with", '("¡ay! 猫")']
    environment = _environment(PYTHONIOENCODING="latin-1:strict")
    result = subprocess.run(command, capture_output=True, env=environment, timeout=120, check=False)
    assert result.returncode == 1
    assert "¡ay! \\u732b" in result.stderr.decode("latin-1")


def test_two_processes_take_turns(state: Path) -> None:
    makers = [
        subprocess.Popen([*COMMAND, "--state", str(state), "canister", "create", f"c{k}"], env=_environment())
        for k in range(4)
    ]
    assert [maker.wait(120) for maker in makers] == [0, 0, 0, 0]
    found = json.loads(run(state, "canister", "list", "--output", "json").stdout)
    assert sorted(c["name"] for c in found) == ["c0", "c1", "c2", "c3"]
    assert len({c["canister_id"] for c in found}) == 4


def test_a_state_in_use_is_waited_for_then_refused(counter: Path) -> None:
    with Sandbox.open(counter):
        refused = run(counter, "--lock-timeout", "0.2", "canister", "call", "c", "inc")
        waiting = subprocess.Popen(
            [*COMMAND, "--state", str(counter), "canister", "call", "c", "inc"],
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(),
        )
        time.sleep(0.5)
        assert waiting.poll() is None
    assert refused.returncode == 2
    assert "in use by another process" in refused.stderr
    assert waiting.communicate(timeout=120)[0] == "(1 : nat)\n"


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupt_ends_a_message_that_never_ends(counter: Path, which: signal.Signals) -> None:
    run(counter, "canister", "call", "c", "inc")
    stuck = subprocess.Popen([*COMMAND, "--state", str(counter), "canister", "call", "c", "spin"], env=_environment())
    time.sleep(2)
    assert stuck.poll() is None
    stuck.send_signal(which)
    assert stuck.wait(5) == -which
    assert run(counter, "canister", "call", "c", "get").stdout == "(1 : nat)\n"


@pytest.mark.parametrize("output", ["text", "json"])
def test_an_interrupt_says_that_nothing_changed(counter: Path, output: str) -> None:
    command = [*COMMAND, "--state", str(counter), "--output", output, "canister", "call", "c", "spin"]
    stuck = subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(2)
    stuck.send_signal(signal.SIGINT)
    shown, errors = stuck.communicate(timeout=20)
    if output == "json":
        assert json.loads(shown)["error"] == {"kind": "interrupted", "message": "interrupted: nothing changed"}
        assert errors == ""
    else:
        assert (shown, errors) == ("", "interrupted: nothing changed\n")


def test_a_long_call_shows_life_on_a_terminal(counter: Path) -> None:
    leader, follower = pty.openpty()
    command = [*COMMAND, "--state", str(counter), "canister", "call", "c", "spin"]
    stuck = subprocess.Popen(command, stdout=follower, stderr=follower, env=_environment())
    os.close(follower)
    shown = b""
    while b"canister call" not in shown:
        shown += os.read(leader, 10_000)
    stuck.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):
        while more := os.read(leader, 10_000):
            shown += more
    os.close(leader)
    assert stuck.wait(20) == -signal.SIGINT
    assert shown.endswith(b"\x1b[?25hinterrupted: nothing changed\r\n")


INTERRUPTED_AT_IMPORT = """
import os, sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "click":
            os.kill(os.getpid(), 2)
sys.meta_path.insert(0, Interrupting())
from sandbox.__main__ import main
main()
"""
INTERRUPTED_WITHIN = """
import os, time
from sandbox.cli import interrupt
interrupt.watch()
with interrupt.saying("run it again to go on"):
    os.kill(os.getpid(), 2)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("script", "said"), [(INTERRUPTED_AT_IMPORT, ""), (INTERRUPTED_WITHIN, "interrupted: run it again to go on\n")]
)
def test_an_interrupt_prints_no_traceback(script: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=_environment(), timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", said)


def test_the_state_directory_defaults_to_the_current_one(tmp_path: Path) -> None:
    subprocess.run([*COMMAND, "canister", "create", "x"], cwd=tmp_path, env=_environment(), timeout=120, check=True)
    assert (tmp_path / ".canister-sandbox" / "names.json").is_file()


def test_an_interrupted_demo_leaves_the_terminal_as_it_was() -> None:
    leader, follower = pty.openpty()
    demo = subprocess.Popen([*COMMAND, "demo"], stdout=follower, stderr=follower, env=_environment())
    os.close(follower)
    shown = b""
    while b"installed" not in shown:
        shown += os.read(leader, 10_000)
    demo.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):
        while more := os.read(leader, 10_000):
            shown += more
    os.close(leader)
    assert demo.wait(20) == 130
    assert shown.count(b"\x1b[?25l") <= shown.count(b"\x1b[?25h")
    assert b"interrupted" in shown
    assert b"Traceback" not in shown


@pytest.mark.parametrize("output", ["text", "json"])
def test_that_the_copy_of_a_damaged_manifest_is_used_is_a_warning_on_standard_error(counter: Path, output: str) -> None:
    (counter / "manifest").write_bytes(b"damaged")
    for command in (("canister", "list"), ("canister", "call", "c", "inc")):
        done = run(counter, "--output", output, *command)
        assert done.returncode == 0
        assert done.stderr.startswith("warning: ")
        assert f"{counter}/manifest is not the manifest" in done.stderr.replace("\n", " ")
        assert "copy" not in done.stdout
        if output == "json":
            json.loads(done.stdout)
    assert run(counter, "canister", "list").stderr == "", "saving has mended it"


def test_commands_that_only_read_may_run_at_the_same_time_and_where_nothing_can_be_written(counter: Path) -> None:
    with open(counter / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        before = {file: file.stat().st_mtime_ns for file in counter.rglob("*")}
        assert run(counter, "canister", "query", "c", "get", "--lock-timeout", "0").stdout == "(0 : nat)\n"
        assert {file: file.stat().st_mtime_ns for file in counter.rglob("*")} == before
        assert run(counter, "canister", "call", "c", "inc", "--lock-timeout", "0").returncode == 2

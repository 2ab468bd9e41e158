"""Claims about the launcher of `icp network start`: its options, its status, its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox import Sandbox
from sandbox.http.launcher import launch
from tests.http.served import Served

COMMAND = [sys.executable, "-c", "from sandbox.http.launcher import main; main()"]


def test_it_says_when_it_is_ready_and_keeps_what_was_done(tmp_path: Path) -> None:
    state, status = tmp_path / "state", tmp_path / "status"
    status.mkdir()
    options = ["--interface-version", "1.1.0", "--state-dir", str(state), "--status-dir", str(status)]
    process = subprocess.Popen([*COMMAND, *options, "--bind", "127.0.0.1", "--domain=127.0.0.1"], text=True)
    try:
        while not (status / "status.json").exists():
            assert process.poll() is None
            time.sleep(0.05)
        [line] = (status / "status.json").read_text().splitlines()
        said = json.loads(line)
        server = Served(process, said["gateway_port"])
        assert server.request("GET", "/api/v2/status")[0] == 200
        assert server.end(signal.SIGINT) == 0
    finally:
        process.kill()
        process.wait()
    with Sandbox.open(state / "canister-sandbox", read_only=True) as kept:
        assert (said["v"], said["root_key"]) == ("1", kept.root_key.hex())
        assert str(kept.canister("um5iw-rqaaa-aaaaq-qaaba-cai").id) == "um5iw-rqaaa-aaaaq-qaaba-cai"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--ii"], "--ii is not supported"),
        (["--nns"], "--nns is not supported"),
        (["--bitcoind-addr=127.0.0.1:1"], "--bitcoind-addr is not supported"),
        (["--artificial-delay-ms=5"], "--artificial-delay-ms is not supported"),
        (["--subnet=system"], "--subnet=system: a sandbox has one subnet"),
        (["--subnet=application", "--subnet=application"], "a sandbox has one subnet"),
        (["--interface-version=2.0.0"], "version 2.0.0 of the launcher interface is not known"),
    ],
)
def test_what_a_sandbox_does_not_have_is_refused_by_name(tmp_path: Path, options: list[str], text: str) -> None:
    done = CliRunner().invoke(launch, ["--state-dir", str(tmp_path), "--status-dir", str(tmp_path), *options])
    assert done.exit_code == 1
    assert text in done.output
    assert not list(tmp_path.iterdir())

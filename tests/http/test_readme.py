"""What the README says of `icp` and of agents is run as it is typed there, on a free port."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.conftest import FIXTURES, fixture
from tests.http.icp import Icp
from tests.http.served import served
from tests.http.tools import AGENTS, NEEDS_ICP, NEEDS_NPM, npm

pytestmark = pytest.mark.slow
README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
PROJECT = """\
canisters:
  - {{name: counter, build: {{steps: [{{type: pre-built, path: {path}}}]}}}}
networks:
  - {{name: local, mode: managed, gateway: {{port: {port}}}}}
"""


def block(language: str, word: str) -> str:
    """The block of this language that has this word."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    [found] = [block for block in blocks if word in block]
    assert isinstance(found, str)
    return found


def run(command: list[str], folder: Path, **env: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env={**os.environ, **env}, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@NEEDS_ICP
def test_icp(tmp_path: Path) -> None:
    icp = Icp.make(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (icp.project / "icp.yaml").write_text(PROJECT.format(path=FIXTURES / "counter.enhanced.wasm", port=port))
    path = os.pathsep.join([str(icp.binary.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"HOME": str(tmp_path), "ICP_HOME": str(tmp_path / "icp"), "DO_NOT_TRACK": "1", "PATH": path}
    try:
        printed = run(["bash", "-ec", block("bash", "icp ")], icp.project, **own)
    except AssertionError:
        icp("network", "stop")
        raise
    assert "(1 : nat)" in printed
    assert "Created snapshot" in printed


@NEEDS_NPM
def test_agent(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state") as sandbox:
        sandbox.create_canister(canister_id="rwlgt-iiaaa-aaaaa-aaaaa-cai").install(fixture("counter.enhanced"))
    modules = npm(*AGENTS.items())
    with served(tmp_path / "state") as server:
        (tmp_path / "node_modules").symlink_to(modules / "node_modules")
        (tmp_path / "call.mjs").write_text(block("js", "HttpAgent").replace("http://127.0.0.1:8000", server.url))
        assert run(["node", "call.mjs"], tmp_path) == "1n\n"


def test_browser(tmp_path: Path) -> None:
    (tmp_path / "site.wasm.gz").write_bytes((FIXTURES / "site_rs.wasm.gz").read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    typed = block("bash", "maintenance").replace("8000", port).replace("serve &", f"serve --port {port} &")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    printed = run(["bash", "-emc", typed], tmp_path, PATH=path)
    assert "<h1>Site</h1>" in printed
    assert re.search(r"is under maintenance until \S+Z: We bring back the orders of yesterday\.", printed)


def test_own_interface(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / ".canister-sandbox") as sandbox:
        sandbox.create_canister(name="counter").install(fixture("counter.enhanced"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    typed = block("bash", "openapi").replace("8000", port).replace("serve --log", f"serve --port {port} --log")
    typed = typed.replace("\nask state\n", "\nuntil ask state; do sleep 0.1; done\n")
    typed = f"trap 'kill %1 2>/dev/null' EXIT\n{typed}"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    printed = run(["bash", "-emc", typed], tmp_path, PATH=path)
    counts = re.findall(r'"candid":"\((\d+) : nat\)"', printed)
    assert counts == ["1", "2", "1"]
    assert '"different":true' in printed
    assert re.search(r"http://console\.localhost:\d+/_sandbox/enter\?code=\S+", printed)
    assert 'canister_sandbox_requests_total{kind="own",status="200"}' in printed
    assert '"openapi":"3.1.0"' in (tmp_path / "openapi.json").read_text()
    assert '"event": "request"' in (tmp_path / "requests.log").read_text()

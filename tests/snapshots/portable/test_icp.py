"""The directory, judged by icp-cli itself: its downloads are what we write, to the byte, and it uploads what is ours.

Runs where `icp` (npm `@icp-sdk/icp-cli`) is installed, against a server of a few lines that answers update calls with
certificates of our own making.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cbor2
import pytest

from sandbox import Canister, Principal, Sandbox
from sandbox.certify.certificate import certificate
from sandbox.certify.key import RootKey
from sandbox.certify.request_id import request_id
from sandbox.certify.state_tree import RequestFacts, StateTree, SubnetFacts
from sandbox.snapshots import portable
from tests.conftest import fixture
from tests.snapshots.portable.samples import canister_with_everything

ICP = os.environ.get("ICP_CLI") or shutil.which("icp")
pytestmark = pytest.mark.skipif(ICP is None, reason="icp is not installed, and ICP_CLI names none")
KEY = RootKey.from_seed(b"icp")
RANGE = (Principal.from_index(0), Principal.from_index(0xFFFFF))
NOBODY = Principal.anonymous()


class Server(ThreadingHTTPServer):
    """A replica for one sandbox, as far as snapshots go."""

    daemon_threads = True

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sandbox = sandbox
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        content = dict(cbor2.loads(body.removeprefix(b"\xd9\xd9\xf7"))["content"])
        target, sender = (Principal(bytes(content[name])) for name in ("canister_id", "sender"))
        with self.server.lock:
            result = self.server.sandbox.update(target, content["method_name"], bytes(content["arg"]), sender)
        assert result.reply is not None, result.reject
        number = request_id(content)
        subnet = SubnetFacts(KEY.subnet_id, KEY.public_key, (RANGE,))
        tree = StateTree.of(time.time_ns(), {}, {number: RequestFacts.replied(result.reply)}, subnet).tree()
        proof = certificate(tree, [(b"time",), (b"request_status", number)], KEY)
        answer = cbor2.dumps({"status": "replied", "certificate": proof})
        self.send_response(200)
        self.send_header("content-type", "application/cbor")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def icp(sandbox: Sandbox, tmp_path: Path) -> Iterator[Icp]:
    server = Server(sandbox)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Icp(server.server_port, tmp_path / "home")
    server.shutdown()
    thread.join()
    server.server_close()


class Icp:
    """The command line, on the server."""

    def __init__(self, port: int, home: Path) -> None:
        home.mkdir()
        self._network = ["-n", f"http://127.0.0.1:{port}", "-k", KEY.public_key.hex()]
        self._environment = {"HOME": str(home), "ICP_HOME": str(home), "DO_NOT_TRACK": "1", "PATH": os.environ["PATH"]}

    def __call__(self, *args: str) -> str:
        assert ICP is not None
        command = [ICP, "canister", "snapshot", *args, *self._network]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environment, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def everybodys(canister: Canister) -> Canister:
    canister.update_settings(controllers=[NOBODY, canister.status().settings.controllers[0]])
    return canister


def real(sandbox: Sandbox, name: str) -> Canister:
    canister = sandbox.create_canister()
    canister.install(fixture(name))
    canister.call("fill", 300)
    return canister


@pytest.mark.parametrize("name", ["everything", "people_v1.enhanced", "people_stable_rs_v1"])
def test_what_it_downloads_is_what_we_write(sandbox: Sandbox, icp: Icp, tmp_path: Path, name: str) -> None:
    canister = everybodys(canister_with_everything(sandbox) if name == "everything" else real(sandbox, name))
    snapshot = canister.take_snapshot("x")
    icp("download", str(canister.id), snapshot.id.hex(), "-o", str(tmp_path / "theirs"))
    ours = sandbox.snapshots.download(snapshot.id, tmp_path / "ours")
    found = {
        side: {str(f.relative_to(side)): f.read_bytes() for f in side.rglob("*") if f.is_file()}
        for side in (tmp_path / "theirs", ours)
    }
    theirs = found[tmp_path / "theirs"]
    assert theirs.pop(".lock") == b""
    assert found[ours].pop("sandbox.json")
    assert theirs == found[ours]
    if name != "everything":  # which has globals that are NaN: JSON has no number for them
        assert sandbox.snapshots.create_canister(tmp_path / "theirs").raw_state() == canister.raw_state()


def test_it_uploads_what_we_write(sandbox: Sandbox, icp: Icp, tmp_path: Path) -> None:
    canister = everybodys(real(sandbox, "people_v1.classical"))
    snapshot, raw = canister.take_snapshot("x"), canister.raw_state()
    path = sandbox.snapshots.download(snapshot.id, tmp_path / "ours")
    canister.call("fill", 3)
    icp("upload", str(canister.id), "-i", str(path))
    [_, made] = canister.list_snapshots()
    canister.load_snapshot(made.id)
    assert canister.raw_state() == raw
    with portable.opened(path) as content:
        portable.verify(content)

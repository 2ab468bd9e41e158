"""The `icp` command line uses a served state as it uses any network: every certificate and signature is verified."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.conftest import FIXTURES, fixture
from tests.http.icp import Icp
from tests.http.served import Served, served
from tests.http.tools import NEEDS_ICP

pytestmark = [pytest.mark.slow, NEEDS_ICP]

Run = Callable[..., str]
LOCAL = """\
canisters:
  - {{name: counter, build: {{steps: [{{type: pre-built, path: {path}}}]}}}}
networks:
  - {{name: local, mode: managed, gateway: {{port: {port}}}}}
"""
COUNTER, BIG = FIXTURES / "counter.enhanced.wasm", "big.wasm"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("network") / "state") as server:
        yield server


@pytest.fixture(scope="module")
def icp(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Icp:
    icp = Icp.make(tmp_path_factory.mktemp("icp"))
    big = icp.project / BIG
    big.write_bytes(_padded(fixture("counter.enhanced"), 3 << 20))
    icp.use(server.url, counter=COUNTER, big=big, rust=FIXTURES / "people_stable_rs_v1.wasm")
    return icp


@pytest.fixture
def run(icp: Icp) -> Run:
    """A command in the environment of the served state."""
    return lambda *arguments, **options: icp(*arguments, environment="sandbox", **options)


def _padded(module: bytes, size: int) -> bytes:
    """The module with a custom section of so many bytes."""
    content = b"\x03pad" + bytes(size)
    length, rest = b"", len(content)
    while rest >= 0x80:
        length, rest = length + bytes([rest & 0x7F | 0x80]), rest >> 7
    return module + b"\0" + length + bytes([rest]) + content


def test_a_canister_is_created_installed_called_upgraded_and_deleted(run: Run) -> None:
    assert "Created canister counter" in run("canister", "create", "counter")
    run("build", "counter")
    run("canister", "install", "counter")
    assert "(1 : nat)" in run("canister", "call", "counter", "inc", "()")
    assert "(1 : nat)" in run("canister", "call", "counter", "get", "()", "--query")
    assert "boom: on purpose" in run("canister", "call", "counter", "boom", "()", fails=True)
    assert "[TRAP]: boom: on purpose" in run("canister", "logs", "counter")
    run("canister", "install", "counter", "--mode", "upgrade")
    assert "(1 : nat)" in run("canister", "call", "counter", "get", "()", "--query")
    run("canister", "settings", "update", "counter", "--freezing-threshold", "3000000")
    assert "Freezing threshold: 3_000_000" in run("canister", "settings", "show", "counter")
    assert "Status: Running" in run("canister", "status", "counter")
    assert "Topped up" in run("canister", "top-up", "counter", "--amount", "1t")
    assert "inc: () -> (nat)" in run("canister", "metadata", "counter", "candid:service")
    run("canister", "install", "counter", "--mode", "reinstall", "--yes")
    assert "(0 : nat)" in run("canister", "call", "counter", "get", "()", "--query")
    run("canister", "stop", "counter")
    assert "Recovered 2" in run("canister", "delete", "counter")


def test_snapshots_are_taken_moved_and_restored(run: Run, icp: Icp, tmp_path: Path) -> None:
    run("deploy", "counter")
    run("canister", "call", "counter", "inc", "()")
    run("canister", "stop", "counter")
    [taken] = re.findall(r"Created snapshot (\w+)", run("canister", "snapshot", "create", "counter"))
    assert taken in run("canister", "snapshot", "list", "counter")
    folder = tmp_path / "snapshot"
    run("canister", "snapshot", "download", "counter", taken, "-o", str(folder))
    run("canister", "start", "counter")
    run("canister", "call", "counter", "inc", "()")
    run("canister", "stop", "counter")
    run("canister", "snapshot", "restore", "counter", taken)
    run("canister", "start", "counter")
    assert "(1 : nat)" in run("canister", "call", "counter", "get", "()", "--query")

    run("canister", "create", "rust")
    run("canister", "stop", "rust")
    [sent] = re.findall(r"Created snapshot (\w+)", run("canister", "snapshot", "upload", "rust", "-i", str(folder)))
    run("canister", "snapshot", "restore", "rust", sent)
    run("canister", "start", "rust")
    assert "(1 : nat)" in run("canister", "call", "rust", "get", "()", "--query")
    run("canister", "snapshot", "delete", "rust", sent)
    assert sent not in run("canister", "snapshot", "list", "rust")
    for name in ("rust", "counter"):
        run("canister", "stop", name)
        run("canister", "delete", name, "--no-recover-cycles")

    sandbox = Sandbox()
    here = sandbox.snapshots.create_canister(folder)
    assert here.call("get") == 1


def test_a_project_is_deployed_also_with_a_module_above_two_mebibytes(run: Run) -> None:
    printed = run("deploy")
    assert "error" not in printed.lower()
    for name in ("counter", "big"):
        assert "(1 : nat)" in run("canister", "call", name, "inc", "()")
    assert "(0 : nat)" in run("canister", "call", "rust", "size", "()", "--query")
    run("deploy")
    assert "(1 : nat)" in run("canister", "call", "big", "get", "()", "--query")


def test_a_user_has_cycles_and_icp_to_send(run: Run) -> None:
    assert "cycles" in run("cycles", "balance")
    assert "Transferred" in run("cycles", "transfer", "1t", "aaaaa-aa")
    assert "ICP" in run("token", "balance")
    assert "Transferred 1.00000000 ICP" in run("token", "transfer", "1", "2vxsx-fae")


def test_a_user_lets_others_spend(run: Run) -> None:
    for token in ("icp", "um5iw-rqaaa-aaaaq-qaaba-cai"):
        run("token", token, "approve", "5", "aaaaa-aa")
        assert "5.0" in run("token", token, "allowance", "aaaaa-aa")


def test_a_user_turns_icp_into_cycles_and_canisters(run: Run) -> None:
    assert "Minted 7_999_900_000_000 cycles" in run("cycles", "mint", "--icp", "2")
    assert "Minted 3_000_000_000_000 cycles" in run("cycles", "mint", "--cycles", "3t")
    made = re.search(r"Created canister with ID (\S+)", run("canister", "create", "--detached", "--with-icp", "1"))
    assert made
    assert "Running" in run("canister", "status", made[1])


def test_icp_starts_and_stops_a_network_through_the_launcher(tmp_path: Path) -> None:
    own = Icp.make(tmp_path / "own")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (own.project / "icp.yaml").write_text(LOCAL.format(path=COUNTER, port=port))
    launcher = str(Path(sys.executable).with_name("canister-sandbox-launcher"))
    try:
        assert f"Network started on port {port}" in own(
            "network", "start", "-d", ICP_CLI_NETWORK_LAUNCHER_PATH=launcher
        )
        assert "Created canister counter" in own("deploy")
        assert "(1 : nat)" in own("canister", "call", "counter", "inc", "()")
    finally:
        assert "stopped successfully" in own("network", "stop")
    assert "is not running" in own("canister", "call", "counter", "inc", "()", fails=True)

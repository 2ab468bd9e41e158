"""A served state with one canister that a user with a key controls, and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox import Principal, Sandbox
from sandbox.cli import root
from sandbox.network.agent import Agent
from sandbox.network.identity import Identity, of_key
from sandbox.network.remote import Remote
from sandbox.network.transport import Patience
from tests.conftest import fixture
from tests.http.served import Served, served

HASTY = Patience(attempts=2, pause=0.01, timeout=20.0, answer=20.0)
"""Enough on one machine; a test of a dead network does not wait."""
EMPTY = b"DIDL\0\0"


@dataclass(frozen=True)
class Place:
    """`server` serves the directory `state`, in which the owner of `pem` controls `canister`, a counter."""

    folder: Path
    server: Served
    identity: Identity
    pem: Path
    canister: Principal

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @contextmanager
    def remote(self, canister: Principal | None = None) -> Iterator[Remote]:
        """The canister as its controller sees it."""
        with Agent.connect(self.server.url, identity=self.identity, patience=HASTY) as agent:
            yield Remote(agent, canister or self.canister)

    def run(self, *arguments: str, code: int = 0, **env: str) -> Any:
        """Run a command at the network; its JSON output."""
        shared = ["--output", "json", "--network", self.server.url, "--pem", str(self.pem)]
        done = command(self.folder, *shared, *arguments, **env)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


def command(folder: Path, *arguments: str, **env: str) -> Done:
    """Run the command line in a folder, in this process."""
    with chdir(folder):
        result = CliRunner(env={"COLUMNS": "200", **env}).invoke(root, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def key_file(path: Path, key: ed25519.Ed25519PrivateKey) -> Path:
    """Write a key as PKCS#8, which only its owner may read."""
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


@contextmanager
def placed(folder: Path, *modules: str) -> Iterator[Place]:
    """Serve a counter, whose count is 1, and further canisters with these modules."""
    key = ed25519.Ed25519PrivateKey.generate()
    pem, identity = key_file(folder / "alice.pem", key), of_key(key)
    with Sandbox.open(folder / "state") as sandbox:
        counter = sandbox.create_canister(controllers=[identity.principal])
        counter.install(fixture("counter.enhanced"))
        counter.call("inc")
        for module in modules:
            sandbox.create_canister(controllers=[identity.principal]).install(fixture(module))
    with served(folder / "state", "--saving", "exit") as server:
        yield Place(folder, server, identity, pem, counter.id)

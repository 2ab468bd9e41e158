"""The `icp` command line, in a project of its own against a served state."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.http.tools import ICP, npm

PROJECT = """\
canisters:
{canisters}
networks:
  - {{name: sandbox, mode: connected, url: {url}, root-key: fetch}}
environments:
  - {{name: sandbox, network: sandbox}}
"""
_CANISTER = "  - {{name: {name}, build: {{steps: [{{type: pre-built, path: {path}}}]}}}}"


@dataclass(frozen=True)
class Icp:
    """`icp("canister", "call", ...)` in a project with an identity; everything that it keeps is below `home`."""

    home: Path
    binary: Path

    @classmethod
    def make(cls, home: Path) -> Icp:
        """Make the folders and an identity."""
        binary = npm(*ICP.items()) / "node_modules/@icp-sdk/icp-cli-linux-x64/bin/icp"
        binary.chmod(0o755)
        (home / "project").mkdir(parents=True)
        icp = cls(home, binary)
        icp("identity", "new", "alice", "--storage", "plaintext")
        icp("identity", "default", "alice")
        return icp

    @property
    def project(self) -> Path:
        return self.home / "project"

    def use(self, url: str, **modules: Path) -> None:
        """Write the project file: the network at this URL, and canisters by name with their modules."""
        canisters = "\n".join(_CANISTER.format(name=name, path=path) for name, path in modules.items())
        (self.project / "icp.yaml").write_text(PROJECT.format(url=url, canisters=canisters))

    def __call__(self, *arguments: str, fails: bool = False, environment: str | None = None, **env: str) -> str:
        """Run a command; standard output and error together. `environment`: that of the project to use."""
        own = {"HOME": str(self.home), "ICP_HOME": str(self.home / "icp"), "DO_NOT_TRACK": "1", "RUST_BACKTRACE": "0"}
        command = [str(self.binary), *arguments, *(["-e", environment] if environment else [])]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=self.project,
            env={**os.environ, **own, **env},
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) is fails, f"{arguments}: {done.returncode}\n{done.stdout}"
        return done.stdout

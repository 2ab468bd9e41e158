"""Clients of others, in pinned versions, from the public registries: installed once into a cache folder."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "canister-sandbox-clients"
AGENTS = {
    "@icp-sdk/core": "6.1.0",
    "@dfinity/agent": "3.4.3",
    "@dfinity/identity": "3.4.3",
    "@dfinity/principal": "3.4.3",
}
ASSETS = dict.fromkeys(("@dfinity/assets", "@dfinity/agent", "@dfinity/identity", "@dfinity/principal"), "3.4.3")
BROWSER = {"puppeteer-core": "24.10.0"}
ICP = {"@icp-sdk/icp-cli-linux-x64": "1.5.0"}
PYTHON_AGENTS = {"ic-py": "1.0.1", "icp-py-core": "2.3.1"}

NEEDS_NPM = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
NEEDS_CARGO = pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed")
NEEDS_ICP = pytest.mark.skipif(
    shutil.which("npm") is None or (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="the icp tool comes by npm, for Linux on x86_64",
)


@cache
def npm(*packages: tuple[str, str]) -> Path:
    """A folder with `node_modules` in which these packages are; none of their scripts is run."""
    folder = CACHE / packages[0][0].replace("/", "+")  # of its own: npm removes what it is not asked for
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text("{}")
    wanted = [f"{name}@{version}" for name, version in packages]
    _run("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", *wanted, cwd=folder)
    return folder


@cache
def python(*packages: tuple[str, str]) -> Path:
    """The interpreter of an environment with these packages."""
    folder = CACHE / "python"
    if not folder.exists():
        _run(sys.executable, "-m", "venv", str(folder), cwd=CACHE.parent)
    interpreter = folder / "bin" / "python"
    wanted = [f"{name}=={version}" for name, version in packages]
    _run(str(interpreter), "-m", "pip", "install", "--quiet", *wanted, cwd=folder)
    return interpreter


@cache
def cargo(crate: Path) -> Path:
    """The program of a crate, built with the versions in its lock file; minutes the first time."""
    folder = CACHE / crate.name
    folder.mkdir(parents=True, exist_ok=True)
    _run("cargo", "build", "--quiet", "--locked", f"--target-dir={folder}", cwd=crate)
    return folder / "debug" / crate.name.replace("_", "-")


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""The guide is run as it is typed: the configuration, then the commands, at a served network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.candid import NAT, decode
from sandbox.service.config import read_config
from tests.network.place import EMPTY, Place

GUIDE = (Path(__file__).resolve().parents[2] / "sandbox" / "service" / "GUIDE.md").read_text("utf-8")


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert isinstance(found, str)
    return found


@pytest.fixture
def folder(place: Place) -> Path:
    """A folder with the configuration and the key of the guide."""
    text = block("yaml").replace("http://127.0.0.1:8000", place.server.url)
    assert str(place.canister) in text
    place.pem.rename(place.folder / "controller.pem")
    (place.folder / "backup.yaml").write_text(text)
    return place.folder


@pytest.mark.slow
def test_the_guide(place: Place, folder: Path) -> None:
    backup, rest = block("bash").split("\n\n")
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}

    def bash(script: str) -> str:
        done = subprocess.run(["bash", "-ec", script], cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    printed = bash(backup)
    assert "backed up and proven counter: snapshot" in printed
    assert "365 taken" in printed
    with place.remote() as remote:
        remote.agent.update(place.canister, "inc", EMPTY)
    printed = bash(rest)
    assert "would restore snapshot" in printed
    assert "restored counter: snapshot" in printed
    with place.remote() as remote:
        assert remote.state() == "running"
        assert decode([NAT], remote.agent.query(place.canister, "get", EMPTY)) == [1]
    assert "ExecStart=" in (folder / "canister-backups.service").read_text()


def test_the_alternatives_in_the_comments_are_read(folder: Path) -> None:
    path = folder / "backup.yaml"
    plain = re.sub(r"^schedule: .*$", "schedule: {REPLACED}", path.read_text(), flags=re.MULTILINE)
    for alternative in re.findall(r"or (every: 6h|quiet: true)", block("yaml")):
        path.write_text(plain.replace("REPLACED", alternative))
        [target] = read_config(path).targets
        assert target.schedule is not None
        assert target.schedule.cron is None

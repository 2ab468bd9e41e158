"""The page of a canister under maintenance in a real browser: it comes, counts down, and goes by itself."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from sandbox import Sandbox
from tests.conftest import fixture
from tests.http.browser import Look, browse
from tests.http.served import Served, served
from tests.http.tools import NEEDS_NPM

pytestmark = [pytest.mark.slow, NEEDS_NPM]
TIMER, TITLE = "document.querySelector('.big')?.textContent", "document.querySelector('h1').textContent"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("maintenance") / "state"
    with Sandbox.open(state) as sandbox:
        sandbox.create_canister(name="site").install(fixture("site_rs"))
    return state


@pytest.fixture(scope="module")
def server(state: Path) -> Iterator[Served]:
    with served(state, "--saving", "exit") as server:
        yield server


def command(state: Path, *arguments: str) -> None:
    call = [sys.executable, "-m", "sandbox", "--state", str(state), "maintenance", *arguments]
    subprocess.run(call, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_counts_down_in_every_window_and_scheme(
    state: Path, server: Served, tmp_path: Path, width: int, dark: bool
) -> None:
    command(state, "begin", "site", "--until", "90m", "--message", "We move the <house>")
    look = Look(width, dark, tmp_path / "page.png")
    url = f"http://site.localhost:{server.port}/deep/link"
    seen = browse(url, f"/^1:(30:00|29:\\d\\d)$/.test({TIMER})", "document.body.innerText", look=look)
    command(state, "end", "site")
    [text] = seen.values
    assert (seen.title, seen.wide) == ("Under maintenance", False)
    assert "We move the <house>" in text
    assert [error for error in seen.errors if "503" not in error] == []
    ground = Image.open(tmp_path / "page.png").convert("L").getpixel((2, 2))
    assert isinstance(ground, int)
    assert (ground < 60) is dark


@pytest.mark.parametrize("early", [False, True])
def test_the_site_comes_back_by_itself(state: Path, server: Served, early: bool) -> None:
    command(state, "begin", "site", "--until", "1h" if early else "12s")
    ender = threading.Timer(8, command, (state, "end", "site"))
    if early:
        ender.start()
    try:
        url = f"http://site.localhost:{server.port}/"
        assert browse(url, f"{TITLE} === 'Under maintenance'", f"{TITLE} === 'Site' && 'back'").values == ["back"]
    finally:
        ender.cancel()

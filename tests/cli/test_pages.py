"""Report pages open in a real browser without an error, in light and in dark."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import FIXTURES, Cli, module

SCENARIOS = [str(FIXTURES.parent / "scenarios" / name) for name in ("matrix.yaml", "caught/drops_rust.yaml")]
PEOPLE = [module(f"people_stable_rs_{version}") for version in ("v1", "v2_good", "v2_drops")]
PAGES = {
    "scenarios": (("verify", *SCENARIOS), 1),
    "upgrade": (("verify-upgrade", PEOPLE[0], PEOPLE[2], "--calls", "calls"), 1),
    "matrix": (("verify-matrix", "builds", "--calls", "calls"), 1),
}
"""The command that writes each page, and its exit code."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "calls").write_text("fill(20)\n")
    (tmp_path / "builds").write_text("\n".join(PEOPLE) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", PAGES)
def test_a_page_opens_in_a_browser_without_errors(cli: Cli, place: Path, kind: str, scheme: str) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser, "no browser to open the page with; on Debian and Ubuntu: apt-get install -y chromium"
    command, code = PAGES[kind]
    cli(*command, "--html", "report.html", code=code)
    log, picture = place / "log", place / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--window-size=1280,1200"]
    options += [f"--user-data-dir={place / 'profile'}", f"--screenshot={picture}"]
    options += ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    with log.open("w") as errors:
        subprocess.run([browser, *options, (place / "report.html").as_uri()], stderr=errors, check=True, timeout=120)
    assert "CONSOLE" not in log.read_text()
    image = Image.open(picture).convert("RGB")
    assert image.size == (1280, 1200)
    assert len(image.getcolors(1 << 24) or []) > 50
    corner = image.getpixel((2, 2))
    assert isinstance(corner, tuple)
    assert (corner[0] > 200) == (scheme == "light")

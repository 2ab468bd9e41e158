"""A real browser, headless, that opens pages of a served sandbox."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.http.tools import BROWSER, npm


@dataclass(frozen=True)
class Seen:
    """What a page was like at the end: its title, the values of the expressions, errors of the console, and whether it
    was wider than the window."""

    title: str
    values: list[Any]
    errors: list[str]
    wide: bool


@dataclass(frozen=True)
class Look:
    """How a page is looked at."""

    width: int = 1280
    dark: bool = False
    picture: Path | None = None


def browse(url: str, until: str, *then: str, look: Look | None = None) -> Seen:
    """Open a page; wait until an expression is true, then evaluate others in turn, each until it has a value."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser, "no browser to open the page with; on Debian and Ubuntu: apt-get install -y chromium"
    look = look or Look()
    visit = {"browser": browser, "url": url, "width": look.width, "dark": look.dark, "until": until, "then": then}
    visit["picture"] = None if look.picture is None else str(look.picture)
    script = str(Path(__file__).with_name("browse.mjs"))
    command = ["node", script, str(npm(*BROWSER.items())), json.dumps(visit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return Seen(**json.loads(done.stdout))

"""Pages of canisters open in a real browser: an asset canister that a real client filled, a Candid UI, error pages."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from PIL import Image

from sandbox import Principal, Sandbox
from tests.conftest import FIXTURES, fixture
from tests.http.browser import Look, browse
from tests.http.icp import Icp
from tests.http.served import Served, served
from tests.http.tools import ASSETS, NEEDS_ICP, NEEDS_NPM, npm
from tests.http.users import der

pytestmark = [pytest.mark.slow, NEEDS_NPM]
INDEX = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Served</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css"></head>
<body><h1>Served by a canister</h1><p id="size">loading</p><script type="module" src="/page.js"></script></body></html>
"""
SCRIPT = """\
const answer = await fetch("/large.bin");
const bytes = new Uint8Array(await answer.arrayBuffer());
document.getElementById("size").textContent = `${bytes.length} bytes, last ${bytes.at(-1)}`;
"""
PROJECT = """\
canisters:
  - {{name: counter, build: {{steps: [{{type: pre-built, path: {wasm}/counter.enhanced.wasm}}]}}}}
  - {{name: site, build: {{steps: [{{type: pre-built, path: {wasm}/site_rs.wasm.gz}}]}}}}
networks:
  - {{name: local, mode: managed, gateway: {{port: {port}}}}}
"""
LARGE = bytes(at % 253 for at in range(4_500_000))
"""More than one reply can hold: the asset canister sends it in pieces."""
SEED = bytes(range(32))


@dataclass(frozen=True)
class Site:
    """A served asset canister."""

    server: Served
    canister: Principal

    def url(self, canister: str, path: str = "/") -> str:
        return f"http://{canister}.localhost:{self.server.port}{path}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    files = folder / "files"
    files.mkdir()
    (files / "index.html").write_text(INDEX)
    (files / "style.css").write_text("h1 { color: rgb(1, 2, 3) }")
    (files / "page.js").write_text(SCRIPT)
    (files / "large.bin").write_bytes(LARGE)
    owner = Principal.self_authenticating(der(ed25519.Ed25519PrivateKey.from_private_bytes(SEED).public_key()))
    with Sandbox.open(folder / "state") as sandbox:
        assets = sandbox.create_canister([owner], name="site")
        assets.install(fixture("assets_rs"), sender=owner)
        sandbox.create_canister(name="counter").install(fixture("counter.enhanced"))
    with served(folder / "state", "--saving", "exit") as server:
        script = str(Path(__file__).parents[1] / "upload_assets.mjs")
        modules = str(npm(*ASSETS.items()))
        command = ["node", script, modules, server.url, str(assets.id), SEED.hex(), str(files)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == ["/index.html", "/large.bin", "/page.js", "/style.css"]
        yield Site(server, assets.id)


@pytest.mark.parametrize("by", ["id", "name", "parameter"])
def test_a_page_that_a_client_uploaded_opens(site: Site, by: str) -> None:
    places = {
        "id": site.url(str(site.canister)),
        "name": site.url("site"),
        "parameter": f"http://localhost:{site.server.port}/?canisterId={site.canister}",
    }
    ready = "document.getElementById('size').textContent.includes('bytes')"
    color, text = "getComputedStyle(document.querySelector('h1')).color", "document.getElementById('size').textContent"
    seen = browse(places[by], ready, color, text)
    assert (seen.title, seen.errors) == ("Served", [])
    assert seen.values == ["rgb(1, 2, 3)", f"4500000 bytes, last {LARGE[-1]}"]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_an_error_page_fits_every_window_and_scheme(site: Site, tmp_path: Path, width: int, dark: bool) -> None:
    picture = tmp_path / "page.png"
    look = Look(width, dark, picture)
    seen = browse(
        site.url("counter"), "document.querySelector('h1')", "document.querySelector('h1').textContent", look=look
    )
    assert (seen.title, seen.values) == ("This canister has no web pages", ["This canister has no web pages"])
    assert not seen.wide
    ground = Image.open(picture).convert("L").getpixel((2, 2))
    assert isinstance(ground, int)
    assert (ground < 60) is dark


@NEEDS_ICP
def test_the_candid_ui_of_a_deployed_canister_calls_it(tmp_path: Path) -> None:
    icp = Icp.make(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (icp.project / "icp.yaml").write_text(PROJECT.format(wasm=FIXTURES, port=port))
    launcher = Path(sys.executable).with_name("canister-sandbox-launcher")
    icp("network", "start", "-d", ICP_CLI_NETWORK_LAUNCHER_PATH=str(launcher))
    try:
        printed = icp("deploy")
        interface = re.search(r"http://\S+/\?id=\S+", printed)
        assert interface
        assert f"http://site.local.localhost:{port}" in printed
        ready = "document.getElementById('inc')?.querySelector('button')"
        click = "(document.getElementById('inc').querySelector('button').click(), true)"
        result = "document.getElementById('inc').innerText.match(/\\(1\\)/)?.[0]"
        assert browse(interface[0], ready, click, result).values == [True, "(1)"]
        assert "(1 : nat)" in icp("canister", "call", "counter", "get", "()")
        seen = browse(f"http://site.local.localhost:{port}/", "document.querySelector('h1')", "document.title")
        assert seen.values == ["Site"]
    finally:
        icp("network", "stop")

"""The agents of others use a served canister, with all their verifications switched on."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.conftest import fixture
from tests.http.conftest import Place
from tests.http.tools import AGENTS, NEEDS_CARGO, NEEDS_NPM, PYTHON_AGENTS, cargo, npm, python

pytestmark = pytest.mark.slow


def _seen(*command: str) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


@NEEDS_NPM
@pytest.mark.parametrize("library", ["@icp-sdk/core", "@dfinity/agent"])
def test_a_javascript_agent_verifies_everything(place: Place, library: str) -> None:
    script = str(Path(__file__).with_name("agent_calls.mjs"))
    before = place.count()
    seen = _seen("node", script, str(npm(*AGENTS.items())), library, place.server.url, str(place.counter))
    assert seen == {
        "callers": [True, True, True],
        "anonymous": "2vxsx-fae",
        "count": str(before + 3),
        "update": "IC0503",
        "query": "IC0503",
        "certified": [1, 2, 3],
        "module_hash": hashlib.sha256(fixture("counter.enhanced")).hexdigest(),
        "candid": True,
    }


@NEEDS_CARGO
def test_the_rust_agent_verifies_everything(place: Place, tmp_path: Path) -> None:
    keys: dict[str, Any] = {
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "secp256k1": ec.generate_private_key(ec.SECP256K1()),
        "prime256v1": ec.generate_private_key(ec.SECP256R1()),
    }
    for name, key in keys.items():
        form = PrivateFormat.PKCS8 if name == "ed25519" else PrivateFormat.TraditionalOpenSSL
        (tmp_path / f"{name}.pem").write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    program = cargo(Path(__file__).with_name("rust_agent"))
    before = place.count()
    assert _seen(str(program), place.server.url, str(place.counter), str(tmp_path)) == {
        "callers": [[str(before + number), True] for number in range(1, 5)],
        "update": "certified IC0503",
        "query": "IC0503",
        "certified": [1, 2, 3],
        "module_hash": hashlib.sha256(fixture("counter.enhanced")).hexdigest(),
        "candid": True,
        "controllers": 1,
    }


def test_the_python_agents_update_and_query(place: Place) -> None:
    script = str(Path(__file__).with_name("python_agents.py"))
    interpreter = str(python(*PYTHON_AGENTS.items()))
    before = place.count()
    assert _seen(interpreter, script, place.server.url, str(place.counter), place.root_key.hex()) == {
        "ic-py ed25519": [True, before + 1],
        "icp-py-core ed25519": [True, before + 2],
        "ic-py secp256k1": [True, before + 3],
        "icp-py-core secp256k1": [True, before + 4],
    }

"""What we certify, judged by the JavaScript agent `@icp-sdk/core` (its own CBOR, hash trees and BLS12-381).

Runs where `node` is installed and AGENT_MODULES names a folder with `node_modules/@icp-sdk/core` in it
(`npm install @icp-sdk/core` there).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sandbox.certify.certificate import SignedTree, data_path, sign_tree
from tests.certify import world

FOLDER = Path(os.environ.get("AGENT_MODULES", "."))
pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules/@icp-sdk/core").is_dir(),
        reason="AGENT_MODULES names no folder with node_modules/@icp-sdk/core",
    ),
]

SIGNED = sign_tree(world.STATE.tree(), world.KEY)
INSIDE = world.FAR[0]
DATA = data_path(world.FIRST)
ABSENT = (b"canister", bytes(world.FIRST), b"metadata", b"absent")
REPLY = {"status": "replied", "reply": {"arg": b"DIDL\0\0"}}
REJECT = {"status": "rejected", "reject_code": 5, "reject_message": "no", "error_code": "IC0503"}
CANISTER_PATHS = [
    (b"canister", bytes(world.FIRST), b"controllers"),
    (b"canister", bytes(world.FIRST), b"module_hash"),
    (b"canister", bytes(world.FIRST), b"metadata", b"candid:service"),
]


def child(*paths: tuple[bytes, ...]) -> bytes:
    return sign_tree(world.STATE.tree(), world.CHILD, world.delegation(*paths)).certificate([DATA])


def certificates() -> list[bytes]:
    forged = SignedTree(SIGNED.tree, world.KEY.sign(bytes(32)))
    return [
        SIGNED.data_certificate(world.FIRST),
        SIGNED.certificate([ABSENT]),
        forged.data_certificate(world.FIRST),
        child(world.CHILD_KEY, world.CHILD_SHARDS),
        child(world.CHILD_KEY, world.CHILD_FLAT),
    ]


@cache
def answers() -> Any:
    def query(response: dict[str, Any]) -> dict[str, Any]:
        entry: dict[str, Any] = world.NODE.sign_query_response(response, world.REPLIED, world.TIME)
        signature = {"timestamp": str(entry["timestamp"]), "signature": entry["signature"].hex()}
        shown = {name: {"arg": value["arg"].hex()} if name == "reply" else value for name, value in response.items()}
        return {"response": shown, "request_id": world.REPLIED.hex(), "signature": signature}

    paths = [[label.hex() for label in path] for path in (DATA, ABSENT)]
    question = {
        "root_key": world.KEY.public_key.hex(),
        "canister_id": bytes(INSIDE).hex(),
        "subnet_id": world.SUBNET.hex(),
        "node_key": world.NODE.public_key.hex(),
        "certificates": [{"certificate": raw.hex(), "paths": paths} for raw in certificates()],
        "queries": [query(REPLY), query(REJECT)],
        "canister_status": SIGNED.certificate(CANISTER_PATHS).hex(),
        "status_canister_id": bytes(world.FIRST).hex(),
        "subnet_status": SIGNED.certificate([(b"subnet", world.SUBNET)]).hex(),
    }
    command = ["node", str(Path(__file__).with_name("agent_check.mjs")), str(FOLDER.resolve())]
    done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_agent_accepts_a_data_certificate() -> None:
    assert answers()["judged"][0] == [b"data".hex(), "Unknown"]


def test_the_agent_sees_a_proof_of_absence() -> None:
    assert answers()["judged"][1] == ["Unknown", "Absent"]


def test_the_agent_refuses_a_wrong_signature() -> None:
    assert "Invalid signature" in answers()["judged"][2]


def test_the_agent_follows_a_delegation_with_either_layout_of_ranges() -> None:
    assert answers()["judged"][3] == [b"data".hex(), "Unknown"]
    assert answers()["judged"][4] == [b"data".hex(), "Unknown"]


def test_the_agent_accepts_signatures_of_query_answers() -> None:
    assert answers()["signed"] == [True, True]


def test_the_agent_reads_the_status_of_a_canister() -> None:
    assert answers()["canister"] == {
        "time": world.TIME // 1_000_000,
        "controllers": [str(one) for one in sorted(world.FACTS.controllers)],
        "module_hash": world.HASH.hex(),
        "candid": "service : {}",
    }


def test_the_agent_reads_the_status_of_a_subnet() -> None:
    assert answers()["subnet"] == {
        "time": world.TIME // 1_000_000,
        "public_key": world.KEY.public_key.hex(),
        "node_keys": [[str(world.NODE.node_id), world.NODE.public_key.hex()]],
        "canister_ranges": [[str(world.FIRST), str(world.LAST)], [str(end) for end in world.FAR]],
    }

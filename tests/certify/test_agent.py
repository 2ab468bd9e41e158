"""What we certify, judged by the JavaScript agent `@icp-sdk/core` (its own CBOR, hash trees and BLS12-381).

Runs where `node` is installed and AGENT_MODULES names a folder with `node_modules/@icp-sdk/core` in it
(`npm install @icp-sdk/core` there).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sandbox import Principal, Sandbox
from sandbox.certify.certificate import SignedTree, data_path, sign_tree
from sandbox.certify.hash_tree import Path as HashPath
from tests.certify import sample
from tests.certify.guests import CERTIFIED
from tests.conftest import fixture

FOLDER = Path(os.environ.get("AGENT_MODULES", "."))
pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules/@icp-sdk/core").is_dir(),
        reason="AGENT_MODULES names no folder with node_modules/@icp-sdk/core",
    ),
]

SIGNED = sign_tree(sample.STATE.tree(), sample.KEY)
INSIDE = sample.FAR[0]
DATA = data_path(sample.FIRST)
ABSENT = (b"canister", bytes(sample.FIRST), b"metadata", b"absent")
REPLY = {"status": "replied", "reply": {"arg": b"DIDL\0\0"}}
REJECT = {"status": "rejected", "reject_code": 5, "reject_message": "no", "error_code": "IC0503"}


class Live:
    """A sandbox in which a canister has set its certified data."""

    def __init__(self) -> None:
        self.sandbox = Sandbox(seed=7)
        self.canister = self.sandbox.create_canister()
        self.canister.install(CERTIFIED)
        self.canister.update("set", b"live")
        self.motoko = self.sandbox.create_canister()
        self.motoko.install(fixture("counter.enhanced"))
        self.motoko.call("set_certified", b"motoko")

    @property
    def key(self) -> str:
        return self.sandbox.root_key.hex()

    def data_certificate(self) -> bytes:
        reply = self.canister.query_raw("certificate").reply
        assert reply is not None
        return reply

    def asked(self) -> list[dict[str, Any]]:
        """Certificates that canisters answered: the guest's, the Motoko canister's, the first after an update."""
        answers = [(self.data_certificate(), self.canister), (self.motoko.call("certificate"), self.motoko)]
        self.canister.update("set", b"changed")
        self.sandbox.advance_time(1)
        answers.append((self.data_certificate(), self.canister))
        return [asked(raw, self.sandbox.root_key, [data_path(canister.id)]) for raw, canister in answers]

    def status(self) -> dict[str, Any]:
        raw = self.sandbox.certificate(status_paths(bytes(self.motoko.id)))
        return {"certificate": raw.hex(), "root_key": self.key, "id": bytes(self.motoko.id).hex()}

    def subnet(self) -> dict[str, Any]:
        subnet_id = self.sandbox.subnet_id
        raw = self.sandbox.certificate([("subnet", subnet_id)])
        return {"certificate": raw.hex(), "root_key": self.key, "id": bytes(subnet_id).hex()}


def asked(raw: bytes, root_key: bytes, paths: Sequence[HashPath]) -> dict[str, Any]:
    """The question what a certificate says about some paths."""
    labels = [[label.hex() for label in path] for path in paths]
    return {"certificate": raw.hex(), "root_key": root_key.hex(), "paths": labels}


def status_paths(canister_id: bytes) -> list[tuple[bytes, ...]]:
    """What the agent reads for the status of a canister."""
    names = ((b"controllers",), (b"module_hash",), (b"metadata", b"candid:service"))
    return [(b"canister", canister_id, *name) for name in names]


def child(*paths: tuple[bytes, ...]) -> bytes:
    return sign_tree(sample.STATE.tree(), sample.CHILD, sample.delegation(*paths)).certificate([DATA])


def certificates() -> list[bytes]:
    forged = SignedTree(SIGNED.tree, sample.KEY.sign(bytes(32)))
    return [
        SIGNED.data_certificate(sample.FIRST),
        SIGNED.certificate([ABSENT]),
        forged.data_certificate(sample.FIRST),
        child(sample.CHILD_KEY, sample.CHILD_SHARDS),
        child(sample.CHILD_KEY, sample.CHILD_FLAT),
    ]


@cache
def answers() -> Any:
    def query(response: dict[str, Any]) -> dict[str, Any]:
        entry: dict[str, Any] = sample.NODE.sign_query_response(response, sample.REPLIED, sample.TIME)
        signature = {"timestamp": str(entry["timestamp"]), "signature": entry["signature"].hex()}
        shown = {name: {"arg": value["arg"].hex()} if name == "reply" else value for name, value in response.items()}
        return {"response": shown, "request_id": sample.REPLIED.hex(), "signature": signature}

    live = Live()
    key, first = sample.KEY.public_key, bytes(sample.FIRST)
    status, subnet = SIGNED.certificate(status_paths(first)), SIGNED.certificate([(b"subnet", sample.SUBNET)])
    question = {
        "canister_id": bytes(INSIDE).hex(),
        "node_key": sample.NODE.public_key.hex(),
        "certificates": [*(asked(raw, key, [DATA, ABSENT]) for raw in certificates()), *live.asked()],
        "queries": [query(REPLY), query(REJECT)],
        "canisters": [{"certificate": status.hex(), "root_key": key.hex(), "id": first.hex()}, live.status()],
        "subnets": [{"certificate": subnet.hex(), "root_key": key.hex(), "id": sample.SUBNET.hex()}, live.subnet()],
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
    assert answers()["canisters"][0] == {
        "time": sample.TIME // 1_000_000,
        "controllers": [str(one) for one in sorted(sample.FACTS.controllers)],
        "module_hash": sample.HASH.hex(),
        "candid": "service : {}",
    }


def test_the_agent_reads_the_status_of_a_subnet() -> None:
    assert answers()["subnets"][0] == {
        "time": sample.TIME // 1_000_000,
        "public_key": sample.KEY.public_key.hex(),
        "node_keys": [[str(sample.NODE.node_id), sample.NODE.public_key.hex()]],
        "canister_ranges": [[str(sample.FIRST), str(sample.LAST)], [str(end) for end in sample.FAR]],
    }


def test_the_agent_accepts_what_canisters_answer_with() -> None:
    assert answers()["judged"][5:] == [[data.hex()] for data in (b"live", b"motoko", b"changed")]


def test_the_agent_reads_the_status_of_a_canister_of_a_sandbox() -> None:
    live = Live()
    candid = live.motoko.metadata("candid:service")
    assert candid is not None
    assert answers()["canisters"][1] == {
        "time": (live.sandbox.time + 1_000_000_000) // 1_000_000,
        "controllers": [str(live.sandbox.identity("default"))],
        "module_hash": hashlib.sha256(fixture("counter.enhanced")).hexdigest(),
        "candid": candid.decode(),
    }


def test_the_agent_reads_the_status_of_the_subnet_of_a_sandbox() -> None:
    live = Live()
    said = answers()["subnets"][1]
    assert said["public_key"] == live.key
    assert len(said["node_keys"]) == 1
    [[first, last]] = said["canister_ranges"]
    assert bytes(Principal.of(first)) <= bytes(live.canister.id) <= bytes(Principal.of(last))

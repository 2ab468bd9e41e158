"""Claims about the operations of the sandbox's own interface."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox
from tests.http.admin.conftest import filled
from tests.http.admin.owner import Owner
from tests.http.served import served


def call(owner: Owner, canister: str, method: str, **more: Any) -> Any:
    return owner.done("POST", f"/canisters/{canister}/call", {"method": method, **more})


def test_canisters_are_listed_with_what_they_are(owner: Owner) -> None:
    listed = {one["name"]: one for one in owner.done("GET", "/canisters")["canisters"]}
    assert {"c", "people"} <= listed.keys()
    assert owner.done("GET", "/canisters/c")["id"] == listed["c"]["id"]
    assert listed["c"]["status"] == "running"
    assert len(listed["c"]["module_hash"]) == 64


def test_a_call_is_made_in_candid_or_in_json_and_answered_in_both(owner: Owner) -> None:
    methods = {one["name"]: one for one in owner.done("GET", "/canisters/people/interface")["methods"]}
    assert (methods["size"]["kind"], methods["add"]["kind"]) == ("query", "update")
    assert methods["list"]["args"] == ["nat", "nat"]
    before = int(call(owner, "c", "get")["values"][0])
    assert call(owner, "c", "inc")["kind"] == "update"
    answer = call(owner, "c", "get")
    assert (answer["kind"], answer["candid"], answer["values"]) == ("query", f"({before + 1} : nat)", [before + 1])
    assert call(owner, "c", "work", values=["1000"])["reject"] is None
    assert call(owner, "c", "work", args="(1000 : nat)")["reject"] is None


def test_a_reject_is_an_answer(owner: Owner) -> None:
    answer = call(owner, "c", "absent", kind="update")
    assert answer["reply"] is None
    assert answer["reject"]["error_code"] == "IC0536"


def test_a_profile_is_made_and_shown_in_three_formats(owner: Owner) -> None:
    number = call(owner, "c", "work", values=[1000], profile=True)["profile"]
    kinds = {"svg": b"<svg", "folded": b"update work", "speedscope": b"speedscope"}
    for form, beginning in kinds.items():
        bearer = f"Bearer {owner.token}"
        response, content = owner.send("GET", f"/profiles/{number}?format={form}", Authorization=bearer)
        assert response.status == 200
        assert beginning in content
    assert owner.ask("GET", "/profiles/999999")[0] == 404


def test_time_is_moved_and_never_goes_back(owner: Owner) -> None:
    before = int(owner.done("GET", "/time")["time"])
    after = int(owner.done("POST", "/time/advance", {"by": "2h"})["time"])
    assert after - before >= 7_200_000_000_000
    assert owner.ask("POST", "/time/set", {"to": str(before)})[0] == 409
    later = owner.done("POST", "/time/set", {"to": str(after + 60_000_000_000)})["time"]
    assert int(later) == after + 60_000_000_000
    assert int(owner.done("GET", "/time")["time"]) >= int(later)


def test_timers_run_when_time_is_run(owner: Owner) -> None:
    before = call(owner, "c", "get_ticks")["values"][0]
    call(owner, "c", "tick_after", values=[3600])
    assert call(owner, "c", "get_ticks")["values"][0] == before
    assert owner.done("POST", "/time/run", {"span": "2h"})["rounds"] > 0
    assert call(owner, "c", "get_ticks")["values"][0] == before + 1


def test_an_anchor_undoes_what_was_done_since(owner: Owner) -> None:
    before, hashed = call(owner, "c", "get")["values"], None
    outer = owner.done("POST", "/anchors", {"label": "outer"})["anchor"]
    call(owner, "c", "inc")
    inner = owner.done("POST", "/anchors", {})["anchor"]
    call(owner, "c", "inc")
    assert [one["anchor"] for one in owner.done("GET", "/anchors")["anchors"]] == [outer, inner]
    assert owner.ask("POST", "/state/save")[0] == 409
    owner.done("DELETE", f"/anchors/{outer}")
    assert call(owner, "c", "get")["values"] == before
    assert owner.done("GET", "/anchors")["anchors"] == []
    assert owner.ask("DELETE", f"/anchors/{inner}")[0] == 404
    hashed = owner.done("GET", "/state/hash")["state_hash"]
    assert len(hashed) == 64


def test_an_open_anchor_ends_with_the_server(tmp_path: Path) -> None:
    state = filled(tmp_path / "state")
    with served(state, "--saving", "update") as server:
        mine = Owner(server, state)
        call(mine, "c", "inc")
        mine.done("POST", "/anchors", {})
        call(mine, "c", "inc")
        assert mine.done("GET", "/state")["unsaved"] is True
        assert server.end() == 0
    with Sandbox.open(state, read_only=True) as sandbox:
        assert sandbox.canister("c").call("get") == 1


def test_a_snapshot_is_taken_compared_verified_copied_loaded_and_deleted(owner: Owner) -> None:
    before = call(owner, "c", "get")["values"]
    taken = owner.done("POST", "/canisters/c/snapshots", {"label": "before"})
    call(owner, "c", "inc")
    difference = owner.done("GET", f"/diff?old={taken['id']}")
    assert difference["different"]
    assert difference["heap"]["changed"] > 0
    assert owner.done("POST", f"/snapshots/{taken['id']}/verify")["intact"]
    assert len(owner.done("GET", "/snapshots/before")["checksum"]) == 64
    owner.done("POST", "/snapshots/before/load", {})
    assert call(owner, "c", "get")["values"] == before
    assert not owner.done("GET", f"/diff?old={taken['id']}&new=c")["different"]
    copy = owner.done("POST", "/snapshots/before/label", {"label": "after"})
    assert owner.ask("GET", "/snapshots/before")[1]["label"] == "before"
    for one in (taken, copy):
        owner.done("DELETE", f"/snapshots/{one['id']}")
    assert owner.done("GET", "/snapshots?canister=c")["snapshots"] == []
    assert owner.ask("GET", "/snapshots/before")[0] == 404


def test_a_snapshot_file_goes_out_and_comes_back(owner: Owner) -> None:
    taken = owner.done("POST", "/canisters/c/snapshots", {"label": "file"})
    bearer = f"Bearer {owner.token}"
    response, content = owner.send("GET", f"/snapshots/{taken['id']}/file", Authorization=bearer)
    assert response.status == 200
    owner.done("DELETE", f"/snapshots/{taken['id']}")
    _, answer = owner.send("POST", "/canisters/c/snapshots/file", content, Authorization=bearer)
    assert json.loads(answer)["label"] == "file"
    response, answer = owner.send("POST", "/canisters/c/snapshots/file", content[:-100], Authorization=bearer)
    assert (response.status, json.loads(answer)["error"]["kind"]) == (400, "SnapshotFileCorrupt")


def test_a_difference_has_the_entries_that_changed(owner: Owner) -> None:
    before = owner.done("POST", "/canisters/people/snapshots", {"label": "empty", "via_hooks": True})
    person = {"name": "Ada", "email": "ada@example.org", "age": 36, "tags": ["first"]}
    assert call(owner, "people", "add", values=[person])["reject"] is None
    after = owner.done("POST", "/canisters/people/snapshots", {"label": "with Ada", "via_hooks": True})
    difference = owner.done("GET", f"/diff?old={before['id']}&new={after['id']}")
    entries = [entry for structure in difference["structures"] for entry in structure["entries"]]
    assert any("ada@example.org" in (entry["after"] or "") for entry in entries), difference
    assert not any("ada@example.org" in (entry["before"] or "") for entry in entries)
    for one in (before, after):
        owner.done("DELETE", f"/snapshots/{one['id']}")


def test_no_file_of_the_machine_is_read(owner: Owner) -> None:
    """In Python, a snapshot may be given by the path of a file; here it is no name of anything."""
    for which in ("/etc/passwd", str(owner.state), "./x.icsnap"):
        assert owner.ask("GET", f"/diff?old={which}&new=c")[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/canisters/c/call", {"method": "get", "unknown": 1}, 400),
        ("POST", "/canisters/c/call", {}, 400),
        ("POST", "/canisters/c/call", {"method": "work", "args": "(", "kind": "update"}, 400),
        ("POST", "/canisters/c/call", {"method": "work", "args": "(1)", "values": [1]}, 400),
        ("POST", "/canisters/c/call", {"method": "work", "canister": "people"}, 400),
        ("POST", "/canisters/absent/call", {"method": "get"}, 404),
        ("GET", "/canisters/absent", None, 404),
        ("POST", "/time/advance", {"by": "long"}, 400),
        ("POST", "/time/tick", {"rounds": 0}, 400),
        ("POST", "/time/tick", [], 400),
        ("GET", "/snapshots?canister=c&canister=c", None, 400),
        ("GET", "/nothing", None, 404),
        ("PUT", "/state", {}, 404),
        ("GET", "/diff?old=c", None, 400),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(
    owner: Owner, method: str, path: str, body: Any, status: int
) -> None:
    got, answer = owner.ask(method, path, body)
    assert (got, bool(answer["error"]["message"])) == (status, True)


def test_the_document_has_every_operation(owner: Owner) -> None:
    document = owner.done("GET", "/openapi.json")
    assert document["openapi"] == "3.1.0"
    assert document["paths"]["/canisters/{canister}/call"]["post"]["operationId"] == "call"
    body = document["paths"]["/canisters/{canister}/call"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    assert body["required"] == ["method"]

"""`snapshot inspect` and `snapshot query` on the command line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sandbox import Principal, Sandbox
from tests.cli.conftest import Cli, module
from tests.conftest import guest, sandbox_of, with_section

With = Callable[..., Cli]


@pytest.fixture
def people(with_canister: With) -> Cli:
    cli = with_canister("people", "people_stable_rs_v1")
    cli("canister", "call", "people", "fill", "(30)")
    cli("snapshot", "take", "people", "--label", "thirty")
    cli("canister", "call", "people", "fill", "(30)")
    return cli


def test_an_overview_says_what_is_in_module_and_memories(people: Cli) -> None:
    shown = people("snapshot", "inspect", "thirty")
    for text in (
        "label",
        "thirty",
        "2021-05-06 19:17:10",
        "get, size, list",
        "memory 0  BTreeMap  30",
        "memory 1  Cell",
    ):
        assert text in shown
    facts = people.json("snapshot", "inspect", "thirty")
    assert facts["stable"]["pages"] == 4112
    assert sum(facts["heap"]["classes"].values()) == facts["heap"]["pages"]
    assert facts["module"]["methods"]["query"] == ["get", "size", "list", "edit_count", "checksum", "config"]
    assert [part["kind"] for part in facts["decoded"]["parts"]] == ["BTreeMap", "Cell"]


def test_entries_of_a_structure_are_read_as_what_they_are(people: Cli) -> None:
    facts = people.json("snapshot", "inspect", "thirty", "--region", "0", "--limit", "2")
    assert (facts["count"], facts["forms"]) == (30, {"key": "nat", "value": "candid"})
    assert [entry["key"] for entry in facts["entries"]] == [0, 1]
    assert 'email = "person1@example.org"' in facts["entries"][1]["value"]
    shown = people("snapshot", "inspect", "thirty", "--region", "0", "--limit", "2")
    assert 'name = "Person 1"' in shown
    assert "and 28 more (--limit)" in shown


def test_entries_are_read_as_the_user_says(people: Cli) -> None:
    options = ("--region", "0", "--limit", "1", "--key-form", "hex", "--value-form", "text")
    facts = people.json("snapshot", "inspect", "thirty", *options)
    assert facts["entries"][0]["key"] == "00" * 8
    assert facts["entries"][0]["value"].startswith(b"DIDL".hex())  # it is no text


def test_a_canister_is_looked_into_by_its_name(people: Cli) -> None:
    assert "memory 0  BTreeMap  60" in people("snapshot", "inspect", "people", "--decode")


def test_texts_and_bytes_of_a_region(people: Cli) -> None:
    shown = people("snapshot", "inspect", "thirty", "--part", "stable", "--strings", "--pattern", "^person7@")
    assert '"person7@example.org' in shown
    facts = people.json("snapshot", "inspect", "thirty", "--region", "1", "--hexdump", "0x0:4")
    assert bytes.fromhex(facts["bytes"]) == b"SCL\x01"
    assert "no such" not in people("snapshot", "inspect", "thirty", "--part", "module", "--hexdump", "0:8")


def test_a_map_in_the_terminal_and_as_a_file(people: Cli, tmp_path: Path) -> None:
    shown = people("snapshot", "inspect", "thirty", "--picture", "--page", "65536")
    assert "19 pages of 64 KiB" in shown
    assert "\x1b[" not in shown
    file = tmp_path / "map.png"
    people("snapshot", "inspect", "thirty", "--part", "stable", "--map", str(file))
    with Image.open(file) as image:
        assert image.format == "PNG"


def test_globals_have_their_names(people: Cli) -> None:
    facts = people.json("snapshot", "inspect", "thirty", "--globals")
    [stack] = [found for found in facts["globals"] if found["name"] == "__stack_pointer"]
    assert (stack["type"], stack["mutable"]) == ("i32", True)


def test_the_interface_is_printed(people: Cli) -> None:
    assert "service :" in people("snapshot", "inspect", "thirty", "--candid")


def test_what_a_module_says_cannot_command_the_terminal(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "evil.wasm"
    evil = b"service : {} // \x1b[2J\x07 gone"
    file.write_bytes(with_section(guest(""), "icp:public candid:service", evil))
    cli("canister", "create", "evil")
    cli("canister", "install", "evil", str(file))
    for options in ((), ("--candid",)):
        assert "\x1b" not in cli("snapshot", "inspect", "evil", *options)


def test_regions_of_motoko_and_where_its_variables_are(with_canister: With) -> None:
    cli = with_canister("counter", "counter.classical")
    cli("canister", "call", "counter", "stable_put", '(3, blob "hello")')
    shown = cli("snapshot", "inspect", "counter", "--decode")
    assert "region 16  bytes" in shown
    assert "Motoko's stable variables are in the heap" in shown
    assert "|...hello........|" in cli("snapshot", "inspect", "counter", "--region", "16", "--hexdump", "0:16")


@pytest.mark.parametrize(
    ("mode", "layout"),
    [
        ("classical", "version 0: classical persistence, variables only"),
        ("enhanced", "version 7: graph copy, without regions"),
    ],
)
def test_variables_of_motoko_in_a_snapshot_via_hooks(with_canister: With, mode: str, layout: str) -> None:
    cli = with_canister("people", f"people_v1.{mode}")
    cli("canister", "call", "people", "fill", "(2)")
    cli("snapshot", "take", "people", "--via-hooks", "--label", "saved")
    shown = cli("snapshot", "inspect", "saved", "--decode")
    assert f"Motoko: layout {layout}" in shown
    assert 'email = "person1@example.org"' in shown
    entries = cli.json("snapshot", "inspect", "saved", "--decode")["entries"]
    assert {entry["variable"]: entry["type"] for entry in entries}["edits"] == "var Nat"
    assert cli("snapshot", "query", "saved", "size") == "(2 : nat)\n"


@pytest.mark.parametrize("name", ["thirty.icsnap", "thirty"])
def test_a_downloaded_snapshot_is_looked_into_as_the_one_it_was(people: Cli, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    [listed] = people.json("snapshot", "list", "people")
    people("snapshot", "download", listed["id"], str(file))
    before, after = people.json("snapshot", "inspect", "thirty"), people.json("snapshot", "inspect", str(file))
    for part in ("module", "heap", "stable", "decoded"):
        assert before[part] == after[part]
    assert people.json("snapshot", "inspect", "thirty", "--globals") == people.json(
        "snapshot", "inspect", str(file), "--globals"
    )
    assert 'name = "Person 1"' in people("snapshot", "inspect", str(file), "--region", "0")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_bare_stable_memory_is_decoded_with_the_module_that_wrote_it(
    cli: Cli, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    canister = Sandbox().create_canister()
    canister.install(module("people_v1.classical"))
    canister.call("fill", 2)
    snapshot = canister.take_snapshot(via_hooks=True)
    stable = sandbox_of(canister).snapshots.inspect(snapshot.id).stable
    file = tmp_path / "stable.bin"
    file.write_bytes(pack(stable.read(0, stable.size)))
    shown = cli("snapshot", "inspect", str(file), "--stable-image", "--wasm", module("people_v1.classical"), "--decode")
    assert "var edits : Nat = 0 : nat" in shown
    assert "--wasm requires --stable-image" in cli(
        "snapshot", "inspect", "x", "--wasm", module("people_v1.classical"), code=2
    )


def test_what_is_not_there_is_said(people: Cli) -> None:
    refused = people("snapshot", "inspect", "x", code=2)
    assert "neither the id nor the label of a snapshot (there is" in refused
    assert ", nor a canister" in refused
    assert "there is: memory 0, memory 1" in people("snapshot", "inspect", "thirty", "--region", "9", code=2)
    assert "is not inside" in people("snapshot", "inspect", "thirty", "--hexdump", "0:99999999999", code=1)
    assert "is not START:LENGTH" in people("snapshot", "inspect", "thirty", "--hexdump", "here", code=2)
    assert "not a regular expression" in people("snapshot", "inspect", "thirty", "--strings", "--pattern", "(", code=2)


def test_a_label_of_several_snapshots_names_none(people: Cli) -> None:
    people("snapshot", "take", "people", "--label", "thirty", "--keep", "2")
    for command in (("inspect", "thirty"), ("diff", "thirty", "people"), ("query", "thirty", "size")):
        refused = people("snapshot", *command, code=2)
        assert "several snapshots are labelled 'thirty'; give CANISTER:LABEL, CANISTER:NUMBER or an id: " in refused
        assert "nor a canister" not in refused


@pytest.mark.parametrize("name", ["thirty.icsnap", "thirty.d"])
def test_a_file_is_queried_as_the_snapshot_it_was(people: Cli, tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    people("snapshot", "download", "thirty", path)
    assert people("snapshot", "query", path, "size") == "(30 : nat)\n"
    elsewhere = Cli(tmp_path / "nothing")
    assert elsewhere.json("snapshot", "query", path, "get", "(7)")["reply"][0]["name"] == "Person 7"
    assert "no query method 'fill'" in elsewhere("snapshot", "query", path, "fill", "(1)", code=1)
    assert not elsewhere.state.exists()
    assert "no file or directory" in people("snapshot", "query", str(tmp_path / "x.icsnap"), "size", code=2)


@pytest.fixture
def structures(with_canister: With) -> Cli:
    cli = with_canister("s", "structures_rs")
    cli("canister", "call", "s", "fill", "(40)")
    cli("snapshot", "take", "s", "--label", "forty")
    return cli


def test_the_form_of_a_column_does_not_depend_on_how_much_is_shown(structures: Cli) -> None:
    for memory in ("2", "4", "11"):
        few, many = (
            structures.json("snapshot", "inspect", "forty", "--region", memory, "--limit", n) for n in ("1", "40")
        )
        assert few["forms"] == many["forms"], memory
        assert few["entries"] == many["entries"][:1]
    structures("canister", "call", "s", "remove", "(2)")
    few, many = (structures.json("snapshot", "diff", "forty", "--limit", n)["structures"] for n in ("1", "40"))
    for one, all_ in zip(few, many, strict=True):
        assert one["entries"] == all_["entries"][:1], one["name"]


def test_principals_are_shown_as_principals(structures: Cli) -> None:
    facts = structures.json("snapshot", "inspect", "forty", "--region", "5", "--limit", "1")
    assert facts["forms"]["key"] == "principal"
    assert bytes(Principal.from_text(facts["entries"][0]["key"]))[-1] == 2


def test_of_a_damaged_structure_all_that_can_be_read_is_shown(structures: Cli) -> None:
    facts = structures.json("snapshot", "inspect", "forty", "--region", "11", "--limit", "40")
    assert (len(facts["entries"]), facts["problem"]) == (40, None)
    where = stable_offset(structures, "memory 11", 64 + 30 * 25)
    structures("snapshot", "edit", "forty", "--keep", "2", "--label", "torn", "--patch", f"stable:{where}:ff")
    torn = structures.json("snapshot", "inspect", "torn", "--region", "11", "--limit", "40", code=1)
    different = [n for n, (was, now) in enumerate(zip(facts["entries"], torn["entries"], strict=True)) if was != now]
    assert (different, torn["problem"]) == ([30], None)
    [damage] = torn["damages"]
    assert "element 30 at 0x32e has 255 bytes; 24 is the most" in damage
    shown = structures("snapshot", "inspect", "torn", "--region", "11", "--limit", "40", code=1)
    assert "damaged: element 30 at" in shown
    few = structures.json("snapshot", "inspect", "torn", "--region", "11", "--limit", "9", code=1)
    assert (few["entries"], few["damages"]) == (facts["entries"][:9], [damage])
    [part] = [p for p in structures.json("snapshot", "inspect", "torn")["decoded"]["parts"] if p["name"] == "memory 11"]
    assert part["damages"] == [damage]
    assert "damaged: element 30 at" in structures("snapshot", "inspect", "torn")


def stable_offset(cli: Cli, name: str, offset: int) -> int:
    """Where a byte of a memory of the snapshot `forty` lies in stable memory."""
    with Sandbox.open(cli.state) as sandbox:
        [snapshot] = sandbox.snapshots.list()
        found = sandbox.snapshots.inspect(snapshot.id).decode().part(name)
        assert found is not None
        whole, stable = found.data.read(0, found.data.size), sandbox.snapshots.inspect(snapshot.id).stable
        start = stable.read(0, stable.size).find(whole)
    assert start > 0
    return start + offset


def test_a_long_candid_value_is_read_where_it_is_asked_for(with_canister: With) -> None:
    cli = with_canister("places", "places_rs", "--arg", "(variant { after = 48 })")
    cli("canister", "call", "places", "set_cell", "(200_000)")
    cli("snapshot", "take", "places", "--label", "long")
    read = ("snapshot", "inspect", "long", "--region", "structure")
    [entry] = cli.json(*read, "--value-form", "candid")["entries"]
    letters = "".join(chr(ord("a") + n % 26) for n in range(200_000))
    assert entry["value"].split('"')[1] == letters
    assert letters[:60] in cli(*read, "--value-form", "candid")
    [entry] = cli.json(*read)["entries"]
    assert (entry["value"]["size"], len(entry["value"]["start"])) == (200_010, 2 * 65_536)


def test_a_manager_that_begins_later_is_shown_with_its_page(with_canister: With) -> None:
    cli = with_canister("places", "places_rs", "--arg", "(variant { after = 48 })")
    cli("canister", "call", "places", "put", '("near", 7, 20)')
    cli("snapshot", "take", "places", "--label", "seven")
    shown = cli("snapshot", "inspect", "seven")
    assert "ic-stable-structures: memory manager at page 48" in shown
    assert "page 48, memory 3    BTreeMap" in shown
    assert cli.json("snapshot", "inspect", "seven", "--region", "3")["entries"][0]["key"] == 7
    assert "page 48, memory 3: BTreeMap, 1 → 2 entries: 1 added" in cli(
        "canister", "call", "places", "put", '("near", 8, 20)', "--diff"
    )


def test_a_snapshot_is_queried_and_nothing_changes(people: Cli) -> None:
    assert people("snapshot", "query", "thirty", "size") == "(30 : nat)\n"
    assert people("canister", "call", "people", "size") == "(60 : nat)\n"
    assert people.json("snapshot", "query", "thirty", "get", "(7)")["reply"][0]["name"] == "Person 7"
    assert "no query method 'fill'" in people("snapshot", "query", "thirty", "fill", "(1)", code=1)

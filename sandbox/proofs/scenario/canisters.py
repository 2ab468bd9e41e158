"""The canisters that a scenario declares, their versions, and their initial content."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sandbox.api.creation import canister_index
from sandbox.candid import load_did
from sandbox.errors import CandidError, PrincipalError, SandboxError
from sandbox.principal import Principal
from sandbox.proofs.scenario.forms import FILE, TEXT, Form, Key, Table, either, listed, mapped, whole
from sandbox.proofs.scenario.planner import Declared, Start, installation_types, read_module, user
from sandbox.proofs.scenario.source import Node, nearest
from sandbox.proofs.scenario.stage import Stage, Version
from sandbox.proofs.scenario.values import VALUES, encoded
from sandbox.snapshots import portable
from sandbox.state import WasmModule

_SNAPSHOT_VERSION = "(snapshot)"


def _did(node: Node) -> Path:
    path: Path = FILE.read(node)
    try:
        load_did(path)
    except (CandidError, OSError, UnicodeDecodeError) as error:
        node.wrong(f"{path} is no Candid interface: {error}")
    return path


def _id(node: Node) -> Principal:
    try:
        canister_id = Principal.from_text(node.text)
        canister_index(canister_id)
    except (PrincipalError, ValueError) as error:
        node.wrong(f"expected the id of a canister: {error}")
    return canister_id


_DID = Form("the path of a .did file", _did, {"type": "string"})
_MODULE = Form("the path of a module", FILE.read, FILE.schema)
_VERSION = Table(
    "a version",
    (
        Key("module", _MODULE, "The Wasm module, raw or gzip.", required=True),
        Key("did", _DID, "Its interface, where the module does not carry one."),
    ),
)
_IMAGE = Table(
    "stable_image",
    (
        Key("file", FILE, "A file that holds a stable memory and nothing else, raw or gzip.", required=True),
        Key("version", TEXT, "The version that is started on it, through its post_upgrade.", required=True),
        Key("arg", VALUES, "Its installation argument."),
    ),
)
CANISTER: Final = Table(
    "a canister",
    (
        Key(
            "versions",
            mapped(
                either("the path of a module, or a mapping with module and did", _MODULE, _VERSION.form),
                "names to modules",
            ),
            "Modules by name: paths relative to the file.",
        ),
        Key("snapshot", FILE, "What it holds at first: an .icsnap file, or a directory of dfx or icp-cli."),
        Key("stable_image", _IMAGE.form, "What it holds at first: a stable memory under a version."),
        Key("id", Form("a canister id", _id, {"type": "string"}), "Its id; the next free one without."),
        Key(
            "controllers",
            listed(Form("a user", user, {"type": "string"}), single=True),
            "Users or principals; `default` without.",
        ),
        Key("cycles", whole(0, (1 << 128) - 1), "Its cycles at first."),
    ),
)


def declared(name: str, canister_id: Principal, node: Node) -> Declared:
    """Return the canister that a mapping declares, with all its files read."""
    values = CANISTER.read(node)
    versions = _versions(node.get("versions"), values.get("versions", {}))
    if "snapshot" in values and "stable_image" in values:
        node.wrong(f"{name} begins with a snapshot or a stable_image, not with both")
    return Declared(
        name=name,
        id=values.get("id", canister_id),
        versions=versions,
        controllers=tuple(values.get("controllers", ())),
        cycles=values.get("cycles"),
        start=_start(node, values, versions),
    )


def _versions(node: Node | None, given: dict[str, Any]) -> dict[str, Version]:
    versions = {}
    for key, value in given.items():
        path, did = (value["module"], value.get("did")) if isinstance(value, dict) else (value, None)
        try:
            code = read_module(path, path.stat().st_mtime_ns)
        except (OSError, SandboxError) as error:
            assert node is not None
            (node.get(key) or node).wrong(f"{path} cannot be read as a module: {error}")
        versions[key] = Version(key, path, code, did)
    return versions


def _start(node: Node, values: dict[str, Any], versions: dict[str, Version]) -> Start | None:
    if "snapshot" in values:
        place, path = node.get("snapshot"), values["snapshot"]
        assert place is not None
        try:
            with portable.opened(path) as content:
                code = WasmModule.from_bytes(content.module.read(0, content.module.size))
        except SandboxError as error:
            place.wrong(f"this is no snapshot: {error}")
        known = next((version for version in versions.values() if version.code == code), None)
        return Start("snapshot", path, known or Version(_SNAPSHOT_VERSION, path, code))
    if "stable_image" not in values:
        return None
    image, where = values["stable_image"], node.get("stable_image")
    assert where is not None
    version = versions.get(image["version"])
    if version is None:
        hint = nearest(image["version"], versions)
        (where.get("version") or where).wrong(
            f"no version {image['version']!r}{hint}; there are: {', '.join(versions) or 'none'}"
        )
    return Start("stable_image", image["file"], version, encoded(image.get("arg"), installation_types(version), where))


def create(stage: Stage, canister: Declared) -> None:
    """Create a canister of a case with its initial content."""
    controllers = canister.controllers or None
    start, sandbox = canister.start, stage.sandbox
    if start is not None and start.kind == "snapshot":
        made = sandbox.snapshots.create_canister(
            start.path, controllers, canister.id, cycles=canister.cycles, keep_time=stage.keeps_time
        )
        stage.add(canister.name, made)
        return
    made = sandbox.create_canister(controllers, canister.id, canister.cycles)
    stage.add(canister.name, made)
    if start is not None and start.version is not None:
        sandbox.snapshots.load_stable_image(made.id, start.path, start.version.code.submitted, start.arg)

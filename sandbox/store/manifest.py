"""The manifest of a snapshot: every field, the roots of its memories, and a short digest of each part, so that errors
can name the damaged part of a manifest.

    canister-sandbox snapshot 1\\n, BLAKE3 of the rest, CBOR
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import cbor2
from blake3 import blake3

from sandbox import wasm
from sandbox.errors import InvalidModule, StateCorrupt, of_system
from sandbox.memory import Readable
from sandbox.pagestore.envelope import FileKind, contents, is_of, unwrap, wrap
from sandbox.pagestore.hash_tree import ZERO
from sandbox.pagestore.memory_trees import tree
from sandbox.principal import Principal
from sandbox.state import Derived, OpenCall, SnapshotState, Upload, WasmModule

_MANIFEST: Final = FileKind(b"canister-sandbox snapshot ", "the manifest of a snapshot", (1,))
_FIELDS: Final = (
    "id",
    "label",
    "taken_at",
    "canister_version",
    "certified_data",
    "global_timer",
    "low_memory_hook",
    "via_hooks",
    "automatic",
)
_DEFAULTS: Final = {f.name: f.default for f in fields(SnapshotState) if f.name in _FIELDS and f.default is not MISSING}
_GLOBAL: Final = 16
_SAVED: Final = "global "
_SHORT: Final = 8
_NAMES: Final = {"code": "module", "taken_at": "taken_on"}
"""The public names of parts."""

MemorySource = Callable[[int, bytes], Readable]
"""A function from the size and the top key of a memory to its content."""
ModuleSource = Callable[[bytes], bytes]
"""A function from a SHA-256 to the module; `StateCorrupt` if it cannot be read."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest read from the file `path`. `record`: its CBOR."""

    path: Path
    record: dict[str, Any]

    @property
    def checksum(self) -> bytes:
        """The checksum of the snapshot when it was stored."""
        value = self.record["checksum"]
        assert isinstance(value, bytes)
        return value

    @property
    def memory_keys(self) -> list[bytes]:
        """The keys of the top nodes of its memories."""
        return [key for _, _, key in self.memories if key != ZERO]

    @property
    def memories(self) -> list[tuple[str, int, bytes]]:
        """The name, the size in bytes and the key of the top node of each memory."""
        upload = self.record["upload"]
        memories = [("heap", *self.record["heap"]), ("stable", *self.record["stable"])]
        return [("module", *upload[0]), *memories] if upload else memories

    @property
    def modules(self) -> list[bytes]:
        """The SHA-256 of its module and of the chunks of modules."""
        code = self.record["code"]
        return ([code] if code is not None else []) + list(self.record["chunks"])


def encode(snapshot: SnapshotState, checksum: bytes) -> dict[str, Any]:
    """Return the record of a snapshot with this checksum, without the bytes of memories and modules."""
    upload = snapshot.upload
    record = {
        **{name: getattr(snapshot, name) for name in _FIELDS},
        "canister_id": bytes(snapshot.canister_id),
        "code": snapshot.code.hash if snapshot.code else None,
        "globals": snapshot.globals,
        "heap": _content(snapshot.heap),
        "stable": _content(snapshot.stable),
        "chunks": sorted(snapshot.chunks),
        "upload": None,
        "checksum": checksum,
    }
    if snapshot.open_calls:
        record["open_calls"] = [[call.method, bytes(call.caller), call.awaiting] for call in snapshot.open_calls]
    if upload is not None:
        values = [[kind, bits] for kind, bits in upload.globals]
        record["upload"] = [_content(upload.module), upload.module_size, values]
    if snapshot.derived:
        record["derived"] = [[step.parent, step.checksum, step.at, [*step.edits]] for step in snapshot.derived]
    return record


def _content(content: Readable) -> list[Any]:
    known = tree(content)
    return [known.size, known.key]


def decode(manifest: Manifest, content: MemorySource, module: ModuleSource) -> SnapshotState:
    """Return the snapshot; modules and chunks are looked up by their SHA-256."""
    record = manifest.record
    upload, code = record["upload"], record["code"]
    return SnapshotState(
        canister_id=Principal(record["canister_id"]),
        code=None if code is None else WasmModule(module(code), code),
        globals=record["globals"],
        heap=content(*record["heap"]),
        stable=content(*record["stable"]),
        chunks=MappingProxyType({digest: module(digest) for digest in record["chunks"]}),
        upload=None if upload is None else _upload(upload, content),
        derived=tuple(
            Derived(parent, checksum, at, tuple(edits)) for parent, checksum, at, edits in record.get("derived", ())
        ),
        open_calls=tuple(OpenCall(m, Principal(caller), n) for m, caller, n in record.get("open_calls", ())),
        **{name: record[name] for name in _FIELDS if name in record},
    )


def _upload(item: list[Any], content: MemorySource) -> Upload:
    memory, size, values = item
    return Upload(content(*memory), size, tuple((kind, bits) for kind, bits in values))


def dump(record: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the file's bytes, and the digest for its name."""
    return wrap(_MANIFEST, cbor2.dumps({"record": record, "digests": digests(record)}))


def load(path: Path, module: ModuleSource) -> Manifest:
    """Read a manifest and check its digest; `StateCorrupt` names the first damaged part."""
    try:
        content = path.read_bytes()
    except OSError as error:
        of_system(error)
        raise StateCorrupt(f"the manifest {path} cannot be read: {error}") from error
    body, digest = unwrap(_MANIFEST, path, content)
    if digest is None or not path.name.endswith(digest.hex()):
        raise StateCorrupt(f"the manifest {path} contradicts its checksum: {_damage(_contradictions(body, module))}")
    record = cbor2.loads(body)["record"]
    assert isinstance(record, dict)
    return Manifest(path, record)


def is_manifest(file: Path) -> bool:
    """Return whether a file is a manifest of this format, perhaps cut off."""
    return file.is_file() and is_of(_MANIFEST, file)


def contradictions(path: Path, module: ModuleSource) -> list[str] | None:
    """Return the parts of a damaged manifest that contradict their digests; None if it cannot be read at all."""
    try:
        return _contradictions(contents(path.read_bytes()), module)
    except OSError as error:
        of_system(error)
        return None


def _contradictions(body: bytes, module: ModuleSource) -> list[str] | None:
    try:
        content = cbor2.loads(body)
        return _differing(content["digests"], content["record"], module)
    except Exception:
        return None


def differing(snapshot: SnapshotState, kept: Manifest, module: ModuleSource) -> list[str]:
    """Return the parts in which a snapshot differs from its manifest; fields that an old manifest lacks have their
    defaults."""
    return _differing(digests(encode(snapshot, kept.checksum)), _DEFAULTS | kept.record, module)


def _differing(one: dict[str, bytes], record: dict[str, Any], module: ModuleSource) -> list[str]:
    other = digests(record)
    parts = [_NAMES.get(n, n) for n in dict.fromkeys((*other, *one)) if one.get(n) != other.get(n)]
    return _numbered(parts, record["code"], module) if any(name.startswith(_SAVED) for name in parts) else parts


def _numbered(parts: list[str], code: bytes, module: ModuleSource) -> list[str]:
    """Rename global parts from their numbers among the mutable globals, as in the manifest, to their indexes in the
    module, if that can be read."""
    try:
        declared = wasm.read_facts(wasm.decode_module(module(code))).globals
    except (StateCorrupt, InvalidModule):
        return parts
    numbers = [index for index, known in enumerate(declared) if known.mutable]
    names = {f"{_SAVED}{slot}": f"{_SAVED}{index}" for slot, index in enumerate(numbers)}
    return [names.get(name, name) for name in parts]


def _damage(parts: list[str] | None) -> str:
    if parts is None:
        return "it cannot be read at all"
    if parts:
        return f"{parts[0]} contradicts its digest"
    return "every part agrees with its digest, so only the bytes around them are damaged"


def digests(record: dict[str, Any]) -> dict[str, bytes]:
    """Return a short digest of every field, and of every global by itself."""
    parts = {name: cbor2.dumps(value) for name, value in record.items() if name != "globals"}
    values = record["globals"]
    for index in range(0, len(values), _GLOBAL):
        parts[f"{_SAVED}{index // _GLOBAL}"] = values[index : index + _GLOBAL]
    return {name: blake3(part).digest(_SHORT) for name, part in parts.items()}

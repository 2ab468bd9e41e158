"""`sandbox.json`, the sandbox's own file, which dfx and icp-cli ignore: fields that their layout lacks (id, label, the
exact bits of the globals, history), and checksums of the other files.

Chunks need none, their names are their SHA-256. The checksum of a file covers its size and its windows of 1 MiB that
are not zero, so that a sparse file costs its data.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import blake3

from sandbox.memory import Readable
from sandbox.principal import Principal
from sandbox.snapshots.portable.content import Content, Fields, corrupt
from sandbox.snapshots.portable.fields import WIDTHS, Taker, decode_history
from sandbox.snapshots.portable.windows import Window, packed, spans

NAME: Final = "sandbox.json"
_FORMAT: Final = 1
_HASH: Final = "canister-sandbox 2026 snapshot directory"


class Sums:
    """The checksum of one file, fed window by window in order."""

    def __init__(self, size: int) -> None:
        self._hasher: Any = blake3.blake3(derive_key_context=f"{_HASH} file")
        self._hasher.update(size.to_bytes(8, "little"))

    def add(self, window: Window) -> None:
        """Add a window; windows of zeros may be left out."""
        if window.pages:
            self._hasher.update(window.number.to_bytes(8, "little") + window.pages.to_bytes(32, "little"))
            self._hasher.update(window.data)

    @property
    def hex(self) -> str:
        digest: str = self._hasher.hexdigest()
        return digest


def checksum(source: Readable) -> str:
    """Return the checksum of a file or a part."""
    sums = Sums(source.size)
    for span in spans(source):
        sums.add(packed(source, span))
    return sums.hex


def check(content: Content, part: str, checksum: str) -> None:
    """Raise `SnapshotFileCorrupt` unless this is the expected checksum of a part."""
    if content.sums.get(part, checksum) != checksum:
        raise corrupt(
            content.place(part), f"it is not what {NAME} says (without that file, it would be taken as it is)"
        )


def encode(content: Content, sums: dict[str, str]) -> bytes:
    """Return the file; `sums`: checksums by file name."""
    fields = content.fields
    record = {
        **fields.extra,
        "format": _FORMAT,
        "id": None if fields.id is None else fields.id.hex(),
        "canister_id": None if fields.canister_id is None else str(fields.canister_id),
        "label": fields.label,
        "snapshot_checksum": None if fields.checksum is None else fields.checksum.hex(),
        "via_hooks": fields.via_hooks,
        "globals": [f"{letter}:{bits:0{WIDTHS[letter] // 4}x}" for letter, bits in fields.globals],
        "history": [dict(item) for item in fields.history],
        "files": sums,
    }
    return _text(record | {"checksum": _own(record)})


def _own(record: dict[str, Any]) -> str:
    digest: str = blake3.blake3(_text(record), derive_key_context=f"{_HASH} extras").hexdigest()
    return digest


def _text(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2, default=_hex) + "\n").encode()


def _hex(value: object) -> str:
    """Return bytes in a history as hexadecimal text."""
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"no JSON for {type(value).__name__}")


def decode(raw: bytes, fields: Fields, path: Path) -> tuple[Fields, dict[str, str]]:
    """Return the fields completed from this file, and the checksums. An edited file is refused."""
    where = str(path)
    try:
        record = json.loads(raw)
        own = record.pop("checksum")
        json.dumps(record, ensure_ascii=False).encode()  # ValueError for lone surrogates
        intact = own == _own(record) and raw == _text(record | {"checksum": own})
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise corrupt(where, "it contradicts its checksum (without this file, the others are taken as they are)")
    take = Taker(record, where)
    take.one("format", int, lambda version: version == _FORMAT)
    sums = take.one("files", dict, lambda files: all(isinstance(digest, str) for digest in files.values()))
    canister_id = take.optional("canister_id", str)
    snapshot_id = take.optional("id", str)
    known = take.optional("snapshot_checksum", str)
    try:
        return replace(
            fields,
            id=None if snapshot_id is None else bytes.fromhex(snapshot_id),
            canister_id=None if canister_id is None else Principal.from_text(canister_id),
            label=take.optional("label", str),
            checksum=None if known is None else bytes.fromhex(known),
            globals=tuple(_global(item) for item in take.one("globals", list)),
            via_hooks=bool(take.optional("via_hooks", bool)),
            history=decode_history(take.one("history", list), where),
            extra=take.rest(),
        ), sums
    except ValueError as error:
        raise corrupt(where, f"a field is invalid: {error}") from None


def _global(item: Any) -> tuple[str, int]:
    letter, _, bits = str(item).partition(":")
    if letter not in WIDTHS or not 0 <= int(bits, 16) < 1 << WIDTHS[letter]:
        raise ValueError(f"{item!r:.80} is not a global")
    return letter, int(bits, 16)

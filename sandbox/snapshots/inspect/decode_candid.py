"""A Candid message at the start of stable memory, as `ic_cdk::storage::stable_save` writes it in `pre_upgrade`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sandbox.snapshots.inspect.model import Decoded, Part, Row
from sandbox.snapshots.inspect.motoko.reader import ValueReader
from sandbox.snapshots.inspect.motoko.tree import WHOLE, DecodeLimits
from sandbox.snapshots.inspect.motoko.wire import Stream, read_head
from sandbox.snapshots.inspect.source import Bytes
from sandbox.snapshots.inspect.value import Node, Scalar

MAGIC = b"DIDL"
NOTE = "A Candid message at the start of stable memory, as ic_cdk's stable_save writes it in pre_upgrade."


def decode_candid(stable: Bytes, names: Mapping[int, str], keep: DecodeLimits) -> Decoded:
    """Decode the values of the message; bytes after it are ignored."""
    head = read_head(Stream(stable), names)

    def rows() -> Iterator[Row]:
        stream = Stream(stable)
        values = ValueReader(stream, read_head(stream, names), keep)
        for number, reference in enumerate(head.arguments):
            yield Scalar(str(number), "name"), values.read(reference)

    part = Part("values", "Candid values", stable, {}, ("number", "value"), len(head.arguments), rows)
    return Decoded("Candid", (part,), notes=(NOTE,))


def read_values(message: Bytes, names: Mapping[int, str]) -> list[Node]:
    """Return all values of a message, whole; `InspectError` if it is malformed."""
    stream = Stream(message)
    head = read_head(stream, names)
    values = ValueReader(stream, head, WHOLE)
    return [values.read(reference) for reference in head.arguments]

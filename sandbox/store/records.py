"""Records of the state as CBOR-ready values and back. Memories are names of files, modules their SHA-256, snapshots
names of their manifests.

Version 2; in version 1 a snapshot was a record whose memories were files. A field that a later version adds gets a
default here, so that old files load for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from sandbox.errors import StateCorrupt
from sandbox.memory import Memory
from sandbox.principal import Principal
from sandbox.state import (
    CanisterState,
    Change,
    Chunks,
    LogRecord,
    Settings,
    SnapshotState,
    Status,
    Submissions,
    Subnet,
    Upload,
    Visibility,
    WasmModule,
)
from sandbox.store.cbor_records import from_cbor, to_cbor
from sandbox.store.encodings import Encoded

_PLAIN = (
    "version",
    "globals",
    "low_memory_hook",
    "certified_data",
    "global_timer",
    "cycles",
    "created_at",
    "last_installed_at",
)
_COUNTERS = ("total_changes", "next_log_index", "next_snapshot")
_SNAPSHOT = ("id", "label", "taken_at", "canister_version", "globals", "certified_data", "global_timer")
_SUBNET = ("time", "seed", "next_canister", "max_snapshots", "next_id", "random_draws", "costs")
_ADDED: Mapping[str, Any] = {"backtraces": True, "metering": "classic"}
"""Fields of the subnet that older files lack, and their values for such files."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Functions that resolve the names in records to memories, modules and snapshots."""

    memory: Callable[[str, str], Memory]
    """A memory by its name; errors call it by the second text."""
    module: Callable[[bytes], bytes]
    snapshot: Callable[[str], SnapshotState]


States = list[tuple[Principal, CanisterState]]
Name = Callable[[SnapshotState], str]
"""The name of a snapshot's manifest."""


def encode_subnet(subnet: Subnet, canisters: Callable[[States], Encoded]) -> dict[str, Any]:
    """Return everything except snapshots and the bytes of memories and modules; `canisters` encodes those sorted."""
    return {
        **{field: getattr(subnet, field) for field in (*_SUBNET, *_ADDED)},
        "deleted": sorted(bytes(p) for p in subnet.deleted),
        "queue": to_cbor([*subnet.queue, *subnet.later]),
        "contexts": to_cbor(list(subnet.contexts.values())),
        "callbacks": to_cbor(list(subnet.callbacks.values())),
        "stops": [[bytes(canister_id), to_cbor(waiting)] for canister_id, waiting in subnet.stops.items()],
        "submissions": [[request_id, to_cbor(s)] for request_id, s in subnet.submissions.items()],
        "policies": [[bytes(canister_id), to_cbor(policy)] for canister_id, policy in subnet.policies.items()],
        "canisters": canisters(sorted(subnet.canisters.items(), key=itemgetter(0))),
    }


def decode_subnet(record: dict[str, Any], subnet: Subnet, sources: Sources) -> None:
    """Fill a fresh subnet; `StateCorrupt` if the record does not describe one."""
    try:
        for name in _SUBNET:
            setattr(subnet, name, record[name])
        for name, default in _ADDED.items():
            setattr(subnet, name, record.get(name, default))
        subnet.deleted = frozenset(Principal(raw) for raw in record["deleted"])
        states = [decode_canister(item, sources) for item in record["canisters"]]
        _decode_calls(record, subnet)
        policies = {Principal(raw): from_cbor(policy) for raw, policy in record.get("policies", ())}
        subnet.policies = MappingProxyType(policies)
    except (KeyError, TypeError, ValueError) as error:
        raise StateCorrupt(f"the manifest does not describe a state: {error!r}") from error
    for state in states:
        subnet.canisters[state.id] = state


def _decode_calls(record: dict[str, Any], subnet: Subnet) -> None:
    """Restore open calls and queued messages. Results that a caller waited for are not stored: their callers are
    gone."""
    subnet.queue.extend(from_cbor(record["queue"]))
    for context in from_cbor(record["contexts"]):
        subnet.contexts[context.id] = context
    for callback in from_cbor(record["callbacks"]):
        subnet.callbacks[callback.id] = callback
        counts = subnet.slots.get(callback.canister_id, {})
        subnet.slots[callback.canister_id] = {**counts, callback.callee: counts.get(callback.callee, 0) + 1}
    for raw, waiting in record["stops"]:
        subnet.stops[Principal(raw)] = from_cbor(waiting)
    submissions = ((request_id, from_cbor(s)) for request_id, s in record.get("submissions", ()))
    subnet.submissions = Submissions(subnet.savepoints, submissions)


def encode_canister(state: CanisterState, name: Name) -> dict[str, Any]:
    return {
        "id": bytes(state.id),
        "settings": encode_settings(state.settings),
        "status": state.status.value,
        "code": state.code.hash if state.code else None,
        "heap": state.heap.name,
        "stable": state.stable.name,
        **{field: getattr(state, field) for field in (*_PLAIN, *_COUNTERS)},
        "history": [_encode_change(change) for change in state.history],
        "logs": [[record.index, record.timestamp, record.content] for record in state.logs],
        "snapshots": [name(snapshot) for snapshot in state.snapshots],
        "chunks": sorted(state.chunks),
    }


def decode_canister(record: dict[str, Any], sources: Sources) -> CanisterState:
    canister_id = Principal(record["id"])
    return CanisterState(
        id=canister_id,
        settings=decode_settings(record["settings"]),
        status=Status(record["status"]),
        code=_code(record["code"], sources),
        heap=sources.memory(record["heap"], memory_part("heap", canister_id)),
        stable=sources.memory(record["stable"], memory_part("stable", canister_id)),
        history=tuple(_decode_change(item) for item in record["history"]),
        logs=tuple(LogRecord(*item) for item in record["logs"]),
        snapshots=tuple(_snapshot(item, sources) for item in record["snapshots"]),
        chunks=_chunks(record, sources),
        **{name: record[name] for name in (*_PLAIN, *_COUNTERS)},
    )


def memory_part(kind: str, canister_id: Principal) -> str:
    """Return the name of a canister's `heap` or `stable` memory in errors."""
    return f"the {'stable memory' if kind == 'stable' else kind} of canister {canister_id}"


def _snapshot(item: str | dict[str, Any], sources: Sources) -> SnapshotState:
    if isinstance(item, str):
        return sources.snapshot(item)
    upload = item.get("upload")
    return SnapshotState(
        canister_id=Principal(item["canister_id"]),
        code=_code(item["code"], sources),
        low_memory_hook=item.get("low_memory_hook"),
        chunks=_chunks(item, sources),
        upload=None if upload is None else _decode_upload(upload, sources),
        heap=sources.memory(item["heap"], "the heap of a snapshot").image(),
        stable=sources.memory(item["stable"], "the stable memory of a snapshot").image(),
        **{name: item[name] for name in _SNAPSHOT},
    )


def _decode_upload(item: list[Any], sources: Sources) -> Upload:
    name, size, values = item
    module = sources.memory(name, "the module of a snapshot").image()
    return Upload(module, size, tuple((kind, bits) for kind, bits in values))


def _chunks(record: dict[str, Any], sources: Sources) -> Chunks:
    return MappingProxyType({digest: sources.module(digest) for digest in record.get("chunks", ())})


def encode_settings(settings: Settings) -> dict[str, Any]:
    return {field.name: _encode_value(getattr(settings, field.name)) for field in fields(settings)}


def decode_settings(record: dict[str, Any]) -> Settings:
    values = dict(record)
    values["controllers"] = tuple(Principal(raw) for raw in record["controllers"])
    values["environment_variables"] = tuple((name, value) for name, value in record["environment_variables"])
    for name in ("log_visibility", "snapshot_visibility", "status_visibility"):
        public, viewers = record[name]
        values[name] = Visibility(public, tuple(Principal(raw) for raw in viewers))
    return Settings(**values)


def _encode_value(value: Any) -> Any:
    """Return principals, visibilities and tuples of them as plain values."""
    if isinstance(value, Principal):
        return bytes(value)
    if isinstance(value, Visibility):
        return [value.public, [bytes(p) for p in value.allowed_viewers]]
    return [_encode_value(item) for item in value] if isinstance(value, tuple) else value


def _encode_change(change: Change) -> list[Any]:
    details = [[name, _encode_value(value), _shape(value)] for name, value in change.details]
    origin = [change.by_canister, change.sender_version]
    return [change.timestamp, change.version, bytes(change.user), change.kind, details, *origin]


def _decode_change(item: list[Any]) -> Change:
    timestamp, version, user, kind, details, *origin = item
    decoded = tuple((name, _decode_value(value, shape)) for name, value, shape in details)
    return Change(timestamp, version, Principal(user), kind, decoded, *origin)


def _shape(value: object) -> str:
    if isinstance(value, Principal):
        return "principal"
    return "principals" if isinstance(value, tuple) else "plain"


def _decode_value(value: Any, shape: str) -> object:
    if shape == "principal":
        return Principal(value)
    return tuple(Principal(raw) for raw in value) if shape == "principals" else value


def _code(digest: bytes | None, sources: Sources) -> WasmModule | None:
    return None if digest is None else WasmModule(sources.module(digest), digest)

"""One canister of a network: the methods of the management canister about it, and its metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.api.typed import decode_results, encode_arguments
from sandbox.certify.hash_tree import Found
from sandbox.management.snapshot_slices import global_bits
from sandbox.management.table import signature
from sandbox.network.agent import Agent
from sandbox.principal import Principal
from sandbox.snapshots.portable.content import Fields
from sandbox.snapshots.portable.metadata import Metadata


@dataclass(frozen=True, slots=True)
class RemoteSnapshot:
    """A snapshot as a network lists it. `taken_at`: nanoseconds since 1970; `total_size`: bytes."""

    id: bytes
    taken_at: int
    total_size: int

    @classmethod
    def of(cls, record: dict[str, Any]) -> RemoteSnapshot:
        """Return the snapshot of a record `snapshot` of the interface specification."""
        return cls(record["id"], record["taken_at_timestamp"], record["total_size"])


@dataclass(frozen=True, slots=True)
class Remote:
    """A canister of a network, as one of its controllers sees it. Every method is a call; `CallRejected` carries the
    network's code and text."""

    agent: Agent
    id: Principal

    def manage(self, method: str, **arg: Any) -> Any:
        """Call a method of the management canister about this canister; options may be left out."""
        function = signature(method)
        sent = encode_arguments(function, ({"canister_id": self.id, **arg},))
        return decode_results(function, self.agent.update(Principal.management(), method, sent, self.id))

    def status(self) -> dict[str, Any]:
        """Return the reply of `canister_status`."""
        reply: dict[str, Any] = self.manage("canister_status")
        return reply

    def state(self) -> str:
        """Return `running`, `stopping` or `stopped`."""
        return str(next(iter(self.status()["status"])))

    def start(self) -> None:
        """Start the canister."""
        self.manage("start_canister")

    def stop(self) -> None:
        """Stop the canister; returns when it is stopped."""
        self.manage("stop_canister")

    def take(self, replaced: bytes | None = None) -> RemoteSnapshot:
        """Take a snapshot; `replaced`: the id of one that it takes the place of."""
        return RemoteSnapshot.of(self.manage("take_canister_snapshot", replace_snapshot=replaced))

    def load(self, snapshot_id: bytes) -> None:
        """Load a snapshot."""
        self.manage("load_canister_snapshot", snapshot_id=snapshot_id)

    def delete(self, snapshot_id: bytes) -> None:
        """Delete a snapshot."""
        self.manage("delete_canister_snapshot", snapshot_id=snapshot_id)

    def snapshots(self) -> list[RemoteSnapshot]:
        """List the snapshots, oldest first."""
        listed = [RemoteSnapshot.of(record) for record in self.manage("list_canister_snapshots")]
        return sorted(listed, key=lambda snapshot: (snapshot.taken_at, snapshot.id))

    def metadata(self, snapshot_id: bytes) -> Metadata:
        """Return everything of a snapshot except bytes."""
        reply = self.manage("read_canister_snapshot_metadata", snapshot_id=snapshot_id)
        timer, hook = reply["global_timer"], reply["on_low_wasm_memory_hook_status"]
        fields = Fields(
            taken_at=reply["taken_at_timestamp"],
            canister_version=reply["canister_version"],
            globals=tuple(map(global_bits, reply["globals"])),
            certified_data=reply["certified_data"],
            source=next(iter(reply["source"])),
            global_timer=None if timer is None else timer.get("active") or 0,
            low_memory_hook=None if hook is None else next(iter(hook)),
            id=snapshot_id,
            canister_id=self.id,
        )
        chunks = tuple(chunk["hash"] for chunk in reply["wasm_chunk_store"])
        module, heap, stable = (reply[f"{name}_size"] for name in ("wasm_module", "wasm_memory", "stable_memory"))
        return Metadata(fields, module, heap, stable, chunks)

    def data(self, snapshot_id: bytes, kind: dict[str, Any]) -> bytes:
        """Return one slice or chunk of a snapshot; `kind`: as in `read_canister_snapshot_data`."""
        reply: bytes = self.manage("read_canister_snapshot_data", snapshot_id=snapshot_id, kind=kind)["chunk"]
        return reply

    def section(self, name: str) -> bytes | None:
        """Return a metadata section of the module, certified; None if there is none that this user may read."""
        path = (b"canister", bytes(self.id), b"metadata", name.encode())
        found = self.agent.read_state([path], self.id).lookup(path)
        return found.value if isinstance(found, Found) else None

"""The records of the sandbox's own interface. The OpenAPI document and the checks of requests follow from them.

Integers that may exceed 2^53, such as times in nanoseconds and cycles, are decimal digits as text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Digits = Annotated[str, Meta(pattern=r"^[0-9]{1,19}$", description="Nanoseconds, as decimal digits.")]
Span = Annotated[str, Meta(max_length=64, description="A duration such as 500ms, 90s, 5m, 1.5h, 2d.")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Rounds = Annotated[int, Meta(ge=1, le=10_000)]
Limit = Annotated[int, Meta(ge=1, le=1_000)]


class Asked(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The parameters of an operation: those in its path, and its query or its body."""


class Nothing(Asked, frozen=True):
    """No parameters."""


class OfCanister(Asked, frozen=True):
    """`canister`: an id or a name."""

    canister: Name


class OfSnapshot(Asked, frozen=True):
    """`snapshot`: an id, the first digits of one, a label, `latest`, or `CANISTER:LABEL`."""

    snapshot: Name


class Call(OfCanister, frozen=True):
    """A call. Its argument is Candid text in `args`, or JSON in `values` where the interface is known.

    `kind`: as the interface declares it if it is missing. `sender`: a principal or the name of a user, anonymous if it
    is missing. `profile`: count instructions by function.
    """

    method: Name
    args: str | None = None
    values: list[Any] | None = None
    kind: Literal["update", "query"] | None = None
    sender: Name | None = None
    profile: bool = False


class Advance(Asked, frozen=True):
    """`by`: how much time passes. Nothing runs by itself."""

    by: Span


class SetTime(Asked, frozen=True):
    """`to`: nanoseconds since 1970; time never goes back."""

    to: Digits


class Tick(Asked, frozen=True):
    """`rounds`: how many are executed."""

    rounds: Rounds = 1


class Run(Asked, frozen=True):
    """Let `span` pass, and run what is due at its own time; at most `step` at once."""

    span: Span = "0s"
    step: Span | None = None


class BeginAnchor(Asked, frozen=True):
    """`label`: what it is for."""

    label: Annotated[str, Meta(max_length=200)] | None = None


class OfAnchor(Asked, frozen=True):
    """`anchor`: its number."""

    anchor: Annotated[int, Meta(ge=0, le=1 << 31)]


class OfProfile(Asked, frozen=True):
    """`profile`: its number; `format`: a flame graph, folded stacks, or a file for speedscope."""

    profile: Annotated[int, Meta(ge=0, le=1 << 31)]
    format: Literal["svg", "folded", "speedscope"] = "svg"


class ListSnapshots(Asked, frozen=True):
    """`canister`: whose; without it, all."""

    canister: Name | None = None


class TakeSnapshot(OfCanister, frozen=True):
    """`via_hooks`: keep what `canister_pre_upgrade` makes of the state."""

    label: Annotated[str, Meta(max_length=200)] | None = None
    via_hooks: bool = False


class LoadSnapshot(OfSnapshot, frozen=True):
    """`canister`: into which, by default the one that it is of. `via_hooks`: as an upgrade from it."""

    canister: Name | None = None
    via_hooks: bool = False


class LabelSnapshot(OfSnapshot, frozen=True):
    """`label`: of the copy that is made."""

    label: Annotated[str, Meta(min_length=1, max_length=200)]


class Compare(Asked, frozen=True):
    """Two states: snapshots, or canisters as they are now. Without `new`, the canister of the snapshot `old`.

    `limit`: most entries and globals of each part.
    """

    old: Name
    new: Name | None = None
    limit: Limit = 20


class UploadSnapshot(OfCanister, frozen=True):
    """A snapshot file (`.icsnap`) as the body of the request."""

    file: Path


class Answer(Struct, kw_only=True, frozen=True):
    """What an operation answers."""


class Done(Answer, frozen=True):
    """The operation is done."""

    done: bool = True


class Time(Answer, frozen=True):
    """The sandbox's time. `at`: the same as a date in UTC; `next_due`: when a timer or a policy is due."""

    time: str
    at: str
    next_due: str | None


class RoundsDone(Answer, frozen=True):
    """How many rounds it took, and the time then."""

    rounds: int
    time: str


class State(Answer, frozen=True):
    """The sandbox as a whole. `saving`: `update`, `interval` or `exit`."""

    time: str
    at: str
    canisters: int
    snapshots: int
    anchors: int
    saving: str
    unsaved: bool
    root_key: str
    subnet_id: str


class StateHash(Answer, frozen=True):
    """64 hexadecimal digits that cover everything a canister could observe."""

    state_hash: str


class Canister(Answer, frozen=True):
    """One canister. Sizes in bytes; `damage`: why it cannot run."""

    id: str
    name: str | None
    status: str
    module_hash: str | None
    controllers: list[str]
    cycles: str
    heap_size: int
    stable_size: int
    memory_size: int
    snapshots: int
    version: int
    damage: str | None


class Canisters(Answer, frozen=True):
    """All canisters, by id."""

    canisters: list[Canister]


class Method(Answer, frozen=True):
    """One method of an interface; `args`, `results`: their types as text."""

    name: str
    kind: str
    args: list[str]
    results: list[str]


class Interface(Answer, frozen=True):
    """The interface that the module carries; `candid`: as it is written there."""

    candid: str
    methods: list[Method]


class Reject(Answer, frozen=True):
    """Why a call was rejected."""

    reject_code: int
    error_code: str | None
    message: str


class Called(Answer, frozen=True):
    """The answer to a call: either `reject`, or the reply in up to three forms.

    `candid`, `values`: None if the reply is not Candid. `profile`: the number of the profile that was made.
    """

    kind: str
    reply: str | None
    candid: str | None
    values: list[Any] | None
    reject: Reject | None
    instructions: int
    logs: list[str]
    profile: int | None


class LogRecord(Answer, frozen=True):
    """One record of a canister's log."""

    index: str
    time: str
    text: str


class Logs(Answer, frozen=True):
    """A canister's log, oldest first."""

    logs: list[LogRecord]


class Anchor(Answer, frozen=True):
    """An open anchor. `time`: of the sandbox when it began."""

    anchor: int
    label: str | None
    time: str


class Anchors(Answer, frozen=True):
    """The open anchors, the outermost first."""

    anchors: list[Anchor]


class Snapshot(Answer, frozen=True):
    """One snapshot. `checksum` covers every byte and field; it is None in lists, and where the snapshot is damaged."""

    id: str
    canister: str
    label: str | None
    taken_at: str
    total_size: int
    via_hooks: bool
    automatic: bool
    checksum: str | None
    damage: str | None


class Snapshots(Answer, frozen=True):
    """Snapshots, oldest first."""

    snapshots: list[Snapshot]


class Verified(Answer, frozen=True):
    """What came of reading every byte again. `differs`: the parts that are not what they were."""

    id: str
    intact: bool
    checksum: str | None
    bytes_read: int
    on_disk: bool
    differs: list[str]


class MemoryChange(Answer, frozen=True):
    """How a memory differs: bytes before and after, pages of 4 KiB that changed, were filled, and were emptied."""

    before: int
    after: int
    changed: int
    added: int
    removed: int


class Changed(Answer, frozen=True):
    """Something that differs, by its name; None where it is absent."""

    name: str
    before: Any
    after: Any


class EntryChange(Answer, frozen=True):
    """An entry of a data structure that differs, as text; None where it is absent."""

    key: str
    before: str | None
    after: str | None


class StructureChange(Answer, frozen=True):
    """A data structure that differs: the numbers of entries, and the first of those that differ."""

    name: str
    kind: str
    before: int | None
    after: int | None
    added: int
    removed: int
    changed: int
    problem: str | None
    damages: list[str]
    entries: list[EntryChange]


class Difference(Answer, frozen=True):
    """What differs between two states. `module`: their hashes if they differ."""

    different: bool
    old: str
    new: str
    module: Changed | None
    heap: MemoryChange
    stable: MemoryChange
    globals: list[Changed]
    fields: list[Changed]
    structures: list[StructureChange]
    notes: list[str]


class Link(Answer, frozen=True):
    """The address of the console, good for one visit."""

    url: str


class Problem(Answer, frozen=True):
    """Why a request failed. `kind`: the name of the error; codes where the platform rejected it."""

    kind: str
    message: str
    reject_code: int | None = None
    error_code: str | None = None


class Failed(Answer, frozen=True):
    """The answer to a request that failed."""

    error: Problem


class Document(Struct, frozen=True):
    """An answer that is not JSON: its content, or the file with it, which is deleted when it was sent."""

    content_type: str
    content: bytes | None = None
    file: Path | None = None
    name: str | None = None

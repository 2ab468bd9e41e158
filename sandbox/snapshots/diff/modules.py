"""Compare two modules: imports, exports, metadata and methods of the interface."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sandbox import candid, wasm
from sandbox.errors import CandidError
from sandbox.snapshots.inspect.target import InspectionTarget

_CANDID = "candid:service"


@dataclass(frozen=True, slots=True)
class NameChanges:
    """Names added, names removed, and names whose values differ."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @classmethod
    def of(cls, before: dict[str, object], after: dict[str, object]) -> NameChanges:
        """Compare two mappings; names are in their order."""
        return cls(
            tuple(name for name in after if name not in before),
            tuple(name for name in before if name not in after),
            tuple(name for name in after if name in before and before[name] != after[name]),
        )


@dataclass(frozen=True, slots=True)
class ModuleDiff:
    """The differences of two modules. Hashes are SHA-256 of the submitted bytes, None if there is no module.

    `imports` as `module.name`; `exports` by name, with functions of another type changed; `metadata`: sections by name;
    `candid`: methods of the interface that the module carries. `compatible`: whether clients of the old interface can
    use the new one, None if unknown; `reason`: why they cannot.
    """

    before: bytes | None
    after: bytes | None
    sizes: tuple[int, int]
    imports: NameChanges
    exports: NameChanges
    metadata: NameChanges
    candid: NameChanges
    compatible: bool | None
    reason: str = ""


def compare_modules(old: InspectionTarget, new: InspectionTarget) -> ModuleDiff | None:
    """Compare two modules; None if they are the same bytes."""
    texts = [opened.module.read(0, opened.module.size) for opened in (old, new)]
    if texts[0] == texts[1]:
        return None
    hashes = [hashlib.sha256(text).digest() if text else None for text in texts]
    one, two = old.facts, new.facts
    verdict = _verdict(old, new)
    return ModuleDiff(
        before=hashes[0],
        after=hashes[1],
        sizes=(len(texts[0]), len(texts[1])),
        imports=NameChanges.of(_imports(one), _imports(two)),
        exports=NameChanges.of(_exports(one), _exports(two)),
        metadata=NameChanges.of(dict(old.metadata), dict(new.metadata)),
        candid=_methods(old, new),
        compatible=None if verdict is None else verdict.holds,
        reason="" if verdict is None else verdict.reason,
    )


def _imports(facts: wasm.ModuleFacts | None) -> dict[str, object]:
    return {} if facts is None else {f"{entry.module}.{entry.name}": entry.kind for entry in facts.imports}


def _exports(facts: wasm.ModuleFacts | None) -> dict[str, object]:
    if facts is None:
        return {}
    functions = wasm.Kind.FUNCTION
    return {e.name: (e.kind, facts.function_type(e.index) if e.kind is functions else None) for e in facts.exports}


def _interface(opened: InspectionTarget) -> candid.Interface | None:
    text = opened.metadata.get(_CANDID)
    try:
        return None if text is None else candid.parse_did(text.decode("utf-8", "replace"))
    except CandidError:
        return None


def _methods(old: InspectionTarget, new: InspectionTarget) -> NameChanges:
    """Compare the methods of two interfaces; types are compared by meaning, not by text."""
    interfaces = _interface(old), _interface(new)
    before, after = ({} if each is None else each.methods for each in interfaces)
    same = {name for name in after if name in before and candid.same_type(before[name], after[name])}
    return NameChanges.of(
        {name: name in same for name in before},
        dict.fromkeys(after, True),
    )


def _verdict(old: InspectionTarget, new: InspectionTarget) -> candid.Verdict | None:
    before, after = _interface(old), _interface(new)
    if before is None or after is None:
        return None
    return candid.service_compatible(after, before)

"""Compare the stable signatures of two versions of a Motoko program by the compiler's rules, before any upgrade.

Sources: dfinity/motoko `src/mo_frontend/stability.ml` (variables), `src/mo_types/type.ml` (`rel_typ`, `sub`,
`stable_sub`): every variable of the old version must be there in the new one, with a type that is a supertype of the
old one and drops no field and promotes nothing to `Any`. What the new version finds is what it has before its migration
functions. Types that objects name (`type T = ...` within braces) are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from sandbox.snapshots.diff.stable_relation import LOSES, REFUSED, Difference, Fate, differences
from sandbox.snapshots.inspect.motoko.signature import Before, Signature, parse_signature
from sandbox.snapshots.inspect.motoko.types import Field, type_text


class Verdict(Enum):
    """What the compiler says of a change."""

    COMPATIBLE = "compatible"
    LOSES_DATA = "drops data"
    INCOMPATIBLE = "incompatible"
    MIGRATED = "left to a migration function"


@dataclass(frozen=True, slots=True)
class TypeChange:
    """One change between two signatures.

    `variable`: its name; `path`: where in its type, such as `people[].email`, the name alone for the variable itself;
    `before`, `after`: the types there, None where there is none; `kind`: what kind of change; `code`: the compiler's
    error (`M0170`), empty if there is none; `text`: a sentence.
    """

    variable: str
    path: str
    before: str | None
    after: str | None
    kind: Fate
    verdict: Verdict
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class StableTypesDiff:
    """The changes between two signatures: those that the compiler judges, in the order of the variables' names, then
    those that the new version's migration functions make."""

    changes: tuple[TypeChange, ...]

    @property
    def compatible(self) -> bool:
        """Whether the compiler accepts the new version (`moc --stable-compatible`)."""
        return not any(change.code for change in self.changes)


def compare_stable_types(old: str, new: str) -> StableTypesDiff:
    """Compare two sections `motoko:stable-types`; InspectError if one cannot be parsed, or if their types are too large
    to be compared."""
    return compare_signatures(parse_signature(old), parse_signature(new))


def compare_signatures(old: Signature, new: Signature) -> StableTypesDiff:
    """Compare two parsed signatures."""
    if old.chain and not new.chain:
        return StableTypesDiff((_left_chain(old),))
    before = found_by(new, old)
    judged = _matched(old, before, new)
    own = {each.field.label: each.field for each in before}
    migrated = _migrated(own, new) if new.chain or new.before is not None else iter(())
    return StableTypesDiff((*judged, *migrated))


def found_by(new: Signature, old: Signature) -> tuple[Before, ...]:
    """Return the variables that the new version finds, or has to find, when the old one is upgraded to it, sorted. Of a
    chain of migrations, those after the last one of the old version are run."""
    if not new.chain:
        found = new.before if new.before is not None else tuple(Before(each) for each in new.after)
        return tuple(sorted(found, key=_label))
    done = old.chain[-1].label if old.chain else None
    wanted = {each.label: Before(each) for each in new.after}
    for migration in reversed(new.chain):
        if migration.label == done:
            break
        given = {each.label for each in (*migration.takes, *migration.gives)}
        passed = {label: Before(each.field, True) for label, each in wanted.items() if label not in given}
        wanted = passed | {each.label: Before(each, True) for each in migration.takes}
    return tuple(sorted(wanted.values(), key=_label))


def _label(each: Before) -> str:
    return each.field.label


def _left_chain(old: Signature) -> TypeChange:
    label = old.chain[-1].label
    text = f"the old version has a chain of migrations (the last is {label!r}), the new one has none"
    return TypeChange("", "", None, None, Fate.CHAIN, Verdict.INCOMPATIBLE, "M0255", text)


def _matched(old: Signature, before: tuple[Before, ...], new: Signature) -> Iterator[TypeChange]:
    """Judge the variables of the old version against those that the new one finds."""
    had = {each.label: each for each in old.after}
    found = {each.field.label: each for each in before}
    for name in sorted(had.keys() | found.keys()):
        was, now = had.get(name), found.get(name)
        if was is None:
            assert now is not None
            yield _added(now)
        elif now is None:
            yield _dropped(was)
        else:
            kinds = (was.type, now.field.type)
            for difference in differences(name, kinds, (old.definitions, new.definitions)):
                yield _judged(name, difference)


def _added(now: Before) -> TypeChange:
    name, kind = now.field.label, type_text(now.field.type)
    if not now.required:
        return TypeChange(name, name, None, kind, Fate.ADDED, Verdict.COMPATIBLE, "", f"{name} is new")
    text = f"the migration needs {name}, which the old version has not"
    return TypeChange(name, name, None, kind, Fate.REQUIRED, Verdict.INCOMPATIBLE, "M0263", text)


def _dropped(was: Field) -> TypeChange:
    text = f"{was.label} is dropped, and no migration function takes it"
    kind = type_text(was.type)
    return TypeChange(was.label, was.label, kind, None, Fate.DROPPED, Verdict.LOSES_DATA, "M0169", text)


_VERDICTS: Mapping[str, Verdict] = {"": Verdict.COMPATIBLE, LOSES: Verdict.LOSES_DATA, REFUSED: Verdict.INCOMPATIBLE}


def _judged(name: str, difference: Difference) -> TypeChange:
    return TypeChange(
        variable=name,
        path=difference.path,
        before=difference.before,
        after=difference.after,
        kind=difference.fate,
        verdict=_VERDICTS[difference.code],
        code=difference.code,
        text=difference.text,
    )


def _migrated(before: Mapping[str, Field], new: Signature) -> Iterator[TypeChange]:
    """Give what the migration functions of the new version change."""
    after = {each.label: each for each in new.after}
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        texts = [None if each is None else type_text(each.type) for each in (was, now)]
        if was is None or now is None:
            kind, what = (Fate.ADDED, "added") if was is None else (Fate.DROPPED, "dropped")
            text = f"{name} is {what} by the migration"
            yield TypeChange(name, name, texts[0], texts[1], kind, Verdict.MIGRATED, "", text)
            continue
        for each in differences(name, (was.type, now.type), (new.definitions, new.definitions)):
            text = f"{each.text}, by the migration"
            yield TypeChange(name, each.path, each.before, each.after, each.fate, Verdict.MIGRATED, "", text)

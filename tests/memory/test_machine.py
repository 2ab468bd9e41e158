"""Any sequence of writes, growth, commits, rollbacks, images, restores, forks and marks agrees with plain bytes."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from sandbox.errors import StateError, Unsupported
from sandbox.memory import PAGE, Image, Memory, Pool, PoolMark, Run, View
from tests.conftest import STRATEGIES

PAGES = 12
sizes = st.integers(0, PAGES).map(lambda n: n * PAGE)
picks = st.integers(0, 5)
places = st.tuples(st.integers(0, PAGES - 1), st.integers(0, PAGE - 1), st.binary(min_size=1, max_size=5))
Place = tuple[int, int, bytes]


@dataclass(eq=False)
class Model:
    """One memory and what it must hold; its views, images with what they must hold."""

    memory: Memory
    data: bytearray
    views: list[tuple[View, bytearray]] = field(default_factory=list)
    images: list[tuple[Image, bytes]] = field(default_factory=list)


def at(place: Place, size: int) -> tuple[int, bytes] | None:
    page, offset, data = place
    start = page * PAGE + offset
    return (start, data[: size - start]) if start < size else None


def padded(data: bytes | bytearray, size: int) -> bytearray:
    return bytearray(data[:size]) + bytearray(max(0, size - len(data)))


def covers(runs: list[Run], one: bytes | bytearray, other: bytes | bytearray) -> bool:
    """Do `runs` contain every page in which the two differ, bytes past an end being zero?"""
    size = max(len(one), len(other))
    a, b = padded(one, size), padded(other, size)
    for offset, length in runs:
        a[offset : offset + length] = b[offset : offset + length] = bytes(len(a[offset : offset + length]))
    return a == b


class Memories(RuleBasedStateMachine):
    strategy: str
    on_disk: bool

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp()) if self.on_disk else None
        self.pool = Pool(self.directory, self.strategy)
        self.models: list[Model] = []
        self.unwritten: set[View] = set()
        self.marks: list[tuple[PoolMark, list[tuple[Model, bytes]]]] = []
        self.create(2 * PAGE)

    def teardown(self) -> None:
        for model in self.models:
            for view, _ in model.views:
                view.close()
        if self.directory is not None:
            shutil.rmtree(self.directory)

    def model(self, pick: int) -> Model:
        return self.models[pick % len(self.models)]

    def track(self, memory: Memory, data: bytes | bytearray) -> None:
        model = Model(memory, bytearray(data))
        self.models.append(model)
        for _, kept in self.marks:
            kept.append((model, b""))  # what a memory is at first, before anything is written

    @precondition(lambda self: len(self.models) < 3)
    @rule(size=sizes)
    def create(self, size: int) -> None:
        self.track(self.pool.memory(size), bytes(size))

    # Views

    @rule(pick=picks, minimum=sizes, reserve=sizes)
    def view(self, pick: int, minimum: int, reserve: int) -> None:
        model = self.model(pick)
        if len(model.views) < 2:
            view = model.memory.view(minimum, reserve, PAGE)
            model.views.append((view, padded(model.data, max(minimum, len(model.data)))))
            self.unwritten.add(view)

    def a_view(self, pick: int) -> tuple[Model, View, bytearray] | None:
        found = [(model, view, data) for model in self.models for view, data in model.views]
        return found[pick % len(found)] if found else None

    @rule(pick=picks, place=places)
    def write_view(self, pick: int, place: Place) -> None:
        found = self.a_view(pick)
        where = at(place, found[1].size) if found else None
        if found and where:
            self.unwritten.discard(found[1])
            found[1].write(*where)
            found[2][where[0] : where[0] + len(where[1])] = where[1]

    @rule(pick=picks, size=sizes)
    def grow(self, pick: int, size: int) -> None:
        found = self.a_view(pick)
        if found:
            _, view, data = found
            self.unwritten.discard(view)
            assert view.grow(size) == (size >= len(data))
            data.extend(bytes(max(0, size - len(data))))

    @rule(pick=picks)
    def commit(self, pick: int) -> None:
        found = self.a_view(pick)
        if not found:
            return
        model, view, data = found
        if view.stale:
            with pytest.raises(StateError, match="changed since"):
                view.commit()
            return
        changed = [
            n for n in range(0, len(data), PAGE) if data[n : n + PAGE] != padded(model.data, len(data))[n : n + PAGE]
        ]
        assert view.commit() >= len(changed) * PAGE
        model.data = bytearray(data)
        self.unwritten.add(view)
        assert not view.dirty()

    @rule(pick=picks)
    def rollback(self, pick: int) -> None:
        found = self.a_view(pick)
        if found:
            model, view, data = found
            same = len(data) == len(model.data)
            assert view.rollback() == same
            if same:
                assert not view.stale
                data[:] = model.data
                self.unwritten.add(view)
            else:
                self.close_view(pick)

    @rule(pick=picks)
    def follow(self, pick: int) -> None:
        found = self.a_view(pick)
        if found and found[1] in self.unwritten:
            model, view, data = found
            good = not view.stale or len(data) == len(model.data)
            assert view.follow() == good
            if good:
                assert not view.stale
                data[: len(model.data)] = model.data
            else:
                self.close_view(pick)

    @rule(pick=picks)
    def close_view(self, pick: int) -> None:
        found = self.a_view(pick)
        if found:
            found[0].views = [pair for pair in found[0].views if pair[0] is not found[1]]
            self.unwritten.discard(found[1])
            found[1].close()

    # Direct changes

    @rule(pick=picks, place=places)
    def write(self, pick: int, place: Place) -> None:
        model = self.model(pick)
        where = at(place, len(model.data))
        if where:
            model.memory.write(*where)
            model.data[where[0] : where[0] + len(where[1])] = where[1]

    @rule(pick=picks, size=sizes)
    def resize(self, pick: int, size: int) -> None:
        model = self.model(pick)
        model.memory.resize(size)
        model.data = padded(model.data, size)

    # Images

    @rule(pick=picks)
    def image(self, pick: int) -> None:
        model = self.model(pick)
        if len(model.images) < 4:
            model.images.append((model.memory.image(), bytes(model.data)))

    @rule(pick=picks, which=picks)
    def drop_image(self, pick: int, which: int) -> None:
        model = self.model(pick)
        if model.images:
            del model.images[which % len(model.images)]

    @rule(pick=picks, which=picks)
    def restore(self, pick: int, which: int) -> None:
        model = self.model(pick)
        if model.images:
            image, data = model.images[which % len(model.images)]
            model.memory.restore(image)
            model.data = bytearray(data)
            assert not [run for run in model.memory.changed_since(image) if not covers([], data, bytes(model.data))]

    @precondition(lambda self: len(self.models) < 3)
    @rule(pick=picks, which=picks)
    def fork(self, pick: int, which: int) -> None:
        model = self.model(pick)
        if model.images and which:
            image, data = model.images[which % len(model.images)]
            self.track(model.memory.fork(image), data)
        else:
            self.track(model.memory.fork(), model.data)

    # Marks

    @precondition(lambda self: len(self.marks) < 3)
    @rule()
    def mark(self) -> None:
        self.marks.append((self.pool.mark(), [(model, bytes(model.data)) for model in self.models]))

    @precondition(lambda self: self.marks)
    @rule(which=picks)
    def undo(self, which: int) -> None:
        mark, kept = self.marks.pop(which % len(self.marks))
        mark.undo()
        for model, data in kept:
            model.data = bytearray(data)

    @precondition(lambda self: self.marks)
    @rule(which=picks, explicitly=st.booleans())
    def release(self, which: int, explicitly: bool) -> None:
        mark, _ = self.marks.pop(which % len(self.marks))
        if explicitly:
            mark.release()
            mark.release()

    # What must always hold

    @invariant()
    def committed(self) -> None:
        for model in self.models:
            size = len(model.data)
            assert model.memory.size == size
            assert model.memory.read(0, size) == model.data
            assert covers(model.memory.extents(), model.data, b"")

    @invariant()
    def views_show_their_bytes(self) -> None:
        for model in self.models:
            for view, data in model.views:
                assert view.size == len(data)
                if not view.stale:
                    assert view.read(0, view.size) == data
                    assert covers(view.dirty(), data, model.data)

    @invariant()
    def images_never_change(self) -> None:
        for model in self.models:
            older: tuple[Image, bytes] | None = None
            for image, data in model.images:
                assert image.size == len(data)
                assert image.read(0, len(data)) == data
                assert covers(image.extents(), data, b"")
                assert covers(model.memory.changed_since(image), data, model.data)
                if older is not None:
                    runs = image.changed_since(older[0])
                    assert runs == older[0].changed_since(image)
                    assert covers(runs, data, older[1])
                    assert data == older[1] or not image.same_as(older[0])
                older = image, data


@pytest.mark.parametrize("on_disk", [False, True], ids=["anonymous", "files"])
@pytest.mark.parametrize(("strategy", "many"), [(name, 512) for name in STRATEGIES] + [("scan", 2)])
def test_every_sequence_agrees_with_plain_copies(
    strategy: str, many: int, on_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        Pool(strategy=strategy)
    except Unsupported as error:
        pytest.skip(str(error))
    monkeypatch.setattr("sandbox.memory.dirty._MANY", many)
    machine = type("Machine", (Memories,), {"strategy": strategy, "on_disk": on_disk})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )

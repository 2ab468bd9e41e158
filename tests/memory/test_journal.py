"""After a crash at any moment the files are as they were when the journal was begun, or as they were when it ended."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import StateCorrupt, StateError
from sandbox.memory import PAGE, Pool
from sandbox.memory.journal import MAGIC

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kills forks of itself")

OPERATIONS = ("pwrite", "ftruncate", "open", "rename", "unlink", "fsync", "fdatasync")


def state(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def prepare(directory: Path) -> None:
    pool = Pool(directory)
    for pages in (4, 8, 2):
        memory = pool.memory(pages * PAGE)
        memory.write(0, b"".join(bytes([65 + page]) * PAGE for page in range(pages)))
        memory.close()


def command(directory: Path, journal: Path, durable: bool = False) -> None:
    """Every kind of change, one journal."""
    pool = Pool(directory)
    one, other, gone = (pool.open(name) for name in pool.names())
    pool.begin_journal(journal, durable)
    view = one.view()
    view.write(PAGE, b"first")
    view.commit()
    view.write(PAGE, b"twice")
    view.grow(6 * PAGE)
    view.write(5 * PAGE, b"grown")
    view.commit()
    other.resize(3 * PAGE)
    other.resize(9 * PAGE)
    other.write(7 * PAGE, b"where there was something else")
    fresh = pool.memory(2 * PAGE)
    fresh.write(0, b"fresh")
    mark = pool.mark()
    other.write(0, b"undone")
    mark.undo()
    gone_name = gone.name
    del gone
    assert pool.prune({one.name, other.name}) == [gone_name]
    assert gone_name not in pool.names()
    pool.end_journal()


def dies(action: Callable[[], None], at: int | None, half: bool = False) -> tuple[bool, int]:
    """Run `action` in a child that is killed at its file operation number `at`; (killed, operations counted).

    With `half`, a write is cut in the middle instead of not being done.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            count = _instrument(at, half)
            action()
            os.write(writer, str(count[0]).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    counted = os.read(reader, 100)
    os.close(reader)
    killed = os.WIFSIGNALED(status)
    assert killed or status == 0, "the child failed"
    return killed, int(counted or 0)


def _instrument(at: int | None, half: bool) -> list[int]:
    count = [0]

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **kwargs)
            count[0] += 1
            if count[0] == at:
                if half and name == "pwrite":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2], args[2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in OPERATIONS:
        setattr(os, name, wrap(name, getattr(os, name)))
    return count


@pytest.mark.parametrize("half", [False, True], ids=["before", "torn"])
def test_killed_at_any_file_operation(tmp_path: Path, half: bool) -> None:
    original, directory, journal = tmp_path / "original", tmp_path / "memories", tmp_path / "journal"
    prepare(original)
    before = state(original)
    shutil.copytree(original, directory)
    killed, operations = dies(lambda: command(directory, journal), None)
    after = state(directory)
    assert not killed
    assert operations > 30
    assert len(after) == 3
    assert after != before
    seen = []
    for at in range(1, operations + 1):
        shutil.rmtree(directory)
        shutil.copytree(original, directory)
        assert dies(lambda: command(directory, journal), at, half)[0]
        Pool(directory).recover(journal)
        now = state(directory)
        assert now in (before, after), f"killed at operation {at}"
        seen.append(now == after)
        assert not Pool(directory).recover(journal)
        assert set(tmp_path.iterdir()) <= {directory, original, journal}
        assert not journal.exists() or journal.read_bytes() in (b"", MAGIC)
    assert seen == sorted(seen), "once final, it stays final"
    assert seen[0] is False
    assert seen[-1] is True


def test_recovery_can_be_killed_and_repeated(tmp_path: Path) -> None:
    original, directory, journal = tmp_path / "original", tmp_path / "memories", tmp_path / "journal"
    prepare(original)
    before = state(original)
    shutil.copytree(original, directory)
    _, operations = dies(lambda: command(directory, journal), None)
    shutil.rmtree(directory)
    shutil.copytree(original, directory)
    dies(lambda: command(directory, journal), operations - 8)
    broken = {path: path.read_bytes() for path in [*directory.iterdir(), journal]}
    assert state(directory) != before

    def recover() -> None:
        Pool(directory).recover(journal)

    def breaks() -> None:
        for path in directory.iterdir():
            path.unlink()
        for path, data in broken.items():
            path.write_bytes(data)

    _, operations = dies(recover, None)
    assert state(directory) == before
    for at in range(1, operations + 1):
        breaks()
        assert dies(recover, at, half=True)[0]
        recover()
        assert state(directory) == before


def test_killed_at_random_moments(tmp_path: Path) -> None:
    directory, journal = tmp_path / "memories", tmp_path / "journal"
    pool = Pool(directory)
    for _ in range(2):
        pool.memory(16 * PAGE).close()
    del pool

    def count_for_ever(started: int) -> None:
        pool = Pool(directory)
        views = [pool.open(name).view() for name in pool.names()]
        while True:
            number = int.from_bytes(views[0].read(0, 8), "little") + 1
            pool.begin_journal(journal)
            for view in views:
                for page in range(0, 16, 3):
                    view.write(page * PAGE, number.to_bytes(8, "little"))
                    if page % 2:
                        view.commit()
                view.commit()
            pool.end_journal()
            os.write(started, b"x")

    chance = random.Random(1)
    reached = 0
    for attempt in range(12):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        child = os.fork()
        if child == 0:
            try:
                count_for_ever(writer)
            finally:
                os._exit(1)
        os.close(writer)
        if attempt % 3:  # two in three are killed between later moments, one perhaps before the first
            os.read(reader, 1)
        time.sleep(chance.uniform(0.005, 0.08))
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        pool = Pool(directory)
        pool.recover(journal)
        memories = [pool.open(name) for name in pool.names()]
        numbers = {memory.read(page * PAGE, 8) for memory in memories for page in range(0, 16, 3)}
        assert len(numbers) == 1
        number = int.from_bytes(numbers.pop(), "little")
        assert number >= reached
        reached = number
    assert reached


def test_what_was_committed_without_a_journal_survives_a_kill(tmp_path: Path) -> None:
    directory = tmp_path / "memories"

    def work() -> None:
        memory = Pool(directory).memory(PAGE)
        view = memory.view()
        view.write(0, b"safe")
        view.commit()
        view.write(0, b"lost")
        os.kill(os.getpid(), signal.SIGKILL)

    assert dies(work, None)[0]
    pool = Pool(directory)
    assert pool.open(pool.names()[0]).read(0, 5) == b"safe\0"


def test_durable_journals_reach_the_disk_before_the_files_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, journal = tmp_path / "memories", tmp_path / "journal"
    prepare(directory)
    done: list[str] = []
    for name in ("pwrite", "fdatasync", "ftruncate", "rename"):
        real = getattr(os, name)

        def call(*args: Any, _name: str = name, _real: Callable[..., Any] = real) -> Any:
            done.append(_target(_name, args))
            return _real(*args)

        monkeypatch.setattr(os, name, call)
    command(directory, journal, durable=True)
    unsynced = False
    for operation in done:
        if operation == "pwrite journal":
            unsynced = True
        elif operation == "fdatasync journal":
            unsynced = False
        elif operation in ("pwrite memory", "ftruncate memory", "rename"):
            assert not unsynced, done
    assert done.count("fdatasync journal") > 5


def _target(name: str, args: tuple[Any, ...]) -> str:
    if name == "rename":
        return name
    path = os.readlink(f"/proc/self/fd/{args[0]}")
    return f"{name} {'memory' if path.endswith('.memory') else 'journal' if path.endswith('journal') else 'other'}"


def test_a_page_is_journalled_once(tmp_path: Path) -> None:
    pool, journal = Pool(tmp_path / "memories"), tmp_path / "journal"
    memory = pool.memory(16 * PAGE)
    pool.begin_journal(journal)
    for step in range(10):
        memory.write(3 * PAGE, b"%d" % step)
    assert PAGE < journal.stat().st_size < 2 * PAGE
    memory.resize(32 * PAGE)
    memory.write(20 * PAGE, b"new pages have no old bytes")
    pool.memory(PAGE).write(0, b"nor have new memories")
    assert journal.stat().st_size < 2 * PAGE
    pool.end_journal()
    assert not journal.exists()


def test_misuse_is_refused(tmp_path: Path) -> None:
    pool, journal = Pool(tmp_path / "memories"), tmp_path / "journal"
    with pytest.raises(StateError, match="no journal"):
        pool.end_journal()
    memory = pool.memory(PAGE)
    with pytest.raises(StateError, match="open"):
        pool.recover(journal)
    pool.begin_journal(journal)
    with pytest.raises(StateError, match="has not ended"):
        pool.begin_journal(tmp_path / "other")
    with pytest.raises(StateError, match="open"):
        pool.recover(journal)
    memory.write(0, b"x")
    with pytest.raises(StateError, match="recover first"):
        Pool(tmp_path / "memories").begin_journal(journal)
    with pytest.raises(StateError, match="directory"):
        Pool().begin_journal(journal)
    with pytest.raises(StateError, match="no memory"):
        pool.open("../journal")
    with pytest.raises(StateError, match="no memory"):
        Pool().open(memory.name)


def test_a_damaged_journal_is_told_from_a_torn_one(tmp_path: Path) -> None:
    directory, journal = tmp_path / "memories", tmp_path / "journal"
    prepare(directory)
    before = state(directory)
    _, operations = dies(lambda: command(directory, journal), None)
    shutil.rmtree(directory)
    prepare(directory)
    dies(lambda: command(directory, journal), operations - 8)
    good = journal.read_bytes()
    journal.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    with pytest.raises(StateCorrupt, match="checksum"):
        Pool(directory).recover(journal)
    problems: list[str] = []
    assert Pool(directory).recover(journal, problems)
    assert len(problems) == 1
    assert state(directory) != before
    journal.write_bytes(b"something else entirely")
    with pytest.raises(StateCorrupt, match="not an undo journal"):
        Pool(directory).recover(journal)
    journal.write_bytes(good + good[-PAGE:-7])
    assert Pool(directory).recover(journal)
    assert state(directory) == before


def test_names_find_memories_again(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    memory = pool.memory(3 * PAGE)
    memory.write(2 * PAGE, b"here")
    name = memory.name
    assert pool.open(name) is memory
    del memory
    (tmp_path / "unrelated").touch()
    again = Pool(tmp_path)
    assert again.names() == [name]
    memory = again.open(name)
    assert memory.size == 3 * PAGE
    assert memory.read(2 * PAGE, 4) == b"here"
    other = again.memory()
    assert other.name != name
    other_name = other.name
    assert again.prune(set()) == []
    del memory, other
    assert again.prune({name}) == [other_name]
    assert Pool(tmp_path).names() == [name]
    (tmp_path / name).write_bytes(b"torn")
    with pytest.raises(StateError, match="whole number of pages"):
        again.open(name)


def test_files_that_the_pool_did_not_open_or_make_are_left_alone(tmp_path: Path) -> None:
    stranger, noted = tmp_path / "00000007.memory", tmp_path / "00000005.memory"
    stranger.write_bytes(b"somebody's")
    noted.write_bytes(bytes(PAGE))
    pool = Pool(tmp_path)
    own = pool.memory(PAGE).name
    assert own == "00000008.memory"
    assert pool.prune(set(), {noted.name}) == [noted.name, own]
    assert stranger.read_bytes() == b"somebody's"


def test_an_empty_journal_is_gone_on_with(tmp_path: Path) -> None:
    """What recovery leaves takes part in the next one as if it had just been begun."""
    prepare(tmp_path / "memories")
    journal = tmp_path / "journal"
    for left in (b"", MAGIC[:7], MAGIC):
        before = state(tmp_path / "memories")
        journal.write_bytes(left)
        assert not Pool(tmp_path / "memories").recover(journal)
        pool = Pool(tmp_path / "memories")
        pool.begin_journal(journal)
        pool.open(pool.names()[0]).write(0, b"changed")
        del pool
        assert Pool(tmp_path / "memories").recover(journal)
        assert state(tmp_path / "memories") == before


def test_a_pool_to_be_read_only_shows_what_the_journal_would_bring_back(tmp_path: Path) -> None:
    original, directory, journal = tmp_path / "original", tmp_path / "memories", tmp_path / "journal"
    prepare(original)
    shutil.copytree(original, directory)
    _, operations = dies(lambda: command(directory, journal), None)
    for at in range(1, operations - 8):
        shutil.rmtree(directory)
        shutil.copytree(original, directory)
        journal.unlink(missing_ok=True)
        assert dies(lambda: command(directory, journal), at)[0]
        broken = state(tmp_path / "memories"), journal.read_bytes() if journal.exists() else b""
        pool = Pool(directory, read_only=True)
        pool.recover(journal)
        memories = {name: pool.open(name) for name in state(original)}
        assert {name: memory.read(0, memory.size) for name, memory in memories.items()} == state(original), at
        fresh = pool.memory(PAGE)
        fresh.write(0, b"not on the disk")
        assert pool.open(next(iter(memories))) is memories[next(iter(memories))]
        assert (state(tmp_path / "memories"), journal.read_bytes() if journal.exists() else b"") == broken


def test_a_file_that_is_to_be_read_only_is_not_written(tmp_path: Path) -> None:
    prepare(tmp_path)
    before = state(tmp_path)
    pool = Pool(tmp_path, read_only=True)
    memory = pool.open(pool.names()[0])
    assert not memory.writable
    view = memory.view()
    view.write(0, b"a message that is rolled back")
    view.rollback()
    with pytest.raises(StateError):
        memory.write(0, b"x")
    assert state(tmp_path) == before
    assert memory.read(0, 1) == b"A"

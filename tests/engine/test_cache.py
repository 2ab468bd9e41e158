"""Compiled code on disk: only what this user wrote is believed, whatever else lies there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.engine import EngineTrap, Instance, Library, Runtime, bindings, cache, runtime
from sandbox.engine.runtime import Compiled
from sandbox.errors import EngineError, StateError
from tests.conftest import fixture, wat

MODULE = wat('(module (func (export "x") (nop)))')


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "code"


def compile_in(where: Path) -> Compiled:
    compiled = runtime().compile(MODULE, where)
    Instance(Library(runtime(), {}), compiled).call("x")
    return compiled


def entry(where: Path) -> Path:
    [found] = [path for path in where.iterdir() if not path.name.startswith(".")]
    return found


def compilations(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What gets compiled from now on, in order."""
    import wasmtime

    compiled: list[bytes] = []

    class Spy(wasmtime.Module):
        def __init__(self, engine: wasmtime.Engine, wasm: bytes) -> None:
            compiled.append(wasm)
            super().__init__(engine, wasm)

    monkeypatch.setattr(wasmtime, "Module", Spy)
    return compiled


def test_what_was_compiled_once_is_loaded_afterwards(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = compilations(monkeypatch)
    compile_in(where)
    content = entry(where).read_bytes()
    compile_in(where)
    assert compiled == [MODULE]
    assert entry(where).read_bytes() == content
    assert where.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("size", [0, 1, 10, 24, 30, 55, 56, 57, 1000, -1])
def test_a_truncated_entry_is_compiled_anew_and_healed(size: int, where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_in(where)
    path, whole = entry(where), entry(where).read_bytes()
    path.write_bytes(whole[:size])
    compiled = compilations(monkeypatch)
    compile_in(where)
    assert compiled == [MODULE]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("place", [0, 23, 24, 40, 56, 60, 500, -1])
def test_an_entry_with_one_wrong_bit_is_not_believed(place: int, where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_in(where)
    path, whole = entry(where), bytearray(entry(where).read_bytes())
    good = bytes(whole)
    whole[place] ^= 0x10
    path.write_bytes(whole)
    compiled = compilations(monkeypatch)
    compile_in(where)
    assert compiled == [MODULE]
    assert path.read_bytes() == good


def test_an_entry_of_rubbish_with_a_right_checksum_is_not_run(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_in(where)
    path = entry(where)
    cache.store(where, path.name, b"not machine code at all")
    compiled = compilations(monkeypatch)
    compile_in(where)
    assert compiled == [MODULE]


def test_intact_entries_under_each_others_names_are_not_believed(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = wat('(module (func (export "x") unreachable))')
    compile_in(where)
    mine = entry(where)
    runtime().compile(other, where)
    [its] = [path for path in where.iterdir() if path != mine]
    contents = mine.read_bytes(), its.read_bytes()
    mine.write_bytes(contents[1])
    its.write_bytes(contents[0])
    compiled = compilations(monkeypatch)
    compile_in(where)
    with pytest.raises(EngineTrap):
        Instance(Library(runtime(), {}), runtime().compile(other, where)).call("x")
    assert compiled == [MODULE, other]
    assert (mine.read_bytes(), its.read_bytes()) == contents


def test_code_that_others_could_have_written_is_not_loaded(where: Path) -> None:
    compile_in(where)
    path = entry(where)
    assert cache.load(where, path.name) is not None
    for permissive in (0o620, 0o602, 0o666):
        path.chmod(permissive)
        assert cache.load(where, path.name) is None
    path.chmod(0o600)
    for permissive in (0o770, 0o707, 0o777, 0o1777):
        where.chmod(permissive)
        assert cache.load(where, path.name) is None
    where.chmod(0o700)
    assert cache.load(where, path.name) is not None


def test_nothing_is_kept_in_a_directory_that_others_may_write(where: Path) -> None:
    where.mkdir(parents=True)
    where.chmod(0o777)
    compile_in(where)
    assert list(where.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give a file away")
def test_code_of_another_user_is_not_loaded(where: Path) -> None:
    compile_in(where)
    path = entry(where)
    os.chown(path, 12345, 12345)
    assert cache.load(where, path.name) is None
    os.chown(path, 0, 0)
    os.chown(where, 12345, 12345)
    assert cache.load(where, path.name) is None
    os.chown(where, 0, 0)
    assert cache.load(where, path.name) is not None


def test_a_link_is_not_followed_and_gives_way(where: Path, tmp_path: Path) -> None:
    compile_in(where)
    path = entry(where)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert cache.load(where, path.name) is None
    compile_in(where)
    assert not path.is_symlink()
    assert cache.load(where, path.name) is not None


@pytest.mark.parametrize("kind", ["directory", "fifo", "dangling link"])
def test_an_entry_that_is_no_file_is_as_good_as_none(kind: str, where: Path) -> None:
    compile_in(where)
    path = entry(where)
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.symlink_to("nowhere")
    assert cache.load(where, path.name) is None
    compile_in(where)
    assert [p for p in where.iterdir() if p.name.startswith(".new-")] == []


@pytest.mark.parametrize("place", ["a/file/code", "/proc/nowhere/code", "/dev/null/code"])
def test_a_cache_that_cannot_be_written_only_costs_time(place: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("")
    compile_in(tmp_path / place)
    assert cache.load(tmp_path / place, "x") is None


def test_the_directory_is_the_users_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CANISTER_SANDBOX_CACHE", str(tmp_path / "mine"))
    assert cache.directory() == tmp_path / "mine"
    monkeypatch.delenv("CANISTER_SANDBOX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.directory() == tmp_path / "canister-sandbox" / "code"


_WRITER = """
import sys
from pathlib import Path
from sandbox.engine import Instance, Library, cache, runtime
where, wasm = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
for _ in range(15):
    compiled = runtime().compile(wasm, where)
    Instance(Library(runtime(), {}), compiled).call("x")
    for path in where.glob("*"):
        if not path.name.startswith(".") and hash(path.name) % 2:
            path.unlink(missing_ok=True)
"""


def test_processes_share_an_entry_that_they_write_and_delete_at_once(where: Path, tmp_path: Path) -> None:
    module = tmp_path / "module.wasm"
    module.write_bytes(MODULE)
    command = [sys.executable, "-c", _WRITER, str(where), str(module)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    assert [p for p in where.iterdir() if p.name.startswith(".new-")] == []
    compile_in(where)


def test_the_second_compilation_of_a_real_module_is_far_faster(where: Path) -> None:
    from sandbox import wasm

    module, _ = wasm.rewritten_code(wasm.read_facts(fixture("people_stable_rs_v2_good")))

    def seconds() -> float:
        began = time.perf_counter()
        runtime().compile(module, where)
        return time.perf_counter() - began

    first = seconds()
    assert min(seconds() for _ in range(5)) * 20 < first


def test_another_version_of_the_engine_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    bindings.check()
    monkeypatch.setattr(bindings, "installed_version", lambda: "49.0.0")
    text = r"wasmtime 49.0.0 is installed, but 50.x is needed.*pip install 'wasmtime>=50,<51'"
    with pytest.raises(EngineError, match=text):
        Runtime()


def test_a_missing_binding_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "_NEEDED", (*bindings._NEEDED, "wasmtime_of_tomorrow"))
    with pytest.raises(EngineError, match=r"missing: wasmtime_of_tomorrow"):
        bindings.check()


def test_the_name_of_an_entry_says_engine_and_configuration(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_in(where)
    first = entry(where).name
    assert f"wasmtime-{bindings.installed_version()}" in first
    monkeypatch.setattr(runtime(), "version", "another")
    runtime().compile(MODULE, where)
    assert len(list(where.iterdir())) == 2


def stored(where: Path, number: int, size: int = 1_000) -> Path:
    """An entry that was last used `number` minutes after the first one could be."""
    name = f"{number:064x}-code"
    cache.store(where, name, bytes(size))
    long_ago = time.time() - 10_000 + 60 * number
    os.utime(where / name, (long_ago, long_ago))
    return where / name


def test_the_least_recently_used_entries_go_first(where: Path) -> None:
    first, second, third, fourth = (stored(where, number) for number in range(4))
    assert cache.load(where, first.name) == bytes(1_000)
    other, unfinished, recent = where / "notes.txt", where / ".new-old", where / ".new-now"
    for file in (other, unfinished, recent):
        file.write_bytes(bytes(5_000))
    os.utime(unfinished, (0, 0))
    assert [entry.path for entry in cache.entries(where)] == [second, third, fourth, first]
    size = first.stat().st_size
    assert [entry.path for entry in cache.trim(where, 2 * size)] == [second, third]
    assert sorted(where.iterdir()) == sorted([first, fourth, other, recent])
    assert cache.trim(where, 2 * size) == []
    assert [entry.path for entry in cache.trim(where, 0)] == [fourth, first]


def test_the_cache_stays_within_its_limit(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANISTER_SANDBOX_CACHE_LIMIT", "1")
    for number in range(30):
        stored(where, number, 100_000)
        assert sum(entry.size for entry in cache.entries(where)) <= 1.1 * (1 << 20)
    assert [entry.path.name for entry in cache.entries(where)][-1] == f"{29:064x}-code"
    monkeypatch.setenv("CANISTER_SANDBOX_CACHE_LIMIT", "0")
    cache.store(where, f"{40:064x}-code", b"code")
    assert cache.entries(where) == []
    compile_in(where)


@pytest.mark.parametrize("text", ["1 GiB", "-1", "much"])
def test_a_limit_that_is_no_number_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANISTER_SANDBOX_CACHE_LIMIT", text)
    with pytest.raises(StateError, match="a number of MiB"):
        cache.limit()


def test_a_directory_of_others_is_neither_listed_nor_trimmed(where: Path) -> None:
    file = stored(where, 1)
    where.chmod(0o777)
    assert cache.entries(where) == []
    assert cache.trim(where, 0) == []
    assert file.exists()


_FILLER = """
import os, sys
from pathlib import Path
from sandbox.engine import cache
for number in range(200):
    name = f"{os.getpid() * 1000 + number:064x}-code"
    cache.store(Path(sys.argv[1]), name, bytes(50_000))
    assert cache.load(Path(sys.argv[1]), name) in (None, bytes(50_000))
"""


def test_processes_may_fill_the_cache_together(where: Path) -> None:
    environment = {**os.environ, "CANISTER_SANDBOX_CACHE_LIMIT": "1"}
    run = [sys.executable, "-c", _FILLER, str(where)]
    fillers = [subprocess.Popen(run, env=environment) for _ in range(2)]
    assert [filler.wait(60) for filler in fillers] == [0, 0]
    assert sum(entry.size for entry in cache.entries(where)) <= 1.3 * (1 << 20)
    assert cache.entries(where)

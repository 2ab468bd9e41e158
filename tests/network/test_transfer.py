"""Claims about snapshots that are downloaded from a network and uploaded to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import CallRejected, Sandbox
from sandbox.errors import SnapshotFileError
from sandbox.memory import Readable
from sandbox.network.agent import Agent
from sandbox.network.download import FOLDER, download
from sandbox.network.failure import NetworkError
from sandbox.network.remote import Remote
from sandbox.network.transport import Transport
from sandbox.network.upload import LOG, upload
from sandbox.snapshots import portable
from tests.network.place import EMPTY, HASTY, Place
from tests.network.proxy import LOSE, PASS, Proxy, proxied

FORMS = ("icsnap", "dir")


@pytest.fixture
def taken(place: Place) -> bytes:
    """A snapshot of the counter at the network."""
    with place.remote() as remote:
        for old in remote.snapshots():
            remote.delete(old.id)
        return remote.take().id


def through(proxy: Proxy, remote: Remote) -> Agent:
    return Agent(Transport(proxy.url, HASTY), remote.agent.root_key, remote.agent.identity)


def slices(proxy: Proxy) -> int:
    return sum(b"read_canister_snapshot_data" in body for _, body in proxy.seen)


@pytest.mark.parametrize("form", FORMS)
def test_a_download_has_every_byte(place: Place, taken: bytes, tmp_path: Path, form: str) -> None:
    path, seen = tmp_path / "snapshot", list[tuple[int, int]]()
    with place.remote() as remote:
        content = download(remote, taken, path, form, lambda done, total: seen.append((done, total)))
        count = remote.agent.query(place.canister, "get", EMPTY)
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] > 0
    with Sandbox() as sandbox:
        copy = sandbox.snapshots.create_canister(path)
        assert copy.query_raw("get", EMPTY).reply == count
        assert copy.take_snapshot().content_id == content
    assert [file.name for file in tmp_path.iterdir()] == ["snapshot"]


@pytest.mark.parametrize("form", FORMS)
def test_a_download_goes_on_where_the_network_was_lost(place: Place, taken: bytes, tmp_path: Path, form: str) -> None:
    path = tmp_path / "snapshot"
    with place.remote() as direct, proxied(place.server.port) as proxy, through(proxy, direct) as agent:
        remote, whole = Remote(agent, place.canister), download(direct, taken, tmp_path / "whole", form)
        proxy.rule = lambda number, path, body: LOSE if b"snapshot_data" in body and slices(proxy) > 2 else PASS
        with pytest.raises(NetworkError):
            download(remote, taken, path, form)
        assert not path.exists()
        folder = path.with_name(path.name + FOLDER)
        kept = len((folder / "slices").read_text().splitlines()) - 1
        assert kept == 2
        proxy.rule = lambda *_: PASS
        proxy.seen.clear()
        assert download(remote, taken, path, form) == whole
        total = sum(-(-part.size // 2_000_000) for part in _parts(path))
        assert slices(proxy) == total - kept
        assert not folder.exists()


def _parts(path: Path) -> list[Readable]:
    with portable.opened(path) as content:
        return [*content.parts().values()]


def test_bytes_of_an_interrupted_download_that_changed_are_fetched_again(
    place: Place, taken: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "snapshot"
    with place.remote() as direct, proxied(place.server.port) as proxy, through(proxy, direct) as agent:
        remote, whole = Remote(agent, place.canister), download(direct, taken, tmp_path / "whole")
        proxy.rule = lambda number, path, body: LOSE if b"snapshot_data" in body and slices(proxy) > 2 else PASS
        with pytest.raises(NetworkError):
            download(remote, taken, path)
        folder = path.with_name(path.name + FOLDER)
        for file in ("wasm_module.bin", "wasm_memory.bin"):
            with open(folder / file, "r+b") as damaged:
                damaged.seek(100)
                damaged.write(b"\xff" * 64)
        with open(folder / "slices", "ab") as log:
            log.write(b"heap 2000000 torn")
        proxy.rule = lambda *_: PASS
        assert download(remote, taken, path) == whole


def test_two_downloads_to_one_place_do_not_mix(place: Place, taken: bytes, tmp_path: Path) -> None:
    with place.remote() as remote:
        second = remote.take().id
        path = tmp_path / "snapshot"
        with (
            proxied(place.server.port, lambda n, p, b: LOSE if b"snapshot_data" in b else PASS) as proxy,
            through(proxy, remote) as agent,
            pytest.raises(NetworkError),
        ):
            download(Remote(agent, place.canister), taken, path)
        download(remote, second, path)
        with portable.opened(path) as content:
            assert content.fields.id == second
        with pytest.raises(SnapshotFileError, match="nothing is overwritten"):
            download(remote, taken, path)


@pytest.mark.parametrize("form", FORMS)
def test_an_upload_brings_everything_back(place: Place, taken: bytes, tmp_path: Path, form: str) -> None:
    path = tmp_path / "snapshot"
    with place.remote() as remote:
        whole = download(remote, taken, path, form)
        with portable.opened(path) as content:
            made = upload(remote, content, tmp_path / "log")
        assert download(remote, made, tmp_path / "again", form) == whole
        before = remote.agent.query(place.canister, "get", EMPTY)
        remote.agent.update(place.canister, "inc", EMPTY)
        remote.stop()
        remote.load(made)
        remote.start()
        assert remote.agent.query(place.canister, "get", EMPTY) == before
    assert not (tmp_path / "log").exists()


def test_an_upload_goes_on_where_the_network_was_lost(place: Place, taken: bytes, tmp_path: Path) -> None:
    path, log = tmp_path / "snapshot", tmp_path / f"snapshot{LOG}"

    def sent(proxy: Proxy) -> int:
        return sum(b"upload_canister_snapshot_data" in body for _, body in proxy.seen)

    with place.remote() as direct, proxied(place.server.port) as proxy, through(proxy, direct) as agent:
        remote, whole = Remote(agent, place.canister), download(direct, taken, path)
        late = b"upload_canister_snapshot_data"
        proxy.rule = lambda number, path, body: LOSE if late in body and sent(proxy) > 1 else PASS
        with portable.opened(path) as content, pytest.raises(NetworkError):
            upload(remote, content, log)
        there = len(direct.snapshots())
        proxy.rule = lambda *_: PASS
        with portable.opened(path) as content:
            made = upload(remote, content, log)
        assert len(direct.snapshots()) == there
        assert download(direct, made, tmp_path / "again") == whole


def test_only_controllers_download(place: Place, taken: bytes, tmp_path: Path) -> None:
    with Agent.connect(place.server.url, patience=HASTY) as agent, pytest.raises(CallRejected):
        download(Remote(agent, place.canister), taken, tmp_path / "snapshot")

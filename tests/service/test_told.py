"""Claims about what is told of backups: log, webhook, metrics, files for other systems; no secret is in any of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.service.config import read_config
from sandbox.service.fleet import Fleet
from sandbox.service.units import SECRET
from tests.network.place import HASTY, Place, command
from tests.service.test_backup import config, run


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Any]]]:
    """The URL of a webhook, and what was sent to it."""
    told: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook?token=hush", told
    server.shutdown()
    server.server_close()
    thread.join()


def with_keys(path: Path, **keys: Any) -> Path:
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))
    return path


def test_a_run_is_one_line_of_the_log_one_message_and_metrics(place: Place, hook: tuple[str, list[Any]]) -> None:
    url, told = hook
    path = with_keys(config(place), webhook=url, metrics="metrics/backups.prom")
    good = run(place, path)
    with place.remote() as remote:
        remote.stop()
        remote.delete(remote.snapshots()[0].id)
        for _ in range(10):
            remote.take()
        remote.start()
    bad = run(place, path, code=1)
    log = (place.folder / "backups" / "log.jsonl").read_text()
    assert told == [json.loads(line) for line in log.splitlines()]
    assert [line | {"at": str(line["at"])} for line in told] == [good, bad]
    metrics = (place.folder / "metrics" / "backups.prom").read_text()
    labels = f'{{canister="{place.canister}",name="counter"}}'
    assert f"canister_backup_success{labels} 0\n" in metrics
    assert f"canister_backup_last_success_timestamp_seconds{labels} {told[0]['at'] / 1e9}\n" in metrics
    assert metrics.endswith("# EOF\n")
    shown = command(place.folder, "--output", "json", "backup", "log")
    assert json.loads(shown.stdout) == [good, bad]


def test_no_secret_is_in_what_is_told(place: Place) -> None:
    path = with_keys(config(place), webhook="http://127.0.0.1:9/hook?token=hush")
    done = command(place.folder, "backup", "run", str(path))
    assert done.returncode == 0
    assert "the webhook at 127.0.0.1 was not told" in " ".join(done.stderr.split())
    settings = read_config(path)
    texts = [done.stdout, done.stderr, repr(settings)]
    files = [file for file in settings.repository.rglob("*") if file.is_file()]
    texts += [file.read_text("latin-1") for file in files if file.parent.name not in ("packs", "modules", "snapshots")]
    secret = place.pem.read_text().splitlines()[1]
    assert not any(word in text for text in texts for word in ("hush", secret))


def test_a_dead_network_is_told_of_for_each_canister(place: Place) -> None:
    path = with_keys(config(place), network="http://127.0.0.1:9")
    [report] = Fleet(read_config(path), HASTY).run()
    assert (report.failed, report.safe) == ("connect", "nothing was changed")


def test_a_systemd_unit_is_valid_and_may_write_where_it_must(place: Place) -> None:
    path = with_keys(config(place, schedule="0 3 * * *"), metrics="metrics/backups.prom", password_env="PEM_PASSWORD")
    out = place.folder / "backups.service"
    command(place.folder, "backup", "unit", "--kind", "systemd", "--user", "root", "-o", str(out), str(path))
    text = out.read_text()
    assert f"backup schedule {path}" in text
    assert f"ReadWritePaths={place.folder / 'backups'} {place.folder / 'metrics'}" in text
    assert "PassEnvironment=PEM_PASSWORD" in text
    if shutil.which("systemd-analyze") is not None:
        done = subprocess.run(["systemd-analyze", "verify", str(out)], capture_output=True, text=True, check=False)
        assert "backups.service" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("schedule", "cron"),
    [
        ("0 3 * * *", "0 3 * * *"),
        ({"cron": "0 3 * * *", "zone": "Europe/Zurich"}, "17 * * * *"),
        ({"every": "6h"}, "17 * * * *"),
    ],
)
def test_a_workflow_runs_what_is_due(place: Place, schedule: Any, cron: str) -> None:
    path = config(place, schedule=schedule)
    text = command(place.folder, "backup", "unit", "--kind", "github", path.name).stdout
    workflow = yaml.safe_load(text)
    assert workflow[True]["schedule"] == [{"cron": cron}]
    steps = workflow["jobs"]["backup"]["steps"]
    assert "canister-sandbox backup schedule --once backup.yaml" in steps[4]["run"]
    assert steps[4]["env"] == {SECRET: f"${{{{ secrets.{SECRET} }}}}"}
    assert steps[3]["with"]["path"] == "backups"


def test_a_configuration_with_errors_names_their_places(place: Place) -> None:
    for wrong, why in (({"repositry": "x"}, "has no key 'repositry'"), ({"schedule": "61 * * * *"}, "Bad minute")):
        path = with_keys(config(place), **wrong)
        done = command(place.folder, "--output", "json", "backup", "run", str(path))
        assert done.returncode == 2
        message = json.loads(done.stdout)["error"]["message"]
        assert message.startswith(f"{path}:")
        assert why in message


def test_a_simulation_shows_what_would_be_kept(place: Place) -> None:
    path = config(place, schedule="0 3 * * *", keep={"daily": 3, "monthly": 2})
    done = command(place.folder, "--output", "json", "backup", "simulate", str(path), "counter", "--days", "100")
    facts = json.loads(done.stdout)
    assert (facts["taken"], len(facts["kept"])) == (100, 4)

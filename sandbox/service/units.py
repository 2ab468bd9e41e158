"""Files by which other systems run the schedules of a configuration: a systemd unit, a GitHub workflow."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from sandbox.service.config import Config

HOURLY = "17 * * * *"
"""When GitHub looks what is due, where its own cron, which knows UTC alone, cannot say it."""
SECRET = "CANISTER_CONTROLLER_PEM"
"""The name of the secret with the private key in a workflow."""

_SYSTEMD = """\
# Written by `canister-sandbox backup unit --kind systemd`. To install it:
#   cp {name}.service /etc/systemd/system/ && systemctl daemon-reload && systemctl enable --now {name}
[Unit]
Description=Backups of canisters by {config}
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command} backup schedule {config}
WorkingDirectory={folder}
# SIGTERM ends a backup in order: the canister is started first. That may take as long as the network does.
KillSignal=SIGTERM
TimeoutStopSec=300
Restart=always
RestartSec=60
User={user}
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={folders}
{password}
[Install]
WantedBy=multi-user.target
"""

_WORKFLOW = """\
# Written by `canister-sandbox backup unit --kind github`. The repository needs the secret {secret}: the private key
# of a controller, best of one that controls nothing else. The backups are kept in the cache of the workflow, which
# GitHub deletes a week after its last use: copy them elsewhere, too.
name: Backups of canisters
on:
  schedule:
    - cron: "{cron}"  # UTC
  workflow_dispatch:
concurrency:
  group: canister-backups
  cancel-in-progress: false
permissions:
  contents: read
jobs:
  backup:
    runs-on: ubuntu-latest
    timeout-minutes: 120
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install 'canister-sandbox[network]'
      - uses: actions/cache@v4
        with:
          path: {repository}
          key: canister-backups-${{{{ github.run_id }}}}
          restore-keys: canister-backups-
      - name: Back up what is due
        env:
          {secret}: ${{{{ secrets.{secret} }}}}
        run: |
          umask 077
          printf '%s\\n' "${secret}" > {identity}
          canister-sandbox backup schedule --once {config}
      - if: always()
        run: rm -f {identity}
"""


def systemd_unit(config: Config, path: Path, user: str) -> str:
    """Return a unit that follows the schedules of the configuration in `path`, as `user`."""
    path = path.resolve()
    folders = {config.repository.resolve()}
    if config.reporting.metrics is not None:
        folders.add(config.reporting.metrics.parent.resolve())
    password = f"PassEnvironment={config.password_env}\n" if config.password_env else ""
    return _SYSTEMD.format(
        name=f"canister-backups-{path.stem}",
        config=_escaped(path),
        command=_command(),
        folder=_escaped(path.parent),
        user=user,
        folders=" ".join(f"{_escaped(folder)}" for folder in sorted(folders)),
        password=password,
    )


def github_workflow(config: Config, path: Path) -> str:
    """Return a workflow that runs what is due by the configuration; its paths are those in the repository of code."""
    identity = config.identity or path.parent / "controller.pem"
    return _WORKFLOW.format(
        secret=SECRET,
        cron=_utc_cron(config) or HOURLY,
        repository=shlex.quote(os.path.relpath(config.repository)),
        identity=shlex.quote(os.path.relpath(identity)),
        config=shlex.quote(os.path.relpath(path)),
    )


def _utc_cron(config: Config) -> str | None:
    """Return the one cron expression of all canisters, if there is one, and in UTC."""
    schedules = {target.schedule for target in config.targets if target.schedule is not None}
    only = next(iter(schedules)) if len(schedules) == 1 else None
    return only.cron if only is not None and only.zone == "UTC" and not only.jitter else None


def _command() -> str:
    program = shutil.which("canister-sandbox", path=str(Path(sys.executable).parent)) or shutil.which(
        "canister-sandbox"
    )
    return _escaped(Path(program)) if program else f"{_escaped(Path(sys.executable))} -m sandbox"


def _escaped(path: Path) -> str:
    """Return a path as one word of a unit file."""
    text = str(path).replace("%", "%%")
    return text if not set(text) & set(" \t\"'\\$") else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

"""The program `canister-sandbox-launcher`: starts a sandbox as the network of `icp network start`.

`icp` runs the file that ICP_CLI_NETWORK_LAUNCHER_PATH names, with the options below, waits for `status.json` in the
status directory, and ends the network with SIGINT (`dfinity/icp-cli`, interface of launchers 1.1.0). It empties the
state directory before each start. Options for what a sandbox does not have are refused by name.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import click

from sandbox.api import Sandbox
from sandbox.http.gateway.domains import Domains
from sandbox.http.gateway.gateway import Gateway
from sandbox.http.gateway.trust import verifier
from sandbox.http.network import install_system
from sandbox.http.replica import Replica
from sandbox.http.worker import Worker

DOMAINS = "custom-domains.txt"
"""The file in the status directory with the domains of canisters, which `icp` writes."""
INTERFACE = "1"
"""The major version of the interface that is spoken here."""
_NEEDS = "canister-sandbox-launcher needs starlette and uvicorn: pip install 'canister-sandbox[serve]'"


@click.command()
@click.option("--interface-version", default="1.0.0", help="Version of the interface that the caller speaks.")
@click.option("--state-dir", type=click.Path(path_type=Path), required=True, help="Directory of the state.")
@click.option("--status-dir", type=click.Path(path_type=Path), required=True, help="Directory of status.json.")
@click.option("--bind", "host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--gateway-port", "port", type=click.IntRange(0, 65535), default=0, help="Port; 0 takes any free one.")
@click.option("--domain", "domains", multiple=True, help="Names of this machine; all are answered alike.")
@click.option("--verbose", is_flag=True, help="Accepted; there is nothing more to print.")
@click.option("--artificial-delay-ms", type=int, default=0, help="Not supported.")
@click.option("--ii", is_flag=True, help="Not supported: there is no Internet Identity.")
@click.option("--nns", is_flag=True, help="Not supported: there is no governance.")
@click.option("--subnet", "subnets", multiple=True, help="Not supported beyond one subnet for applications.")
@click.option("--bitcoind-addr", multiple=True, help="Not supported: there is no Bitcoin network.")
@click.option("--dogecoind-addr", multiple=True, help="Not supported: there is no Dogecoin network.")
def launch(
    interface_version: str,
    state_dir: Path,
    status_dir: Path,
    host: str,
    port: int,
    domains: tuple[str, ...],
    verbose: bool,
    subnets: tuple[str, ...],
    **unsupported: object,
) -> None:
    """Serve a sandbox as the network of `icp network start`, until SIGINT."""
    try:
        from sandbox.http.server import application, listen, run
    except ImportError:
        raise click.ClickException(_NEEDS) from None
    _check(interface_version, subnets, unsupported)
    with Sandbox.open(state_dir / "canister-sandbox") as sandbox:
        install_system(sandbox)
        sandbox.save()
        try:
            listening = listen(host, port)
        except OSError as error:
            raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        with listening:
            status = _status(listening.getsockname()[1], sandbox.root_key)
            replica = Replica(sandbox, time.time_ns)
            worker = Worker(replica)
            gateway = Gateway(worker, verifier(replica), replica.notices, Domains(status_dir / DOMAINS))
            run(application(worker, gateway, lambda: _write(status_dir / "status.json", status)), listening)


def _check(version: str, subnets: tuple[str, ...], unsupported: dict[str, object]) -> None:
    """Refuse what a sandbox does not have."""
    if version.split(".")[0] != INTERFACE:
        raise click.ClickException(f"version {version} of the launcher interface is not known, only {INTERFACE}")
    for name, value in unsupported.items():
        if value:
            raise click.ClickException(f"--{name.replace('_', '-')} is not supported by canister-sandbox")
    others = [kind for kind in subnets if kind != "application"]
    if others or len(subnets) > 1:
        raise click.ClickException(f"--subnet={(others or subnets)[-1]}: a sandbox has one subnet, for applications")


def _status(port: int, root_key: bytes) -> str:
    """The only line of `status.json`."""
    status: dict[str, object] = {
        "v": INTERFACE,
        "instance_id": None,
        "config_port": None,
        "gateway_port": port,
        "root_key": root_key.hex(),
        "default_effective_canister_id": None,
        "supported_features": ["custom-domains"],
    }
    return json.dumps(status) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)


def main() -> None:
    """Run the launcher, as the entry point of the process."""
    sys.exit(launch())

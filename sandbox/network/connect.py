"""From what a user writes to an agent: the names of networks, their root keys, the private key."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Final

from sandbox.network.agent import Agent, fetch_root_key
from sandbox.network.failure import KeyFileError, NetworkError
from sandbox.network.identity import ANONYMOUS, Identity, read_identity
from sandbox.network.transport import DEFAULT, Patience, Transport

MAIN: Final = "https://icp-api.io"
_MAIN_HOSTS: Final = ("icp-api.io", "icp0.io", "ic0.app", "internetcomputer.org")
MAIN_ROOT_KEY: Final = bytes.fromhex(
    "308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100814c0e6ec71fab583b08bd81373c255c3c371b2e"
    "84863c98a4f1e08b74235d14fb5d9c0cd546d9685f913a0c0b2cc5341583bf4b4392e467db96d65b9bb4cb717112f8472e0d5a4d14505ffd74"
    "84b01291091c5f87b98883463f98091a0baaae"
)
"""The root key of the main network, in DER: the one that every agent has built in."""
FETCH: Final = "fetch"


def connect(
    network: str,
    root_key: str | None = None,
    pem: Path | None = None,
    password_env: str | None = None,
    patience: Patience = DEFAULT,
) -> Agent:
    """Connect to a network by its URL, or `ic` for the main network, as the owner of a key file, else anonymously.

    `root_key`: hexadecimal, or `fetch` to believe what the network says; None: the built-in one for the main network,
    fetched from this machine's own address, and needed for any other. `password_env`: the environment variable with
    the password of an encrypted key file.
    """
    identity = identity_of(pem, password_env)
    transport = Transport(MAIN if network == "ic" else network, patience)
    try:
        return Agent(transport, _root_key(transport, root_key), identity)
    except BaseException:
        transport.close()
        raise


def identity_of(pem: Path | None, password_env: str | None) -> Identity:
    """Return the owner of a key file, the anonymous user without one. `password_env`: as for `connect`."""
    if pem is None:
        return ANONYMOUS
    password = os.environ.get(password_env) if password_env else None
    try:
        return read_identity(pem, None if password is None else password.encode())
    except KeyFileError as error:
        if password is None and password_env and "encrypted" in str(error):
            raise KeyFileError(f"{error}, in the environment variable {password_env}") from None
        raise


def _root_key(transport: Transport, given: str | None) -> bytes:
    if given is None:
        if any(transport.host == host or transport.host.endswith(f".{host}") for host in _MAIN_HOSTS):
            return MAIN_ROOT_KEY
        if not _is_here(transport.host):
            raise NetworkError(
                f"the root key of {transport.url} is not known: give it in hexadecimal (--root-key, root_key), or "
                "`fetch` to believe what the network says of itself"
            )
        return fetch_root_key(transport)
    if given == FETCH:
        return fetch_root_key(transport)
    try:
        return bytes.fromhex(given)
    except ValueError:
        raise NetworkError("a root key is given in hexadecimal, or as `fetch`") from None


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

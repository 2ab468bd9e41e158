"""The system canisters that tools expect of a network, under their ids on the main network.

They are ordinary canisters (sources: `fixtures/src`), with the interface of the real ones as far as their purpose goes.
In the ledgers, an account that was never touched has a gift, so that every user can pay.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.resources import files

from sandbox.api import Sandbox
from sandbox.candid import encode_text
from sandbox.principal import Principal


@dataclass(frozen=True, slots=True)
class SystemCanister:
    """One system canister; `about_subnet`: whether its init argument is the id of the subnet."""

    name: str
    canister_id: Principal
    module: str
    about_subnet: bool = False


SYSTEM = (
    SystemCanister("ICP ledger", Principal.from_text("ryjl3-tyaaa-aaaaa-aaaba-cai"), "icp_ledger.enhanced"),
    SystemCanister(
        "cycles minting canister",
        Principal.from_text("rkp4c-7iaaa-aaaaa-aaaca-cai"),
        "cycles_minting.enhanced",
        about_subnet=True,
    ),
    SystemCanister("cycles ledger", Principal.from_text("um5iw-rqaaa-aaaaq-qaaba-cai"), "cycles_ledger.enhanced"),
)
_CYCLES = 1 << 100
"""What each of them begins with: more than is ever used up."""
_CONTROLLER = "system"


def install_system(sandbox: Sandbox) -> list[SystemCanister]:
    """Create and install the system canisters that are not there; return those whose id another canister has."""
    controller, taken = sandbox.identity(_CONTROLLER), []
    present = {canister.id: canister for canister in sandbox.canisters()}
    for system in SYSTEM:
        if system.canister_id in present:
            if controller not in present[system.canister_id].status().settings.controllers:
                taken.append(system)
            continue
        made = sandbox.create_canister([controller], system.canister_id, _CYCLES)
        arg = encode_text(f'(principal "{sandbox.subnet_id}")' if system.about_subnet else "()")
        made.install(_module(system.module), arg, sender=controller)
    return taken


def _module(name: str) -> bytes:
    return gzip.decompress(files("sandbox.http").joinpath("system", f"{name}.wasm.gz").read_bytes())

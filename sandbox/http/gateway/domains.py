"""Domains that `icp` gives to the canisters of its projects, such as `site.local.localhost`: lines `domain:principal`
of a file that it replaces when it deploys (`dfinity/icp-cli`, `custom-domains.txt`)."""

from __future__ import annotations

from pathlib import Path

from sandbox.errors import PrincipalError
from sandbox.principal import Principal


class Domains:
    """The domains in a file, none if it is not there; it is read for every look-up."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def canister(self, domain: str) -> Principal | None:
        """The canister at a domain, in lower case; None for unknown domains and for lines that are none."""
        try:
            lines = self._file.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return None
        pairs = (line.lower().rpartition(":") for line in lines)
        named = next((text for known, _, text in pairs if known == domain), None)
        try:
            return None if named is None else Principal.from_text(named.strip())
        except PrincipalError:
            return None

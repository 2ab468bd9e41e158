"""Which canister a request is for: its host, `?canisterId=`, or either of these in the page that it came from.

The order is that of PocketIC's gateway. Below `localhost`, names of canisters do as well as ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from sandbox.errors import PrincipalError
from sandbox.http.gateway.web import WebRequest
from sandbox.principal import Principal

HOME = ".localhost"
_RAW = ".raw"
_PARAMETER = "canisterId"


@dataclass(frozen=True, slots=True)
class Address:
    """The id or name of a canister as a request has it; `raw`: whether the host says not to verify responses."""

    canister: str
    raw: bool = False

    @property
    def canister_id(self) -> Principal | None:
        """The id that it is; None for a name."""
        return _principal(self.canister)


def address_of(request: WebRequest) -> Address | None:
    """The address of the canister; None if the request names none."""
    here = (_of_host(request.header("host")), _of_query(request.query))
    return next((found for found in (*here, *_referred(request.header("referer"))) if found is not None), None)


def _referred(referer: str) -> tuple[Address | None, ...]:
    try:
        page = urlsplit(referer)
    except ValueError:
        return ()
    return _of_host(page.netloc), _of_query(page.query)


def _of_host(host: str) -> Address | None:
    name = host.lower().rsplit("@")[-1].partition(":")[0].rstrip(".")
    if name.endswith(HOME):
        label = name.removesuffix(HOME)
        return Address(label.removesuffix(_RAW), label.endswith(_RAW)) if label else None
    label, _, rest = name.partition(".")
    return None if _principal(label) is None else Address(label, f".{rest}.".startswith(f"{_RAW}."))


def _of_query(query: str) -> Address | None:
    named = next((value for name, value in parse_qsl(query) if name == _PARAMETER), None)
    return None if named is None else Address(named.lower())


def _principal(text: str) -> Principal | None:
    try:
        return Principal.from_text(text)
    except PrincipalError:
        return None

"""Who may use the sandbox's own interface: programs with the token, and the browser that was shown the console.

All of this must hold of a request. It comes from this machine. Its `Host` names this machine, so that a page whose
name was made to lead here (DNS rebinding) has no access. It has no `Origin`, or the console's own, and a browser says
nothing else about its site. It carries the token of the state directory, or, at the console's own host, the cookie.

The console has a host of its own because pages of canisters are served at the others: one of those would have the same
origin as the console, and could use its cookie. The cookie is made once for each link, is not readable by scripts, and
is not sent with requests that other sites cause.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sandbox.http.answer import Refused

PREFIX: Final = "/_sandbox"
TOKEN_FILE: Final = "admin-token"
CONSOLE_HOST: Final = "console.localhost"
COOKIE: Final = "canister_sandbox"
_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]", CONSOLE_HOST})
_SITES: Final = frozenset({"same-origin", "none"})
_LEAST: Final = 32
"""Characters of a token."""
_KEPT: Final = 16
"""Links that were not used and sessions of browsers that are kept, each."""


def token_of(state: Path) -> str:
    """The token of a state directory; made if it is not there, for its owner alone to read."""
    file = state / TOKEN_FILE
    with suppress(FileNotFoundError):
        os.chmod(file, 0o600)
        known = file.read_text("ascii", "replace").strip()
        if len(known) >= _LEAST:
            return known
        file.unlink()
    made = secrets.token_urlsafe(32)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as written:
        written.write(made + "\n")
    return made


@dataclass(frozen=True, slots=True)
class Visitor:
    """A request, as far as rights are concerned. `client`: its address; `headers`: by names in small letters."""

    method: str
    client: str
    headers: Mapping[str, str]
    cookie: str | None = None

    @property
    def host(self) -> str:
        """The name in `Host`, in small letters, without the port."""
        host = self.headers.get("host", "").lower()
        return host.rsplit(":", 1)[0] if not host.endswith("]") else host


@dataclass
class Rights:
    """The rights at one port. `token`: of the state directory."""

    token: str
    port: int
    _links: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _sessions: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def check(self, visitor: Visitor) -> None:
        """`Refused` with 401 or 403 unless the request may use the interface."""
        self.check_place(visitor)
        scheme, _, given = visitor.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), self.token):
            return
        if not self._entered(visitor):
            raise Refused(401, f"the token is missing or wrong: it is in the file {TOKEN_FILE} of the state directory")

    def _entered(self, visitor: Visitor) -> bool:
        """Whether it is the console's own page that asks, in a browser that came by a link."""
        session, headers = visitor.cookie, visitor.headers
        if session is None or visitor.host != CONSOLE_HOST or not any(_same(session, one) for one in self._sessions):
            return False
        return visitor.method == "GET" or headers.get("origin") == self.origin

    def check_place(self, visitor: Visitor) -> None:
        """`Refused` with 403 for a request from another machine, by another name, or caused by another origin."""
        if not _loopback(visitor.client):
            raise Refused(403, "this interface is for programs on the same machine")
        host = visitor.headers.get("host", "").lower()
        if visitor.host not in _HOSTS or host not in (visitor.host, f"{visitor.host}:{self.port}"):
            raise Refused(403, f"this interface is not at {host[:100]!r}")
        origin = visitor.headers.get("origin")
        if origin is not None and origin != self.origin:
            raise Refused(403, "this interface is not for pages of other origins")
        if visitor.headers.get("sec-fetch-site", "none") not in _SITES:
            raise Refused(403, "this interface is not for pages of other sites")

    @property
    def origin(self) -> str:
        """The console's origin."""
        return f"http://{CONSOLE_HOST}:{self.port}"

    def link(self) -> str:
        """An address of the console that is good for one visit."""
        code = secrets.token_urlsafe(24)
        _keep(self._links, code)
        return f"{self.origin}{PREFIX}/enter?code={code}"

    def enter(self, visitor: Visitor, code: str) -> str:
        """The cookie for a browser that comes by a link; `Refused` if it was used or never made."""
        self.check_place(visitor)
        known = next((link for link in self._links if _same(link, code)), None)
        if known is None or visitor.host != CONSOLE_HOST:
            raise Refused(401, "this link was used already, or is of an earlier run: make another one")
        del self._links[known]
        session = secrets.token_urlsafe(32)
        _keep(self._sessions, session)
        return session


def _keep(known: OrderedDict[str, None], made: str) -> None:
    known[made] = None
    while len(known) > _KEPT:
        known.popitem(last=False)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())


def _loopback(address: str) -> bool:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = known.ipv4_mapped if isinstance(known, ipaddress.IPv6Address) else None
    return (mapped or known).is_loopback

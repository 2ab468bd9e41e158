"""One notice of maintenance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sandbox.principal import Principal

SECOND: Final = 1_000_000_000
LATEST: Final = 253_402_300_799 * SECOND
"""The end of the year 9999."""
ANNOUNCED: Final = "announced"
ACTIVE: Final = "active"
OVER: Final = "over"


@dataclass(frozen=True, slots=True)
class Notice:
    """Maintenance of a canister from `begins` until `ends`, in nanoseconds since 1970 by this machine's clock.

    `page`: an own page as HTML, in which `{{message}}`, `{{from}}`, `{{until}}`, `{{seconds}}` and `{{canister}}` are
    replaced; None for the usual one.
    """

    canister_id: Principal
    begins: int
    ends: int
    message: str = ""
    page: str | None = None

    def status(self, now: int) -> str:
        """`announced`, `active` or `over`."""
        return OVER if now >= self.ends else ACTIVE if now >= self.begins else ANNOUNCED

    def seconds_left(self, now: int) -> int:
        """Seconds until it ends, at least 1 while it has not."""
        return max(-(-(self.ends - now) // SECOND), 0)

    def facts(self, now: int) -> dict[str, Any]:
        """What users may know, as JSON."""
        return {
            "canister_id": str(self.canister_id),
            "status": self.status(now),
            "from": moment(self.begins),
            "until": moment(self.ends),
            "seconds_left": self.seconds_left(now),
            "message": self.message,
        }

    def text(self) -> str:
        """The sentence of a reject."""
        said = f": {self.message}" if self.message else ""
        return f"Canister {self.canister_id} is under maintenance until {moment(self.ends)}{said}"


def moment(time: int) -> str:
    """A time as ISO 8601 in UTC, to the second; a part of a second counts as a whole one."""
    return datetime.fromtimestamp(-(-time // SECOND), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

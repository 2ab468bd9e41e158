"""Which snapshots are taken without being asked for, and which are given up again."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Keep:
    """Which snapshots of a canister stay; the rules are those of restic's `forget`, by the time they were taken (UTC).

    `last`: the newest so many. `hourly`, `daily`, `weekly`, `monthly`: the newest one of each of the newest so many
    hours, days, weeks and months that have any; while a rule is not used up, the oldest one stays too. `within`: all
    that are not older than so many seconds. `pinned`: whatever else, those with a label that matches
    one of these patterns (`release-*`). A snapshot stays if any rule says so. `ValueError` if there is no rule at all.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    within: int = 0
    pinned: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pinned = (self.pinned,) if isinstance(self.pinned, str) else tuple(self.pinned)
        object.__setattr__(self, "pinned", pinned)
        for field in fields(self)[:-1]:
            value = getattr(self, field.name)
            if type(value) is not int or value < 0:
                raise ValueError(f"{field.name} is a number from 0 on, not {value!r}")
        if not any(getattr(self, field.name) for field in fields(self)):
            raise ValueError("Keep needs a rule: without any, no snapshot would stay")


@dataclass(frozen=True, slots=True)
class Policy:
    """`at_install`: take a snapshot when a module was installed into an empty canister. `before_upgrade`: before every
    upgrade and reinstallation. `every`: in the first round in which the newest one is so many seconds old, if the
    canister has changed; 0: never. `keep`: which of these stay; snapshots that somebody asked for are never given up by
    a policy."""

    at_install: bool = True
    before_upgrade: bool = True
    every: int = 0
    keep: Keep = Keep(last=10)

    def __post_init__(self) -> None:
        if type(self.every) is not int or self.every < 0:
            raise ValueError(f"every is a number of seconds from 0 on, not {self.every!r}")

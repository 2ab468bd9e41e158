"""Policies: which snapshots are taken automatically, and which are kept."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Keep:
    """Which snapshots of a canister are kept; the rules are those of restic's `forget`, by their times (UTC).

    `last`: the newest n. `hourly`, `daily`, `weekly`, `monthly`: the newest one of each of the newest n hours, days,
    weeks or months that have any; if there are fewer than n, the oldest snapshot is kept too. `within`: those of the
    last n seconds. `pinned`: those whose label matches one of these patterns (`release-*`). A snapshot is kept if any
    rule keeps it. `ValueError` if there is no rule at all.
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
    """When snapshots are taken automatically, and which of them are kept.

    `at_install`: after a module was installed into an empty canister. `before_upgrade`: before every upgrade and
    reinstallation. `every`: in the first round in which the newest one is this many seconds old, if the canister has
    changed; 0: never. `keep`: the rule for these snapshots; a policy never deletes one that was taken on request.
    """

    at_install: bool = True
    before_upgrade: bool = True
    every: int = 0
    keep: Keep = Keep(last=10)

    def __post_init__(self) -> None:
        if type(self.every) is not int or self.every < 0:
            raise ValueError(f"every is a number of seconds from 0 on, not {self.every!r}")

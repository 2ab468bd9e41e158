"""The configuration of backups: a YAML file, read by the forms of scenarios; every error has line and column."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from sandbox.errors import PrincipalError, Unsupported
from sandbox.principal import Principal
from sandbox.proofs.calls import Line
from sandbox.proofs.findings import RULES
from sandbox.proofs.scenario.forms import DURATION, FILE, FLAG, TEXT, Form, Key, Table, choice, listed, mapped, whole
from sandbox.proofs.scenario.source import Node, Problems, read_yaml
from sandbox.service.drill import Checks, Query
from sandbox.service.schedules.schedule import Schedule, ScheduleError
from sandbox.state import Keep


@dataclass(frozen=True, slots=True)
class Target:
    """One canister to back up. `stop`: whether it is stopped while its snapshot is taken; `delete`: whether the
    snapshot at the network is deleted once its backup is proven; `keep`: None keeps every backup;
    `schedule`: None for a canister that is backed up on request alone."""

    name: str
    id: Principal
    stop: bool = True
    delete: bool = False
    checks: Checks = Checks()  # noqa: RUF009 - frozen
    keep: Keep | None = None
    schedule: Schedule | None = None


@dataclass(frozen=True, slots=True)
class Reporting:
    """Where reports go besides the log in the repository. `webhook`: a URL, which may hold a secret and is never
    printed; `metrics`: a file in the OpenMetrics text format."""

    webhook: str | None = field(default=None, repr=False)
    metrics: Path | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """What to back up and where. `identity`: a PEM file; `password_env`: the environment variable with its password;
    `root_key`: hexadecimal, `fetch`, or None by the network."""

    network: str
    repository: Path
    targets: tuple[Target, ...]
    identity: Path | None = None
    password_env: str | None = None
    root_key: str | None = None
    reporting: Reporting = Reporting()


def _principal(node: Node) -> Principal:
    try:
        return Principal.from_text(TEXT.read(node))
    except PrincipalError as error:
        node.wrong(f"expected the id of a canister: {error}")


def _query(node: Node) -> Query:
    text, separator, expected = TEXT.read(node).partition(" == ")
    line = Line(text.strip(), str(node.place))
    if not line.method:
        node.expected("a query, such as get() or get() == (5 : nat)")
    return Query(line, expected.strip() if separator else None)


def _beside(node: Node) -> Path:
    """A path relative to the file, which need not exist."""
    text: str = TEXT.read(node)
    return node.place.file.parent / text


def _unsupported(node: Node) -> Any:
    raise Unsupported(
        f"{node.place}: encryption of backups is not supported: keep the repository on an encrypted file system"
    )


_PATH = Form("a path, relative to the file", _beside, {"type": "string"})
_KEEP: Final = Table(
    "keep",
    (
        Key("last", whole(1), "The newest n backups."),
        Key("hourly", whole(1), "The newest of each of the newest n hours that have any."),
        Key("daily", whole(1), "The newest of each of the newest n days that have any."),
        Key("weekly", whole(1), "The newest of each of the newest n weeks that have any."),
        Key("monthly", whole(1), "The newest of each of the newest n months that have any."),
        Key("within", DURATION, "All that are not older."),
    ),
)
_CHECKS: Final = Table(
    "checks",
    (
        Key(
            "queries",
            listed(Form("a query, such as get() == (5 : nat)", _query, {"type": "string"}), single=True),
            "Queries that must be answered in the drill, with their answers where they are known.",
        ),
        Key("scenario", FILE, "A scenario that must hold; its parameter `backup` is the snapshot file."),
        Key("next", FILE, "The next version of the module: an upgrade to it must be safe."),
        Key("next_arg", TEXT, "The argument of that upgrade, in Candid."),
        Key("accept", listed(choice(RULES)), "Findings of that proof that do no harm."),
    ),
)
_SCHEDULE: Final = Table(
    "a schedule",
    (
        Key("cron", TEXT, "A cron expression of five fields."),
        Key("every", DURATION, "An interval, such as 6h."),
        Key("quiet", FLAG, "Once a day, at the hour in which the canister is used least."),
        Key("zone", TEXT, "The time zone (UTC)."),
        Key("jitter", DURATION, "The most by which a start is put off, at random (0)."),
        Key("missed", choice(("run", "skip")), "Whether a start that was missed is made up for, once (run)."),
        Key("overlap", choice(("skip", "queue")), "What becomes of a start during another run (skip)."),
        Key("retry", DURATION, "How long after a failure it is tried again (15m)."),
    ),
)


def _schedule(node: Node) -> Schedule:
    values = _SCHEDULE.read(node) if node.form == "map" else {"cron": TEXT.read(node)}
    fields = {name: values[name] for name in ("cron", "every", "quiet", "zone", "jitter", "retry") if name in values}
    rules = {"run_missed": values.get("missed", "run") == "run", "queue": values.get("overlap") == "queue"}
    try:
        return Schedule(**fields, **rules)
    except ScheduleError as error:
        node.wrong(str(error))


_OPTIONS: Final = (
    Key("stop", FLAG, "Whether the canister is stopped while its snapshot is taken (yes)."),
    Key("delete", FLAG, "Whether the snapshot at the network is deleted once the backup is proven (no)."),
    Key("keep", _KEEP.form, "Which backups are kept; without it all are."),
    Key("schedule", Form("a cron expression, or a mapping", _schedule), "When it is backed up."),
)
_TARGET: Final = Table(
    "a canister",
    (
        Key("id", Form("the id of a canister", _principal, {"type": "string"}), "Its id.", required=True),
        *_OPTIONS,
        Key("checks", _CHECKS.form, "What must hold of it in the restore drill."),
    ),
)
_CONFIG: Final = Table(
    "a configuration of backups",
    (
        Key("network", TEXT, "The URL of the network, or `ic` for the main network.", required=True),
        Key("repository", _PATH, "The directory of the backups.", required=True),
        Key("canisters", mapped(_TARGET.form, "names to canisters"), "The canisters by name.", required=True),
        Key("identity", FILE, "The private key of a controller, a PEM file."),
        Key("password_env", TEXT, "The environment variable that holds the password of the key."),
        Key("root_key", TEXT, "The root key of the network in hexadecimal, or `fetch`."),
        *_OPTIONS,
        Key("webhook", TEXT, "A URL to which each report is sent as JSON."),
        Key("metrics", _PATH, "A file that gets the last results in the OpenMetrics format."),
        Key("encryption", Form("nothing", _unsupported), "Not supported."),
    ),
)


def read_config(path: Path) -> Config:
    """Return the configuration in a file; `ScenarioError` lists its errors with their places."""
    problems = Problems()
    document = problems.caught(partial(read_yaml, path, _CONFIG.what))
    config = None if document is None else problems.caught(partial(_config, document))
    problems.settle()
    assert config is not None
    return config


def _config(document: Node) -> Config:
    values = _CONFIG.read(document)
    common = {name: values[name] for name in ("stop", "delete", "keep", "schedule") if name in values}
    targets = tuple(_target(name, common | own) for name, own in values["canisters"].items())
    if not targets:
        document.wrong("a configuration of backups needs at least one canister")
    chosen = {name: values[name] for name in ("identity", "password_env", "root_key") if name in values}
    reporting = Reporting(values.get("webhook"), values.get("metrics"))
    return Config(values["network"], values["repository"], targets, **chosen, reporting=reporting)


def _target(name: str, values: dict[str, Any]) -> Target:
    keep = dict(values.get("keep") or {})
    if "within" in keep:
        keep["within"] = max(1, keep["within"] // 10**9)
    checks = dict(values.get("checks") or {})
    checked = Checks(
        tuple(checks.get("queries", ())),
        checks.get("scenario"),
        checks.get("next"),
        checks.get("next_arg"),
        tuple(checks.get("accept", ())),
    )
    kept = Keep(**keep) if keep else None
    return Target(
        name,
        values["id"],
        values.get("stop", True),
        values.get("delete", False),
        checked,
        kept,
        values.get("schedule"),
    )

"""The `canister` commands: create, install, call and manage canisters."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from sandbox.api import CanisterStatus, runtime_of
from sandbox.api.names import problem_with
from sandbox.cli.app import App, Command, Group, Misuse, Session, canister_argument, on_network, with_app
from sandbox.cli.calls import call, install, query
from sandbox.cli.render import output
from sandbox.cli.settings import chosen, setting_options, settings, settings_facts, settings_text
from sandbox.cli.snapshot.transfer import create_from, keep_time_option
from sandbox.cli.state import recover
from sandbox.principal import Principal
from sandbox.wasm import decode_module, read_facts


@click.group(cls=Group)
def canister() -> None:
    """Create, install, call and manage canisters.

    CANISTER is an id, or the name given at creation. Arguments are Candid text such as '(1, "x")'.
    """


@canister.command()
@click.argument("name", required=False)
@click.option("--id", "canister_id", metavar="ID", help="Id of the new canister [the next free one]")
@click.option("--cycles", type=click.IntRange(0, (1 << 128) - 1), help="Its initial balance in cycles.")
@click.option(
    "--from",
    "source",
    metavar="SNAPSHOT",
    help="Its initial state: an .icsnap file, a snapshot directory, or the id or label of a snapshot [empty]",
)
@keep_time_option
@setting_options
@with_app
def create(app: App, name: str | None, source: str | None, keep_time: bool, **options: Any) -> None:
    """Create a canister, and give it the name NAME.

    Its controller is the user given with --as, unless --controller is given. It is empty, unless --from gives a
    snapshot whose state it gets. If the time of the sandbox is earlier than that of the snapshot, it is moved forward
    to it.
    """
    problem = None if name is None else problem_with(name)
    if problem is not None:
        raise Misuse(problem)
    sender = app.sender
    with app.session(create=True) as session:
        taken = None if name is None else session.names.get(name)
        if taken is not None:
            raise Misuse(f"a canister named {name!r} exists already: {taken}")
        arguments = _creation(session, sender, options)
        if source is None:
            made = session.sandbox.create_canister(**arguments)
        else:
            made = create_from(app, session, source, {**arguments, "keep_time": keep_time})
        if name is not None:
            session.names.add(name, made.id)
        title = session.title(made.id)
    app.emit({"canister_id": made.id, "name": name}, Text.assemble(("created ", "green"), title))


def _creation(session: Session, sender: Principal, options: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of `create_canister` that the options give."""
    canister_id, cycles = options.pop("canister_id"), options.pop("cycles")
    update = chosen(session, options)
    return {
        "controllers": update.pop("controllers", [sender]),
        "canister_id": session.principal(canister_id) if canister_id else None,
        "cycles": cycles,
        "settings": update,
    }


@canister.command(name="list")
@with_app
def list_(app: App) -> None:
    """List all canisters."""
    with app.session(save=False) as session:
        statuses = [(session.names.of(c.id), c.status()) for c in session.sandbox.canisters()]
    facts = [{"name": name, **_summary(status)} for name, status in statuses]
    headers = ("name", "id", "status", "module", "heap", "stable", "snapshots")
    rows = [
        (
            name or "",
            status.canister_id,
            status.status,
            status.module_hash.hex()[:12] if status.module_hash else "none",
            output.size(status.heap_size),
            output.size(status.stable_size),
            output.size(status.snapshots_size),
        )
        for name, status in statuses
    ]
    if rows:
        app.emit(facts, output.Listing(headers, rows, headers[4:]))
    else:
        app.emit(facts, "No canisters yet: canister-sandbox canister create NAME")


@canister.command()
@canister_argument
@with_app
@on_network("canister")
def status(app: App, canister: str) -> None:
    """Show the status, module, memory sizes and settings of CANISTER."""
    with app.session(save=False) as session:
        target = session.canister(canister)
        current, name = target.status(app.sender), session.names.of(target.id)
    settings = settings_facts(current.settings)
    summary = {"name": name, **_summary(current)}
    text = {
        "canister": f"{name} ({current.canister_id})" if name else str(current.canister_id),
        "status": current.status,
        "version": current.version,
        "module": current.module_hash.hex() if current.module_hash else "none",
        "heap": _bytes(current.heap_size),
        "stable memory": _bytes(current.stable_size),
        "snapshots": _bytes(current.snapshots_size),
        "total memory": _bytes(current.memory_size),
        "cycles": f"{current.cycles:,}",
    }
    app.emit({**summary, "settings": settings}, output.fields(text | settings_text(settings)))


def _bytes(count: int) -> str:
    return f"{count:,} bytes" + (f" ({output.size(count)})" if count >= 1024 else "")


def _summary(status: CanisterStatus) -> dict[str, Any]:
    return {
        "canister_id": status.canister_id,
        "status": status.status,
        "version": status.version,
        "module_hash": status.module_hash,
        "heap_size": status.heap_size,
        "stable_size": status.stable_size,
        "snapshots_size": status.snapshots_size,
        "memory_size": status.memory_size,
        "cycles": status.cycles,
    }


def _simple(name: str, done: str, text: str) -> click.Command:
    """Return a command that calls `Canister.<name>` and prints `done`, the participle."""

    @with_app
    def run(app: App, canister: str) -> None:
        if app.network is not None and name in ("start", "stop"):
            from sandbox.cli.network.canister import change  # imported late: it brings the client of networks

            change(app, canister, name, done)
            return
        with app.session() as session:
            target = session.canister(canister)
            title = session.title(target.id)
            getattr(target, name)(app.sender)
        app.emit({"canister_id": target.id, "done": done}, Text.assemble((f"{done} ", "green"), title))

    return Command(name, callback=run, params=[click.Argument(["canister"], metavar="CANISTER")], help=text)


@canister.command()
@canister_argument
@with_app
def logs(app: App, canister: str) -> None:
    """Print the log of CANISTER, at most the newest 4 KiB: debug output and traps."""
    with app.session(save=False) as session:
        records = session.canister(canister).logs(app.sender)
    texts = [record.content.decode("utf-8", "replace") for record in records]
    facts = [
        {"index": record.index, "timestamp": record.timestamp, "text": text}
        for record, text in zip(records, texts, strict=True)
    ]
    lines = [_log_line(record.index, text) for record, text in zip(records, texts, strict=True)]
    if not lines:
        app.note("the log is empty")
    app.emit(facts, *lines)


def _log_line(index: int, text: str) -> Text:
    indented = text.rstrip().replace("\n", "\n      ")
    return Text.assemble((f"{index:>4}  ", "dim"), (indented, "red" if text.startswith("[TRAP]") else ""))


@canister.command()
@canister_argument
@click.argument("name", required=False)
@with_app
def metadata(app: App, canister: str, name: str | None) -> None:
    """Print or list the metadata sections of the module of CANISTER.

    NAME is the section to print, such as candid:service. Without NAME, all sections are listed. Private sections
    exist for controllers only.
    """
    with app.session(save=False) as session:
        sections = _sections(session, canister)
    if name is None:
        rows = [(section, kind, len(content)) for section, (kind, content) in sections.items()]
        facts = [{"name": n, "visibility": kind, "size": count} for n, kind, count in rows]
        headers = ("name", "visibility", "bytes")
        app.emit(facts, output.table(headers, rows, right=["bytes"]) if rows else "The module has no metadata.")
        return
    if name not in sections:
        raise Misuse(f"{canister} has no metadata section {name!r} (it has: {', '.join(sections) or 'none'})")
    text = sections[name][1].decode("utf-8", "replace")
    app.emit({"name": name, "text": text}, Text(text.rstrip("\n")))


def _sections(session: Session, canister: str) -> dict[str, tuple[str, bytes]]:
    """Return the visibility and the content of each metadata section that the user may read."""
    state = runtime_of(session.sandbox).state_of(session.principal(canister))
    if state.code is None:
        return {}
    facts = read_facts(decode_module(state.code.submitted))
    sections = {name: ("public", content) for name, content in facts.public_metadata.items()}
    if session.app.sender in state.settings.controllers:
        sections |= {name: ("private", content) for name, content in facts.private_metadata.items()}
    return sections


for command in (
    install,
    call,
    query,
    settings,
    recover,
    _simple("start", "started", "Start CANISTER, so that it accepts calls again."),
    _simple("stop", "stopped", "Stop CANISTER, so that it accepts no calls until it is started."),
    _simple("uninstall", "uninstalled", "Remove the module and memory of CANISTER; snapshots and settings stay."),
    _simple("delete", "deleted", "Delete CANISTER, which must be stopped, with its snapshots. This cannot be undone."),
):
    canister.add_command(command)

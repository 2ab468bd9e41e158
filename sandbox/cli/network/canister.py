"""The commands `canister status`, `start`, `stop`, `call` and `query` at a network."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from sandbox.api.typed import is_query
from sandbox.cli.app import App, Misuse
from sandbox.cli.calls import Request, asked, emit, interface_of
from sandbox.cli.network.connection import remote_of
from sandbox.cli.render import output
from sandbox.execution import CallResult
from sandbox.principal import Principal


def status(app: App, canister: str) -> None:
    """Show what `canister_status` says."""
    with remote_of(app, canister) as remote:
        reply = remote.status()
    settings = reply["settings"]
    facts = {
        "canister_id": remote.id,
        "status": next(iter(reply["status"])),
        "version": reply["version"],
        "module_hash": reply["module_hash"],
        "memory_size": reply["memory_size"],
        "cycles": reply["cycles"],
        "controllers": settings["controllers"],
        "query_stats": reply["query_stats"],
    }
    text = {name.replace("_", " "): _shown(value) for name, value in facts.items() if name != "query_stats"}
    app.emit(facts, output.fields(text))


def _shown(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bytes():
            return value.hex()
        case int():
            return f"{value:,}"
        case list():
            return "\n".join(map(str, value))
    return str(value)


def change(app: App, canister: str, name: str, done: str) -> None:
    """Start or stop a canister."""
    with remote_of(app, canister) as remote:
        {"start": remote.start, "stop": remote.stop}[name]()
    app.emit({"canister_id": remote.id, "done": done}, Text.assemble((f"{done} ", "green"), str(remote.id)))


def call(app: App, canister: str, update: bool, diff: bool, png: object, **options: Any) -> None:
    """Call a method; one that the interface declares as a query is called as a query."""
    if diff or png is not None:
        raise Misuse("--diff and --map look into the sandbox; at a network they are not possible")
    _perform(app, canister, options, as_query=False if update else None)


def query(app: App, canister: str, **options: Any) -> None:
    """Query a method."""
    _perform(app, canister, options, as_query=True)


def _perform(app: App, canister: str, options: dict[str, Any], *, as_query: bool | None) -> None:
    if options.pop("profile") or options.pop("coverage"):
        raise Misuse("--profile and --coverage look into the sandbox; at a network they are not possible")
    request = Request(**options)
    with remote_of(app, canister) as remote:
        if remote.id == Principal.management():
            raise Misuse("at a network, calls of aaaaa-aa are not supported: use the commands for what they do")
        interface = interface_of(app, remote.section("candid:service"), request.did)
        function = interface.methods.get(request.method) if interface else None
        if as_query is None:
            as_query = function is not None and is_query(function)
        ask = remote.agent.query if as_query else remote.agent.update

        def answered(argument: bytes) -> CallResult:
            return CallResult(remote.id, request.method, reply=ask(remote.id, request.method, argument))

        result = asked(request, interface, answered)
    emit(app, result, request, interface)

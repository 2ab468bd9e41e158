"""Operations on canisters: what there is, their interfaces, calls, logs, profiles."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from sandbox import api, candid
from sandbox.api.typed import interface_of, is_query
from sandbox.candid.as_json import from_json, to_json
from sandbox.errors import CandidError, SandboxError
from sandbox.execution import CallResult
from sandbox.http.admin import model
from sandbox.http.admin.desk import Desk
from sandbox.http.answer import Refused
from sandbox.profile import Profile
from sandbox.state import LogRecord

_FORMATS: dict[str, tuple[str, Callable[[Profile], str]]] = {
    "svg": ("image/svg+xml", Profile.flame_graph),
    "folded": ("text/plain; charset=utf-8", Profile.folded),
    "speedscope": ("application/json", Profile.speedscope),
}


def list_canisters(desk: Desk, _: model.Nothing) -> model.Canisters:
    """List the canisters."""
    return model.Canisters(canisters=[_canister(desk, canister) for canister in desk.sandbox.canisters()])


def show_canister(desk: Desk, asked: model.OfCanister) -> model.Canister:
    """Show one canister."""
    return _canister(desk, desk.sandbox.canister(asked.canister))


def _canister(desk: Desk, canister: api.Canister) -> model.Canister:
    status = canister.status()
    return model.Canister(
        id=str(canister.id),
        name=canister.name,
        status=status.status,
        module_hash=None if status.module_hash is None else status.module_hash.hex(),
        controllers=[str(controller) for controller in status.settings.controllers],
        cycles=str(status.cycles),
        heap_size=status.heap_size,
        stable_size=status.stable_size,
        memory_size=status.memory_size,
        snapshots=len(desk.sandbox.snapshots.list(canister.id)),
        version=status.version,
        damage=canister.damage,
    )


def show_interface(desk: Desk, asked: model.OfCanister) -> model.Interface:
    """Show the Candid interface that a canister's module carries; 404 if it carries none."""
    text, interface = interface_with_text(desk.sandbox.canister(asked.canister))
    methods = [
        model.Method(
            name=name,
            kind=_kind(function),
            args=[str(kind) for kind in function.args],
            results=[str(kind) for kind in function.results],
        )
        for name, function in interface.methods.items()
    ]
    return model.Interface(candid=text, methods=methods)


def interface_with_text(canister: api.Canister) -> tuple[str, candid.Interface]:
    """The interface that a module carries, and its text; `Refused` if there is none."""
    text = canister.metadata("candid:service")
    if text is None:
        raise Refused(404, f"{canister.id} carries no Candid interface")
    return text.decode("utf-8", "replace"), candid.parse_did(text.decode("utf-8", "replace"))


def _kind(function: candid.FuncType) -> str:
    return next(iter(function.modes), "update")


def call(desk: Desk, asked: model.Call) -> model.Called:
    """Call a method; a reject is an answer, too."""
    target = desk.sandbox.canister(asked.canister)
    function = _function(target, asked.method)
    argument = _argument(asked, function)
    as_query = asked.kind == "query" or (asked.kind is None and function is not None and is_query(function))
    ask = desk.sandbox.query if as_query else desk.sandbox.update
    with ExitStack() as stack:
        profile = stack.enter_context(desk.sandbox.profile()) if asked.profile else None
        result = ask(target.id, asked.method, argument, asked.sender)
    number = None if profile is None else desk.keep(profile)
    return _called("query" if as_query else "update", result, function, number)


def _function(target: api.Canister, method: str) -> candid.FuncType | None:
    """The type of a method, None if it is not known."""
    try:
        return interface_of(api.runtime_of(target).state_of(target.id).code, None).methods.get(method)
    except SandboxError:
        return None


def _argument(asked: model.Call, function: candid.FuncType | None) -> bytes:
    if asked.values is None:
        return candid.encode_text(asked.args or "()", None if function is None else function.args)
    if asked.args is not None:
        raise Refused(400, "give args or values, not both")
    if function is None:
        raise Refused(400, f"no interface says the types of {asked.method}: give args as Candid text")
    return candid.encode(function.args, from_json(function.args, asked.values))


def _called(kind: str, result: CallResult, function: candid.FuncType | None, profile: int | None) -> model.Called:
    text, values = (None, None) if result.reply is None else _decoded(result.reply, function)
    return model.Called(
        kind=kind,
        reply=None if result.reply is None else result.reply.hex(),
        candid=text,
        values=values,
        reject=None if result.reject is None else rejected(result.reject),
        instructions=result.instructions,
        logs=list(result.logs),
        profile=profile,
    )


def rejected(reject: Any) -> model.Reject:
    """A reject as a record."""
    return model.Reject(
        reject_code=reject.reject_code.value,
        error_code=None if reject.error_code is None else str(reject.error_code),
        message=reject.message,
    )


def _decoded(reply: bytes, function: candid.FuncType | None) -> tuple[str | None, list[Any] | None]:
    try:
        types, values = candid.decode_untyped(reply)
        if function is not None:
            types, values = function.results, candid.decode(function.results, reply)
        return candid.values_text(types, values), to_json(values)
    except CandidError:
        return None, None


def show_logs(desk: Desk, asked: model.OfCanister) -> model.Logs:
    """Show a canister's log."""
    return model.Logs(logs=[log_record(record) for record in desk.sandbox.canister(asked.canister).logs()])


def log_record(record: LogRecord) -> model.LogRecord:
    """A record of a log; bytes that are not UTF-8 become U+FFFD."""
    text = record.content.decode("utf-8", "replace")
    return model.LogRecord(index=str(record.index), time=str(record.timestamp), text=text)


def show_profile(desk: Desk, asked: model.OfProfile) -> model.Document:
    """Show a profile: where the instructions of a call went."""
    profile = desk.profiles.get(asked.profile)
    if profile is None:
        raise Refused(404, f"there is no profile {asked.profile}; the newest ones are kept")
    content_type, written = _FORMATS[asked.format]
    return model.Document(content_type=content_type, content=written(profile).encode())

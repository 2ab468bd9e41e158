"""The commands `canister install`, `call` and `query`: Candid text in, Candid text or JSON out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import RenderableType
from rich.text import Text

from sandbox import candid
from sandbox.api import Canister
from sandbox.api.changes import Changes
from sandbox.api.management import Management
from sandbox.api.typed import EMPTY_ARGUMENT, deployment_argument, init_types
from sandbox.api.typed import is_query as is_query_function
from sandbox.cli.app import App, Command, F, Misuse, Session, canister_argument, on_network, with_app
from sandbox.cli.profiling import Profiled, profile_options
from sandbox.cli.render import output
from sandbox.errors import CallRejected, CandidError, ErrorCode, InvalidModule, Reject
from sandbox.execution import CallResult
from sandbox.state import WasmModule

if TYPE_CHECKING:
    from sandbox.cli.render.diff import DiffOptions

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DID_HELP = "File with the Candid interface [the metadata candid:service of the module]"
RAW_HELP = "Read the argument and print the reply as bytes in hexadecimal, not as Candid."


@dataclass(frozen=True)
class Request:
    """The method and argument of a call, from the command line."""

    method: str
    argument: str | None
    file: Path | None
    did: Path | None
    raw: bool

    def text(self) -> str:
        """Return the argument as Candid text, `()` if none is given."""
        if self.argument is not None and self.file is not None:
            raise Misuse("give the argument or --arg-file, not both")
        return read_text(self.file) if self.file else self.argument or "()"

    def encoded(self, types: tuple[candid.Type, ...] | None) -> bytes:
        """Return the argument at these types, or at those that its text has.

        As in dfx, a single text parameter takes the argument of the command as it is, without quotes.
        """
        bare = self.argument is not None and self.file is None and self.argument[:1] not in ("(", '"')
        if bare and types is not None and len(types) == 1 and candid.same_type(types[0], candid.TEXT):
            return candid.encode(types, [self.argument])
        return candid.encode_text(self.text(), types)


@click.command(cls=Command)
@canister_argument
@click.argument("file", type=FILE)
@click.option("--mode", type=click.Choice(["install", "reinstall", "upgrade"]), default="install", show_default=True)
@click.option("--arg", metavar="CANDID", help="The argument in Candid, such as '(record { greeting = \"Hi\" })'.")
@click.option("--arg-file", type=FILE, help="File with the argument in Candid.")
@click.option("--did", type=FILE, help=DID_HELP)
@click.option("--skip-pre-upgrade", is_flag=True, help="Upgrade without running pre_upgrade of the old module.")
@click.option(
    "--wasm-memory-persistence",
    type=click.Choice(["keep", "replace"]),
    help="Whether an upgrade keeps the heap [keep for Motoko with enhanced orthogonal persistence, else replace]",
)
@profile_options
@with_app
def install(app: App, canister: str, file: Path, mode: str, **options: Any) -> None:
    """Install, reinstall or upgrade CANISTER with the module FILE, raw or gzip."""
    skip, persistence = options["skip_pre_upgrade"], options["wasm_memory_persistence"]
    if mode != "upgrade" and (skip or persistence):
        raise Misuse("--skip-pre-upgrade and --wasm-memory-persistence require --mode upgrade")
    wasm, profiled = file.read_bytes(), Profiled(options["profile"], options["coverage"])
    with app.session() as session:
        target = session.canister(canister)
        request = Request("", options["arg"], options["arg_file"], options["did"], raw=False)
        argument = init_argument(wasm, request, mode)
        with profiled.during(app, session):
            if mode == "upgrade":
                upgrade_options = {"skip_pre_upgrade": skip}
                upgrade_options |= {"wasm_memory_persistence": persistence} if persistence else {}
                result = target.upgrade(wasm, argument, app.sender, **upgrade_options)
            else:
                result = target.install(wasm, argument, mode, app.sender)
        title, digest = session.title(target.id), WasmModule.from_bytes(wasm).hash
    facts = {"canister_id": target.id, "mode": mode, "module_hash": digest, "instructions": result.instructions}
    facts["compilation"] = result.compilation
    done = {"install": "installed", "reinstall": "reinstalled", "upgrade": "upgraded"}[mode]
    app.emit(
        facts | {"logs": result.logs} | profiled.facts,
        Text.assemble((f"{done} ", "green"), f"{file.name} in {title}, {result.instructions:,} instructions"),
        *profiled.parts,
    )


def init_argument(wasm: bytes, request: Request, mode: str | None = None) -> bytes:
    """Encode an installation argument with the types that the module declares; `CandidTypeError` if there is none and
    the module expects one in this mode."""
    if request.argument is None and request.file is None:
        return deployment_argument(None, lambda: WasmModule.from_bytes(wasm), request.did, mode)
    try:
        types = init_types(WasmModule.from_bytes(wasm), request.did)
    except InvalidModule:
        return EMPTY_ARGUMENT  # the platform refuses the module, and says why
    return request.encoded(types or None)


def _call_options(function: F) -> F:
    options: list[Callable[[F], F]] = [
        canister_argument,
        click.argument("method"),
        click.argument("argument", metavar="[CANDID]", required=False),
        click.option("--arg-file", "file", type=FILE, help="File with the argument in Candid."),
        click.option("--did", type=FILE, help=DID_HELP),
        click.option("--raw", is_flag=True, help=RAW_HELP),
        profile_options,
        with_app,
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.command(cls=Command)
@click.option("--update", is_flag=True, help="Make an update call, even if the interface declares METHOD as a query.")
@click.option("--diff", is_flag=True, help="Show the changes of the call in CANISTER.")
@click.option(
    "--map",
    "png",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --diff: write a map of the pages that differ to a PNG file.",
)
@_call_options
@on_network("canister")
def call(app: App, canister: str, update: bool, diff: bool, png: Path | None, **options: Any) -> None:
    """Call METHOD of CANISTER with an argument such as '(1, "x")'.

    A single argument needs no parentheses, and a single text no quotes. CANISTER may be the management canister,
    aaaaa-aa. A method that the interface declares as a query is called as a query.
    """
    if png is not None and not diff:
        raise Misuse("--map requires --diff")
    wanted = Wanted(False if update else None, profiled=Profiled(options.pop("profile"), options.pop("coverage")))
    if diff:
        from sandbox.cli.render.diff import DiffOptions  # imported late: it brings pictures

        wanted = replace(wanted, diff=DiffOptions(png=png))
    _perform(app, canister, Request(**options), wanted)


@click.command(cls=Command)
@_call_options
@on_network("canister")
def query(app: App, canister: str, profile: str | None, coverage: bool, **options: Any) -> None:
    """Query METHOD of CANISTER; all changes are discarded."""
    _perform(app, canister, Request(**options), Wanted(True, profiled=Profiled(profile, coverage)))


@dataclass(frozen=True)
class Wanted:
    """How to make a call and what to show besides its answer. `as_query`: None is as the interface declares."""

    as_query: bool | None
    diff: DiffOptions | None = None
    profiled: Profiled = field(default_factory=Profiled)


def _perform(app: App, canister: str, request: Request, wanted: Wanted) -> None:
    as_query, profiled = wanted.as_query, wanted.profiled
    with app.session(save=as_query is not True) as session:
        target, interface = _callee(session, canister, request.did)
        function = interface.methods.get(request.method) if interface else None
        if as_query is None:
            as_query = function is not None and is_query_function(function)
        ask = target.query_raw if as_query else target.update
        if wanted.diff is not None and isinstance(target, Management):
            raise Misuse("--diff shows the changes of a canister; aaaaa-aa has no state")
        changes = target.changes() if wanted.diff is not None and isinstance(target, Canister) else None
        with profiled.during(app, session):
            result = asked(request, interface, lambda argument: ask(request.method, argument, app.sender))
        shown = [] if changes is None or wanted.diff is None else [_shown(changes, wanted.diff)]
    emit(app, result, request, interface, [*shown, (profiled.facts, profiled.parts)])


def _shown(changes: Changes, options: DiffOptions) -> output.Rendered:
    from sandbox.cli.render.diff import render_diff  # imported late: it brings pictures

    facts, parts = render_diff(changes.diff, options)
    return {"diff": facts}, [Text(), *parts]


def _callee(session: Session, name: str, did: Path | None) -> tuple[Canister | Management, candid.Interface | None]:
    """Return the canister to call and its interface, if known."""
    if session.principal(name) == Management.id:
        return session.sandbox.management, session.sandbox.management.interface
    target = session.canister(name)
    return target, interface_of(session.app, target.metadata("candid:service"), did)


def asked(request: Request, interface: candid.Interface | None, ask: Callable[[bytes], CallResult]) -> CallResult:
    """Encode the argument for the interface, and return the result of `ask`.

    CallRejected: for an unknown method, its message lists the methods of the interface.
    """
    argument = _argument(request, interface.methods.get(request.method) if interface else None)
    try:
        return ask(argument)
    except CallRejected as error:
        raise _with_methods(error, interface) from None


def emit(
    app: App,
    result: CallResult,
    request: Request,
    interface: candid.Interface | None,
    besides: Iterable[output.Rendered] = (),
) -> None:
    """Print the reply as Candid text, JSON, or bytes, then what is `besides`."""
    function = interface.methods.get(request.method) if interface else None
    facts, parts = _answer(app, result, request, interface, function)
    if request.raw:
        parts = [Text(facts["reply_hex"])]
    for more_facts, more_parts in besides:
        facts |= more_facts
        parts += more_parts
    app.emit(facts, *parts)


def interface_of(app: App, metadata: bytes | None, did: Path | None) -> candid.Interface | None:
    """Return the interface in the file, or else the one in the module's `candid:service` metadata.

    A warning is printed if clients of the file's interface cannot use that of the module.
    """
    if did is None:
        return None if metadata is None else candid.parse_did(metadata.decode("utf-8", "replace"))
    given = candid.load_did(did)
    if metadata is not None and not app.json:
        with suppress(CandidError):
            verdict = candid.service_compatible(candid.parse_did(metadata.decode("utf-8", "replace")), given)
            if not verdict:
                text = f"{did} does not agree with the interface of the module: {verdict.reason}"
                output.show(Text.assemble(("warning: ", "bold yellow"), text), stderr=True)
    return given


def _argument(request: Request, function: candid.FuncType | None) -> bytes:
    if request.raw:
        try:
            return bytes.fromhex(request.text() if request.argument or request.file else "")
        except ValueError as error:
            raise Misuse(f"the argument is not hexadecimal: {error}") from None
    return request.encoded(None if function is None else function.args)


def _with_methods(error: CallRejected, interface: candid.Interface | None) -> CallRejected:
    """Add the methods of the interface to the reject of an unknown method; return any other reject as it is."""
    if error.error_code is not ErrorCode.CANISTER_METHOD_NOT_FOUND or interface is None:
        return error
    known = ", ".join(interface.methods) or "none"
    reject: Reject = replace(error.reject, message=f"{error.message}\nMethods of its interface: {known}")
    return CallRejected(reject, error.result)


def _answer(
    app: App,
    result: CallResult,
    request: Request,
    interface: candid.Interface | None,
    function: candid.FuncType | None,
) -> tuple[dict[str, Any], list[RenderableType]]:
    """Decode the reply with the types of the interface, else with its own types, else leave it as bytes."""
    reply = result.reply or b""
    facts: dict[str, Any] = {
        "canister_id": result.canister_id,
        "method": result.method,
        "reply": None,
        "candid": None,
        "reply_hex": reply.hex(),
        "instructions": result.instructions,
        "logs": result.logs,
    }
    if request.raw:
        return facts, []
    try:
        types, values = _decode(app, reply, interface, function)
    except CandidError as error:
        app.note(f"the reply is not Candid ({error}); its bytes:")
        return facts, [Text(reply.hex())]
    text = candid.values_text(types, values)
    facts |= {"reply": values, "candid": text}
    return facts, [output.candid(text)]


def _decode(
    app: App, reply: bytes, interface: candid.Interface | None, function: candid.FuncType | None
) -> tuple[tuple[candid.Type, ...], list[Any]]:
    if function is not None:
        try:
            return function.results, candid.decode(function.results, reply)
        except CandidError as error:
            app.note(f"the reply does not fit the interface: {error}")
    return candid.decode_untyped(reply, interface.field_names() if interface else ())


def read_text(file: Path) -> str:
    """Return the text of a file given by the user. Misuse if it is not UTF-8."""
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Misuse(f"{file} is not text: {error}") from None

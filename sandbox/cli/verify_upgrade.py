"""The command `verify-upgrade`: prove what an upgrade keeps and loses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from sandbox.cli.app import App, Command, Misuse, with_app
from sandbox.cli.calls import FILE, Request, init_argument
from sandbox.cli.failures import FAILED
from sandbox.cli.render.upgrade import render_upgrade
from sandbox.cli.snapshot.selector import resolve_snapshot
from sandbox.errors import CallRejected
from sandbox.proofs.calls import CallFileError, read_calls
from sandbox.proofs.findings import RULES
from sandbox.proofs.report.files import check_writable, write_report
from sandbox.proofs.upgrade import ProofError, Version
from sandbox.proofs.upgrade import verify_upgrade as prove
from sandbox.proofs.upgrade.page import upgrade_page

REPORT = click.Path(dir_okay=False, path_type=Path)


@click.command("verify-upgrade", cls=Command)
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@click.option(
    "--state",
    "source",
    metavar="SNAPSHOT",
    help="Data to begin with: an .icsnap file, a snapshot directory of dfx or icp-cli, a file with the bytes of a "
    "stable memory, or the id or label of a snapshot in the state directory [a canister just installed]",
)
@click.option("--calls", type=FILE, help="File of calls to make on OLD first, one a line: method(arguments)")
@click.option("--queries", type=FILE, help="File of queries to compare besides those that take no argument.")
@click.option("--arg", metavar="CANDID", help="Argument of the upgrade to NEW.")
@click.option("--init-arg", metavar="CANDID", help="Argument of the installation of OLD, and of the way back to it.")
@click.option("--did", type=FILE, help="Interface of OLD, where the module carries none.")
@click.option("--new-did", type=FILE, help="Interface of NEW, where the module carries none.")
@click.option(
    "--accept", multiple=True, metavar="ID", help="Id of a finding that shall not change the verdict. Repeatable."
)
@click.option(
    "--explore",
    type=click.IntRange(min=1),
    metavar="N",
    help="Make up N sequences of at most eight calls from the interface of OLD, and begin with the state that they "
    "make. A message may execute 100 million instructions. Needs hypothesis: pip install 'canister-sandbox[explore]'.",
)
@click.option("--seed", type=int, metavar="S", help="Which calls --explore makes up: the same seed, the same ones [0]")
@click.option("--html", type=REPORT, help="Write the proof as one self-contained HTML page.")
@with_app
def verify_upgrade(app: App, old: Path, new: Path, **options: object) -> int:
    """Prove what an upgrade from module OLD to module NEW keeps and loses.

    Everything happens on a copy: the hooks run, every entry of the data is compared, the queries are asked before and
    after, the upgrade is made a second time, the snapshot taken before is loaded again, and OLD is installed over NEW.

    With --explore there need be no data: calls make some, and what is found is shown with the fewest calls that bring
    it about, as lines for --calls.

    The verdict is safe, risky or broken. Exit codes: 0 safe; 1 risky or broken; 2 the proof could not begin.
    """
    source, calls, queries = options["source"], options["calls"], options["queries"]
    accept = options["accept"]
    assert isinstance(accept, tuple)
    unknown = [name for name in accept if name not in RULES]
    if unknown:
        raise Misuse(f"there is no finding {unknown[0]!r}; there are: {', '.join(RULES)}")
    html, explore, seed = options["html"], options["explore"], options["seed"]
    check_report(html)
    if isinstance(seed, int) and explore is None:
        raise Misuse("--seed says which calls --explore makes up: give --explore N, too")
    before = _version(old, options["init_arg"], options["did"])
    after = _version(new, options["arg"], options["new_did"])
    try:
        with _state(app, source) as state, app.working() as progress:
            report = prove(
                before,
                after,
                state=state,
                calls=read_calls(calls, before.interface) if isinstance(calls, Path) else (),
                queries=read_calls(queries, before.interface) if isinstance(queries, Path) else (),
                accept=accept,
                explore=explore if isinstance(explore, int) else 0,
                seed=seed if isinstance(seed, int) else 0,
                progress=lambda name: progress(f"{name} ..."),
            )
    except CallRejected as rejected:
        raise Misuse(f"the proof cannot begin with {before.name}: {rejected.message}") from rejected
    except (ProofError, CallFileError) as error:
        raise Misuse(str(error)) from error
    if state is not None and state != Path(str(source)):
        report = replace(report, start=report.start.replace(str(state), f"snapshot {source}"))
    facts, parts = render_upgrade(report)
    if isinstance(html, Path):
        write_report(html, upgrade_page(report))
    app.emit(facts, *parts)
    return 0 if report.verdict == "safe" else FAILED


def check_report(path: object) -> None:
    """Misuse if the page could not be written at the end."""
    if isinstance(path, Path):
        try:
            check_writable([path])
        except OSError as error:
            raise Misuse(str(error)) from error


def _version(path: Path, arg: object, did: object) -> Version:
    wasm = path.read_bytes()
    text = arg if isinstance(arg, str) else None
    interface = did if isinstance(did, Path) else None
    return Version(path.name, wasm, init_argument(wasm, Request("", text, None, interface, raw=False)), interface)


@contextmanager
def _state(app: App, source: object) -> Iterator[Path | None]:
    """Find the data to begin with: a file or directory, else a snapshot of the state directory as a temporary file."""
    if not isinstance(source, str):
        yield None
        return
    path = Path(source)
    if path.exists():
        if (path / "lock").exists():
            raise Misuse(
                f"{path} is a state directory, not a snapshot: canister-sandbox --state {path} verify-upgrade ... "
                "--state LABEL begins with a snapshot in it"
            )
        yield path
        return
    with TemporaryDirectory() as folder, app.session(save=False) as session:
        target = Path(folder) / "state.icsnap"
        session.sandbox.snapshots.download(resolve_snapshot(session, source), target)
        yield target

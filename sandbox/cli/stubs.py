"""The command `stubs`: write a typed client of a canister's interface."""

from __future__ import annotations

from pathlib import Path

import click

from sandbox.api.stubs import class_name, typed_client
from sandbox.api.typed import interface_of
from sandbox.cli.app import App, Command, Misuse, with_app
from sandbox.errors import SandboxError
from sandbox.state import WasmModule


@click.command(cls=Command)
@click.argument("module", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--did",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Interface, if the module carries none, or another one",
)
@click.option("--class", "name", metavar="NAME", help="Name of the class [that of the file]")
@click.option("-o", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Where to write it")
@with_app
def stubs(app: App, module: Path, did: Path | None, name: str | None, file: Path | None) -> None:
    """Write a typed client of the interface of MODULE, in Python.

    MODULE is a Wasm module, or a .did file. The client is a class with a method for each of the canister's, annotated
    so that type checkers see wrong arguments and results; records are TypedDicts. It is written to standard output, or
    to the file given with -o.
    """
    if name is not None and not name.isidentifier():
        raise Misuse(f"{name!r} cannot be the name of a class")
    if did is None and module.suffix == ".did":
        did = module
    try:
        interface = interface_of(None if did else WasmModule.from_bytes(module.read_bytes()), did)
        if interface.service is None:
            raise Misuse(f"{did or module} has no service")
        text = typed_client(interface, name or class_name(module.name), (did or module).name)
    except RecursionError:
        raise Misuse(f"{did or module}: types are nested too deeply for Python") from None
    if file is None:
        click.echo(text, nl=False) if not app.json else app.emit({"class": name, "source": text})
        return
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise SandboxError(f"{file} cannot be written: {error.strerror}") from error
    app.emit({"file": str(file)}, f"written to {file}")

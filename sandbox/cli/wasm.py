"""The `wasm` commands: inspect a module without running it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType

from sandbox.canister.module import compile_module
from sandbox.cli.app import App, Group, with_app
from sandbox.cli.failures import CheckFailed
from sandbox.cli.render import output
from sandbox.errors import InvalidModule
from sandbox.state import WasmModule
from sandbox.wasm import decode_module, describe, read_facts


@click.group(cls=Group)
def wasm() -> None:
    """Inspect modules without running them."""


@wasm.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_app
def inspect(app: App, file: Path) -> None:
    """Show the contents of the module FILE, and whether the platform accepts it.

    Exit code 1 if the platform refuses it.
    """
    submitted = file.read_bytes()
    facts = describe(read_facts(decode_module(submitted)))
    problem = _problem(submitted)
    facts = {"file": str(file), "accepted": problem is None, "problem": problem, **facts}
    app.emit(facts, *_parts(facts))
    if problem is not None and not app.json:
        raise CheckFailed(f"the platform refuses this module: {problem}")
    if problem is not None:
        raise click.exceptions.Exit(1)


def _problem(submitted: bytes) -> str | None:
    try:
        compile_module(WasmModule.from_bytes(submitted))
    except InvalidModule as error:
        return str(error)
    return None


def _parts(facts: dict[str, Any]) -> list[RenderableType]:
    memory, data = facts["memory"], facts["data"]
    methods: dict[str, list[str]] = facts["methods"]
    metadata = {**facts["metadata"]["public"], **facts["metadata"]["private"]}
    pointer = "wasm64" if memory and memory["is64"] else "wasm32"
    bits = "enhanced orthogonal persistence" if facts["enhanced_orthogonal_persistence"] else ""
    pairs = {
        "file": facts["file"],
        "SHA-256": facts["sha256"],
        "size": f"{facts['size']:,} bytes, code {facts['code_bytes']:,} in {facts['functions']:,} functions",
        "kind": ", ".join(filter(None, (pointer, bits))),
        "heap": "none" if memory is None else f"at least {memory['minimum']} pages of 64 KiB",
        "globals": f"{facts['globals']['mutable']} mutable, {facts['globals']['immutable']} immutable",
        "data": f"{data['active']} active and {data['passive']} passive segments, {data['bytes']:,} bytes",
        "start": facts["start"] or "none",
        "entry points": ", ".join(facts["entry_points"]) or "none",
        **{f"{kind.replace('_', ' ')} methods": ", ".join(names) for kind, names in methods.items() if names},
        "metadata": ", ".join(f"{name} ({length:,} bytes)" for name, length in metadata.items()) or "none",
        "imports": ", ".join(sorted(entry["name"] for entry in facts["imports"])) or "none",
        "accepted": "yes" if facts["accepted"] else "no",
    }
    return [output.fields(pairs)]

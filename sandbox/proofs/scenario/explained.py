"""The tables of steps and expectations as text, for the help of the command line."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.proofs.scenario.expectation_kinds import EXPECTATIONS
from sandbox.proofs.scenario.loader import DOCUMENT
from sandbox.proofs.scenario.step_kinds import STEPS


def explained() -> str:
    """Return every key, step and expectation with its meaning, as paragraphs for click."""
    return "\n\n".join(("\b\n" + "\n".join(lines)) for lines in _lists())


def _lists() -> Iterator[list[str]]:
    yield ["Keys of a scenario:", *(_row(key.name, key.doc) for key in DOCUMENT.keys)]
    yield [
        "Steps, each with its other keys:",
        *(
            _row(kind.name, " ".join(filter(None, (kind.doc, _keys([key.name for key in kind.table.keys[1:]])))))
            for kind in STEPS
        ),
    ]
    yield ["Expectations, below `expect`:", *(_row(kind.name, kind.doc) for kind in EXPECTATIONS)]


def _keys(names: list[str]) -> str:
    own = [name for name in names if name not in ("expect", "tolerance")]
    return f"[{', '.join(own)}]" if own else ""


def _row(name: str, doc: str) -> str:
    return f"  {name:<16} {doc}"

"""From the parts of an HTTP request to the parameters of an operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from sandbox.http.admin import model
from sandbox.http.admin.operations import Operation
from sandbox.http.answer import Refused


def asked(
    operation: Operation,
    path: Mapping[str, str],
    query: Iterable[tuple[str, str]],
    body: bytes | Path,
    texts: bool = False,
) -> model.Asked:
    """The parameters; `Refused` with 400, and the place of the mistake, for those that do not fit. `body`: a file with
    it for an operation that takes one. `texts`: all are in the query, as those of a form are."""
    in_query = texts or operation.in_query
    try:
        inside = _outside(query) if in_query else _inside(body)
        both = sorted(operation.in_path & inside.keys())
        if both:
            raise Refused(400, f"{both[0]} stands in the path")
        if operation.file is not None:
            inside["file"] = str(body)
        # What stands in a URL is text, from which numbers are read; what stands in a body has a type of its own.
        return msgspec.convert({**path, **inside}, operation.takes, strict=not in_query, dec_hook=_decoded)
    except msgspec.ValidationError as error:
        raise Refused(400, str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}") from None


def _outside(query: Iterable[tuple[str, str]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in query:
        if name in values or name == "file":
            raise Refused(
                400, f"the parameter {name[:40]} is given twice" if name in values else "unknown parameter file"
            )
        values[name] = value
    return values


def _inside(body: bytes | Path) -> dict[str, Any]:
    if not body:
        return {}
    value = msgspec.json.decode(body) if isinstance(body, bytes) else None
    if not isinstance(value, dict):
        raise Refused(400, "the body is a JSON object")
    return value


def _decoded(kind: type[Any], value: Any) -> Any:
    return Path(value) if kind is Path else value

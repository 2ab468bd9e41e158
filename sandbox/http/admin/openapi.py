"""The OpenAPI 3.1 document of the sandbox's own interface, from the table of operations."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec

from sandbox.http.admin import model
from sandbox.http.admin.operations import OPERATIONS, Operation
from sandbox.http.admin.rights import PREFIX

_REF: Final = "#/components/schemas/{name}"
FAILURES: Final = {
    400: "The request is not well formed.",
    401: "The token is missing or wrong.",
    403: "The request comes from another machine, another origin, or by another name of this one.",
    404: "There is no such canister, snapshot, anchor or profile.",
    408: "The body did not come in time.",
    409: "The platform or the state rejects it.",
    413: "The body is too large.",
    503: "The sandbox is executing something else, and this waited too long.",
}
"""What an answer with this status code means."""


@cache
def document() -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(_document())


def _document() -> dict[str, Any]:
    kinds = {kind for operation in OPERATIONS for kind in (operation.takes, operation.gives)} | {model.Failed}
    answers = sorted(kinds - {model.Document}, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(answers, schema_hook=lambda _: {"type": "string"}, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "canister-sandbox",
            "version": version("canister-sandbox"),
            "description": "The sandbox's own interface.",
        },
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}],
        "paths": _paths(components),
        "components": {
            "schemas": {name: schema for name, schema in components.items() if not _is_request(name)},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "admin-token in the state directory."}
            },
        },
    }


def _is_request(name: str) -> bool:
    return any(operation.takes.__name__ == name for operation in OPERATIONS)


def _paths(components: dict[str, Any]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, components)
    return paths


def _described(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    schema = components[operation.takes.__name__]
    fields, required = schema["properties"], set(schema.get("required", ()))
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": (operation.run.__doc__ or "").split(". ")[0].split(";")[0].strip().rstrip("."),
        "description": " ".join(f"{operation.run.__doc__} {schema.get('description', '')}".split()),
        "parameters": [_parameter(operation, name, fields[name], name in required) for name in _outside(operation)],
        "responses": {"200": _answer(operation), **{str(code): _failure(text) for code, text in FAILURES.items()}},
    }
    inside = [name for name in fields if name not in _outside(operation) and name != "file"]
    if operation.file is not None:
        binary = {"schema": {"type": "string", "format": "binary"}}
        described["requestBody"] = {"required": True, "content": {operation.file: binary}}
    elif operation.changes and not operation.in_query:
        body = {
            "type": "object",
            "properties": {name: fields[name] for name in inside},
            "required": [name for name in inside if name in required],
            "additionalProperties": False,
        }
        described["requestBody"] = {
            "required": bool(body["required"]),
            "content": {"application/json": {"schema": body}},
        }
    return described


def _outside(operation: Operation) -> list[str]:
    """The parameters that are not in the body."""
    names = [field.encode_name for field in msgspec.structs.fields(operation.takes) if field.encode_name != "file"]
    return [name for name in names if operation.in_query or name in operation.in_path]


def _parameter(operation: Operation, name: str, schema: dict[str, Any], required: bool) -> dict[str, Any]:
    place = "path" if name in operation.in_path else "query"
    return {"name": name, "in": place, "required": required, "schema": _without_null(schema)}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter of a URL is missing instead of null."""
    if "anyOf" not in schema:
        return schema
    kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _answer(operation: Operation) -> dict[str, Any]:
    if operation.gives is model.Document:
        return {"description": "The content.", "content": {"*/*": {"schema": {}}}}
    return {"description": "Done.", "content": {"application/json": {"schema": _reference(operation.gives)}}}


def _failure(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": _reference(model.Failed)}}}


def _reference(kind: type[Any]) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}

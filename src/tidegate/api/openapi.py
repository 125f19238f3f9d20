"""The description of the API, in OpenAPI 3.1: built from the routes and the types of their handlers.

Source: https://spec.openapis.org/oas/v3.1.1.html. Schemas are msgspec's, which are JSON Schema 2020-12.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import msgspec

import tidegate
from tidegate.api.call import JSON
from tidegate.api.routes import Header, Route
from tidegate.documents import Failure

_REF: Final = "#/components/schemas/{name}"
_FILE: Final = {"schema": {"type": "string", "format": "binary"}}
_SAYS: Final = {
    "project": "A project; `default` is always there.",
    "ref": "A branch, tag or commit, or what comes before one: `master`, `master^`, `v1`.",
    "path": "A file's path. It may have slashes.",
    "delivery": "The id of a delivery.",
}

Document = dict[str, object]


def describe(routes: Iterable[Route]) -> Document:
    """The whole description."""
    routes = list(routes)
    kinds = [Failure, *(route.query for route in routes)]
    kinds += [kind for route in routes for kind in (route.body, route.answer) if kind is not None]
    shown, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schemas = dict(zip(kinds, shown, strict=True))
    paths: dict[str, Document] = {}
    for route in routes:
        paths.setdefault(route.path.replace("...", ""), {})[route.method.lower()] = _operation(
            route, schemas, components
        )
    queries = {route.query.__name__ for route in routes}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate",
            "version": tidegate.__version__,
            "description": "Versioned repositories: a branch is a bucket, a write is a commit.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "responses": {
                "Failure": {"description": "Something is wrong.", "content": {JSON: {"schema": schemas[Failure]}}}
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"token": []}, {}],
    }


def _operation(route: Route, schemas: dict[type, Document], components: dict[str, Document]) -> Document:
    summary, _, rest = (inspect.getdoc(route.handler) or "").partition(". ")
    operation: Document = {
        "operationId": route.name,
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "summary": " ".join(summary.split()).removesuffix("."),
        "parameters": [
            *({"name": name, "in": "path", "required": True, **_named(name)} for name in route.parameters),
            *_query(components[route.query.__name__]),
            *map(_header, route.headers),
        ],
        "responses": {
            str(route.status): {"description": HTTPStatus(route.status).phrase, **_answer(route, schemas)},
            "default": {"$ref": "#/components/responses/Failure"},
        },
    }
    if rest:
        operation["description"] = " ".join(rest.split())
    if route.is_open:
        operation["security"] = []
    if route.takes_content:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": _FILE}}
    elif route.body is not None:
        operation["requestBody"] = {
            "required": "required" in components[route.body.__name__],
            "content": {JSON: {"schema": schemas[route.body]}},
        }
    return operation


def _answer(route: Route, schemas: dict[type, Document]) -> Document:
    if route.media:
        return {"content": {route.media: {} if route.media == JSON else _FILE}}
    return {} if route.answer is None else {"content": {JSON: {"schema": schemas[route.answer]}}}


def _named(name: str) -> Document:
    says = {"description": _SAYS[name]} if name in _SAYS else {}
    return {"schema": {"type": "string"}, **says}


def _header(header: Header) -> Document:
    return {"name": header.name, "in": "header", "schema": {"type": "string"}, "description": header.description}


def _query(schema: Document) -> Iterable[Document]:
    """The parameters that the schema of a query's struct stands for."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    assert isinstance(properties, dict)  # noqa: S101 - as msgspec makes it
    assert isinstance(required, list)  # noqa: S101 - same
    for name, field in properties.items():
        shown = {key: value for key, value in field.items() if key != "description"}
        says = {"description": field["description"]} if "description" in field else {}
        yield {"name": name, "in": "query", "required": name in required, "schema": shown, **says}

"""The routes of the web service as Markdown, from its OpenAPI document.

A page that holds the line ``% http-api`` gets them in its place. sphinxcontrib-openapi shows neither the fields of
bodies nor examples, and names types as Python sets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from sphinx.application import Sphinx

from airflow_provider_partition_registry.server.app import create_app
from airflow_provider_partition_registry.server.settings import ServiceSettings

PLACEHOLDER = "% http-api"
EVERYWHERE = {"401", "403", "408", "413", "422", "429", "500", "503"}
"""Statuses that any route may answer with; the page says so once."""

Json = dict[str, Any]


def setup(app: Sphinx) -> Json:
    """Register with Sphinx."""
    app.connect("source-read", _fill_in)
    return {"parallel_read_safe": True}


def _fill_in(_app: Sphinx, _docname: str, source: list[str]) -> None:
    if PLACEHOLDER in source[0]:
        document = create_app(ServiceSettings("sqlite:////nowhere")).openapi()
        source[0] = source[0].replace(PLACEHOLDER, "\n".join(routes(document)))


def routes(document: Json) -> Iterator[str]:
    """All operations, one section for each of their tags."""
    operations = [
        (operation["tags"][0], f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = document["components"]["schemas"]
    for tag, group in groupby(operations, key=lambda each: each[0]):
        yield f"## {tag}\n"
        for _, route, operation in group:
            yield from _operation(route, operation, schemas)


def _operation(route: str, operation: Json, schemas: Json) -> Iterator[str]:
    yield f"### `{route}`\n"
    yield operation["description"].replace("``", "`") + "\n"
    rows = [_row(each["name"], each["schema"], each["required"]) for each in operation.get("parameters", ())]
    if rows:
        yield from ("| parameter | type | means |", "|---|---|---|", *rows, "")
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        yield from _body(schemas[_name_of(body)])
    for status, answer in operation["responses"].items():
        example = answer.get("content", {}).get("application/json", {}).get("example")
        if status.startswith("2") and example is not None:
            yield f"Answer, {status}:\n\n{_json(example)}"
    refusals = [
        f"- {status}: {answer['description']}."
        for status, answer in sorted(operation["responses"].items())
        if not status.startswith("2") and status not in EVERYWHERE
    ]
    if refusals:
        yield "\n".join(("Refused with", "", *refusals, ""))


def _body(schema: Json) -> Iterator[str]:
    required = schema.get("required", ())
    rows = [_row(name, each, name in required) for name, each in schema["properties"].items()]
    yield from ("| in the body | type | means |", "|---|---|---|", *rows, "")
    yield f"For example:\n\n{_json(schema['examples'][0])}"


def _row(name: str, schema: Json, is_required: bool) -> str:
    default = schema.get("default")
    notes = [
        schema.get("description", ""),
        "Required." if is_required else "",
        f"By default {json.dumps(default)}." if default is not None else "",
    ]
    return f"| `{name}` | {_type(schema)} | {' '.join(note for note in notes if note)} |"


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return _name_of(schema)
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"] if each.get("type") != "null")
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema["type"])


def _name_of(reference: Json) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _json(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```\n"

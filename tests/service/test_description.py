"""The OpenAPI document is complete, and its pages need nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema_rs import validator_for

from tests.service.calling import served, sqlite_at

Operation = dict[str, Any]


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(sqlite_at(tmp_path_factory.mktemp("description"))) as (client, _):
        yield client


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    return http.get("/openapi.json").json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, Operation]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not path.startswith(("/healthz", "/readyz", "/metrics")):
                yield f"{method.upper()} {path}", operation


def assert_fits(document: dict[str, Any], schema: Any, example: Any) -> None:
    validator_for({**schema, "components": document["components"]}).validate(example)


def test_every_route_says_what_it_does(document: dict[str, Any]) -> None:
    names = []
    for route, operation in operations(document):
        assert operation["summary"], route
        assert operation["description"], route
        assert operation["tags"], route
        assert operation["security"] == [{"HTTPBearer": []}], route
        names.append(operation["operationId"])
    assert len(names) == len(set(names))


def test_every_body_and_answer_has_an_example_that_fits(document: dict[str, Any]) -> None:
    for route, operation in operations(document):
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            (example,) = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["examples"]
            assert_fits(document, schema, example)
        for status, answer in operation["responses"].items():
            if "text/event-stream" not in answer["content"]:
                shown = answer["content"]["application/json"]
                assert "example" in shown, (route, status)
                assert_fits(document, shown["schema"], shown["example"])


def test_refusals_have_the_shape_of_their_api(document: dict[str, Any]) -> None:
    for route, operation in operations(document):
        expected = "ProblemBody" if "/api/" in route else "Refusal"
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert answer["content"]["application/json"]["schema"]["$ref"].endswith(f"/{expected}"), route
        assert {"401", "403", "422", "429", "503"} <= set(operation["responses"])
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_pages_need_nothing_from_elsewhere(http: httpx.Client, page: str) -> None:
    shown = http.get(page)
    assert shown.status_code == 200
    assert not re.findall(r"https?://", shown.text)
    for asset in re.findall(r'(?:src|href)="(/[^"]*)"', shown.text):
        assert http.get(asset).status_code == 200, asset
    assert "default-src 'self'" in shown.headers["Content-Security-Policy"]

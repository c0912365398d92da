"""The wire format is that of the version before: what its service responded then, this one responds today."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from testbed.service_process import ServiceProcess
from tests.service.conftest import client
from tests.service.recording.__main__ import GIVEN
from tests.service.recording.exchanges import Exchange, Response, play

RECORDED: list[Exchange] = json.loads(
    (Path(__file__).parent / "recording" / "former_version.json").read_text()
)
"""Made by the version before 1.0's model and rooms; see ``recording/__main__.py``."""
LATER = ("-many", "/grains", "/grains/stream", "/sources/set-uri", "/condition")
"""How the paths of routes end that it did not have."""
LATER_FIELDS = {"uri": None}
"""Fields that its answers did not have, and what they hold if nobody uses them."""
LATER_DETAILS = {"ready", "freed", "was_ready"}
"""Details of events that it did not write."""


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of this version's service, whose registry is empty."""
    registry = f"sqlite:///{tmp_path_factory.mktemp('recording')}/registry.db"
    variables = {"PARTITION_REGISTRY_ADMINISTRATOR_TOKEN": GIVEN["administrator"]}
    with ServiceProcess(registry, variables=variables) as service, client(service) as http:
        yield http


@pytest.fixture(scope="module")
def responses(http: httpx.Client) -> dict[str, Response]:
    """What this version's service responds to the requests of the recording, by their names."""
    requests = [exchange["request"] for exchange in RECORDED]
    return {each["request"]["name"]: each["response"] for each in play(requests, http, GIVEN)}


@pytest.mark.parametrize("exchange", RECORDED, ids=lambda each: each["request"]["name"])
def test_the_response_is_the_same(exchange: Exchange, responses: dict[str, Response]) -> None:
    assert _without_later_fields(responses[exchange["request"]["name"]]) == exchange["response"]


def _without_later_fields(told: Any) -> Any:
    if isinstance(told, dict):
        kept = {key: value for key, value in told.items() if (key, value) not in LATER_FIELDS.items()}
        if "details" in kept:
            kept["details"] = {key: kept["details"][key] for key in kept["details"].keys() - LATER_DETAILS}
        return {key: _without_later_fields(value) for key, value in kept.items()}
    return [_without_later_fields(each) for each in told] if isinstance(told, list) else told


def test_every_route_is_recorded(http: httpx.Client) -> None:
    routes = {
        (method.upper(), path.format(source_name="press"))
        for path, methods in http.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    routes = {(method, path) for method, path in routes if not path.endswith(LATER)}
    assert routes <= {(each["request"]["method"], each["request"]["path"]) for each in RECORDED}

"""Conditions over HTTP: what they are answered, and what ends a long poll, be it time alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.service import ServiceThread
from tests.service.conftest import client, wait_for_waiting

DAY = {"start": "2026-11-01", "end": "2026-11-02"}
MOST = Interval("2026-11-01", "2026-11-01T23:00")
REST = Interval("2026-11-01T23:00", "2026-11-02")
LAST_HOUR = {"start": "2026-11-01T23:00:00Z", "end": "2026-11-02T00:00:00Z"}


@pytest.fixture(params=["migrated_sqlite_url", pytest.param("postgres_url", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)


@pytest.fixture
def store(database_url: str) -> Iterator[RegistryStore]:
    with open_store(database_url, pool_size=2) as store:
        for source in ("a", "b"):
            store.register_provider("p", store.register_source(source, "ann").access_token)
        yield store


@pytest.fixture
def http(store: RegistryStore, database_url: str) -> Iterator[httpx.Client]:
    with ServiceThread(ServiceSettings(database_url, is_open=True)) as service, client(service) as http:
        yield http


def publish(store: RegistryStore, source: str, interval: Interval) -> None:
    key = PartitionKey(source, "p", interval)
    store.lock(key, register=True)
    store.unlock(key)


def ask(http: httpx.Client, condition: str, wait_seconds: float = 0, **fields: Any) -> dict[str, Any]:
    body = {"condition": condition, **DAY, **fields}
    response = http.post("/api/v1/readiness/condition", json=body, params={"wait_seconds": wait_seconds})
    assert response.status_code == 200, response.text
    return response.json()


def names(answer: dict[str, Any]) -> list[str]:
    return [each["readiness"]["question"]["source_name"] for each in answer["answers"]]


def test_what_decided_is_answered(store: RegistryStore, http: httpx.Client) -> None:
    publish(store, "b", MOST)
    publish(store, "b", REST)
    answer = ask(http, "any(a, b)")
    assert (answer["is_met"], answer["is_partial"], names(answer)) == (True, False, ["b"])
    (part,) = answer["answers"]
    assert (part["readiness"]["is_ready"], part["coverage"], part["missing"]) == (True, 1.0, [])
    assert part["readiness"]["as_of"] == store.last_position()


def test_what_is_accepted_in_part_is_not_called_ready(store: RegistryStore, http: httpx.Client) -> None:
    publish(store, "a", MOST)
    answer = ask(http, "a else 95%")
    assert (answer["is_met"], answer["is_partial"]) == (True, True)
    (part,) = answer["answers"]
    assert (part["readiness"]["is_ready"], part["coverage"]) == (False, 23 / 24)
    assert part["missing"] == part["readiness"]["gaps"] == [LAST_HOUR]


def test_what_is_not_met_is_explained_part_by_part(store: RegistryStore, http: httpx.Client) -> None:
    publish(store, "a", MOST)
    store.lock(PartitionKey("b", "p", MOST), register=True, holder="the-night-job")
    answer = ask(http, "all(a else 99%, b)")
    assert (answer["is_met"], answer["is_partial"], names(answer)) == (False, False, ["a", "b"])
    first, second = answer["answers"]
    assert (first["coverage"], first["missing"]) == (23 / 24, [LAST_HOUR])
    assert second["coverage"] == 0
    assert second["readiness"]["blockers"][0]["lock"]["holder"]["identity"] == "the-night-job"


def test_an_unknown_source_is_answered_at_once(store: RegistryStore, http: httpx.Client) -> None:
    publish(store, "a", MOST)
    answer = ask(http, "any(a, typo)", wait_seconds=60)
    assert not answer["is_met"]
    assert [each["error"] and each["error"]["code"] for each in answer["answers"]] == [None, "unknown_source"]


class TestLongPolling:
    def test_time_alone_ends_it(self, store: RegistryStore, http: httpx.Client) -> None:
        publish(store, "b", MOST)
        publish(store, "b", REST)
        began = time.monotonic()
        answer = ask(http, "a else b after 2s", wait_seconds=60)
        assert names(answer) == ["b"]
        assert 2 <= time.monotonic() - began < 30

    def test_time_alone_ends_a_wait_for_partial_data(self, store: RegistryStore, http: httpx.Client) -> None:
        publish(store, "a", MOST)
        answer = ask(http, "a else 95% after 1s", wait_seconds=60)
        assert (answer["is_met"], answer["is_partial"]) == (True, True)

    def test_a_later_request_goes_on_with_the_same_wait(
        self, store: RegistryStore, http: httpx.Client
    ) -> None:
        publish(store, "a", MOST)
        began_at = datetime.now(UTC)
        assert not ask(http, "a else 95% after 2h", 0.1, began_at=began_at.isoformat())["is_met"]
        earlier = began_at - timedelta(hours=2)
        assert ask(http, "a else 95% after 2h", 0.1, began_at=earlier.isoformat())["is_met"]

    @pytest.mark.parametrize("condition", ["any(a, b)", "a else 96%", "all(a else b after 1h)"])
    def test_what_is_published_ends_it(
        self, condition: str, store: RegistryStore, http: httpx.Client
    ) -> None:
        """Also if other data is still missing."""
        publish(store, "a", MOST)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(ask, http, condition, 60)
            wait_for_waiting(http, "readiness")
            publish(store, "a", REST)
            answer = waiting.result(30)
        assert (answer["is_met"], answer["is_partial"], names(answer)) == (True, False, ["a"])

    def test_more_of_it_ends_a_wait_for_partial_data(self, store: RegistryStore, http: httpx.Client) -> None:
        publish(store, "a", Interval("2026-11-01", "2026-11-01T12:00"))
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(ask, http, "all(a else 75%, a[last 1 hour] else 50% after 1h)", 2)
            wait_for_waiting(http, "readiness")
            publish(store, "a", Interval("2026-11-01T12:00", "2026-11-01T18:00"))
            answer = waiting.result(30)
        assert not answer["is_met"]
        assert [each["coverage"] for each in answer["answers"]] == [0.75, 0.0]
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(ask, http, "all(a else 80%)", 60)
            wait_for_waiting(http, "readiness")
            publish(store, "a", Interval("2026-11-01T18:00", "2026-11-01T20:00"))
            answer = waiting.result(30)
        assert (answer["is_met"], answer["is_partial"]) == (True, True)
        assert answer["answers"][0]["missing"] == [
            {"start": "2026-11-01T20:00:00Z", "end": "2026-11-02T00:00:00Z"}
        ]

    def test_a_time_out_explains_what_is_missing(self, store: RegistryStore, http: httpx.Client) -> None:
        publish(store, "a", MOST)
        answer = ask(http, "all(a, b)", wait_seconds=0.5)
        assert [each["readiness"]["gaps"] != [] for each in answer["answers"]] == [True, True]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"condition": "all(a"}, "cannot be read at its end"),
        ({"condition": "a[-9999 years]"}, "outside the years 1 to 9999"),
        ({"condition": "a", "timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"condition": "a[-1 day]", "timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"condition": "a", "began_at": "soon"}, "'soon' is not an instant"),
        ({"condition": "a", "end": "2026-10-01"}, "is empty"),
        ({"condition": "a else b after 8000000d"}, "after the year 9999"),
        ({"condition": "a", "conditon": "a"}, "conditon"),
        ({"condition": "all(" * 30 + "a" + ")" * 30}, "within each other"),
    ],
)
def test_mistakes(fields: dict[str, str], told: str, http: httpx.Client) -> None:
    response = http.post("/api/v1/readiness/condition", json=DAY | fields)
    assert response.status_code == 422, response.text
    assert told in response.text

"""Grains that become ready, as a stream of the web service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Any

import httpx
import pytest

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.service import ServiceThread
from tests.contract.homes import hours
from tests.service.conftest import client

STREAM = "/api/v1/events/grains/stream"
DAYS = {"source_name": "s", "grain": "day"}


def key(interval: Any) -> PartitionKey:
    return PartitionKey("s", "p", interval)


def publish(store: RegistryStore, *intervals: Any) -> None:
    for each in intervals:
        store.lock(key(each), register=True)
        store.unlock(key(each))


@pytest.fixture
def store(database_url: str) -> Iterator[RegistryStore]:
    with open_store(database_url) as opened:
        opened.register_provider("p", opened.register_source("s", "ann").access_token)
        yield opened


@pytest.fixture
def http(database_url: str, store: RegistryStore) -> Iterator[httpx.Client]:
    with ServiceThread(ServiceSettings(database_url, is_open=True)) as service, client(service) as opened:
        yield opened


def messages_of(stream: httpx.Response) -> Iterator[dict[str, str]]:
    """The messages, and the ids that come without one."""
    fields: dict[str, str] = {}
    for line in stream.iter_lines():
        if line:
            name, _, text = line.partition(": ")
            fields[name] = text
        elif fields:
            if "" not in fields:  # a comment
                yield fields
            fields = {}


def grains_of(messages: Iterator[dict[str, str]], count: int) -> list[dict[str, str]]:
    """The first messages that tell of a grain."""
    return list(islice((each for each in messages if "data" in each), count))


def told(message: dict[str, str]) -> tuple[str, int]:
    """The start of a grain and its version."""
    data = json.loads(message["data"])
    assert (message["event"], message["id"], data["source_name"]) == ("ready", data["cursor"], "s")
    return data["interval"]["start"], data["version"]


def test_each_grain_is_a_message_and_its_id_is_where_to_go_on(
    http: httpx.Client, store: RegistryStore
) -> None:
    with http.stream("GET", STREAM, params=DAYS) as stream:
        messages = messages_of(stream)
        publish(store, hours(0, 12), hours(12, 60))
        ready = grains_of(messages, 2)
    version = store.last_position()
    assert [told(each) for each in ready] == [
        ("2026-01-01T00:00:00Z", version),
        ("2026-01-02T00:00:00Z", version),
    ]
    with http.stream("GET", STREAM, params=DAYS, headers={"Last-Event-ID": ready[0]["id"]}) as stream:
        assert grains_of(messages_of(stream), 1) == ready[1:]


def test_an_id_alone_moves_those_on_who_are_told_nothing(http: httpx.Client, store: RegistryStore) -> None:
    with http.stream("GET", STREAM, params=DAYS) as stream:
        store.register_partition(key(hours(0, 1)))
        assert next(messages_of(stream)) == {"id": str(store.last_position())}


def test_a_release_is_told_only_if_it_is_news(http: httpx.Client, store: RegistryStore) -> None:
    publish(store, hours(0, 12), hours(12, 24))
    with http.stream("GET", STREAM, params=DAYS) as stream:
        messages = messages_of(stream)
        store.lock(key(hours(0, 12)))
        store.release(key(hours(0, 12)))
        released_at = store.last_position()
        passed = list(takewhile(lambda each: each["id"] != str(released_at), messages))
        assert not any("data" in each for each in passed)
        store.lock(key(hours(0, 12)))
        publish(store, hours(12, 24))
        store.release(key(hours(0, 12)))
        assert [told(each) for each in grains_of(messages, 1)] == [
            ("2026-01-01T00:00:00Z", store.last_position())
        ]


def test_grains_of_any_length_and_zone(http: httpx.Client, store: RegistryStore) -> None:
    publish(store, hours(0, 1))
    six_minutes = http.get("/api/v1/events/grains", params={**DAYS, "grain": "360", "limit": 4}).json()
    assert [each["interval"]["start"][11:16] for each in six_minutes["items"]] == [
        "00:00",
        "00:06",
        "00:12",
        "00:18",
    ]
    assert six_minutes["next"] == six_minutes["reached"] == six_minutes["items"][-1]["cursor"]
    rest = http.get(
        "/api/v1/events/grains", params={**DAYS, "grain": "360", "after": six_minutes["next"]}
    ).json()
    assert (len(rest["items"]), rest["next"]) == (6, None)
    publish(store, hours(-10, 26))
    (day,) = http.get("/api/v1/events/grains", params={**DAYS, "timezone": "Asia/Tokyo"}).json()["items"]
    assert day["interval"] == {"start": "2025-12-31T15:00:00Z", "end": "2026-01-01T15:00:00Z"}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"grain": "fortnight"}, "invalid_input"),
        ({"grain": "-1"}, "invalid_input"),
        ({"grain": "nan"}, "invalid_input"),
        ({"timezone": "Mars/Base"}, "invalid_input"),
        ({"after": "yesterday"}, "invalid_input"),
        ({"after": "1000000"}, "invalid_input"),
        ({"source_name": "nowhere"}, "unknown_source"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/events/grains", STREAM])
def test_what_cannot_be_followed_is_refused(
    http: httpx.Client, path: str, given: dict[str, str], code: str
) -> None:
    refused = http.get(path, params={**DAYS, **given})
    assert refused.json()["error"]["code"] == code

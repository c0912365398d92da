"""The original's six routes: its documented calls exactly, and every difference that we document."""

# ruff: noqa: N806 - the original writes its names so

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
import requests
from dateutil import tz
from urllib3 import PoolManager

from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.postgres import PostgresServer
from testbed.service_process import ServiceProcess
from tests.conftest import upgrade
from tests.service.calling import DAY, bearer, caller, served, sqlite_at

Registry = tuple[httpx.Client, RegistryStore]


def test_the_original_s_documented_calls(migrated_sqlite_url: str) -> None:
    """The calls are copied from its README; only the addresses in names are ours, which that web page hides."""
    with ServiceProcess(migrated_sqlite_url, "--open") as service:
        WEB_SERVICE_URL = service.url
        SOURCE_NAME = "public.some_source"
        SOURCE_OWNER = "owner@example.com"
        PROVIDER_NAME = "provider@example.com"
        PARTITION_START = dt.datetime(2000, 1, 1, 0, 0, 0, 0, tzinfo=tz.UTC)
        PARTITION_END = dt.datetime(2000, 1, 2, 0, 0, 0, 0, tzinfo=tz.UTC)

        response = requests.post(
            urljoin(WEB_SERVICE_URL, "sources/register"),
            params={"source_name": SOURCE_NAME, "owner": SOURCE_OWNER},
        )
        assert response.status_code == 200
        data = response.json()
        assert data["status_code"] == 200
        assert set(data["registered_object"]) == {
            *("source_id", "name", "owner", "access_token", "registered_at")
        }
        ACCESS_TOKEN = data["registered_object"]["access_token"]["token"]

        response = requests.post(
            urljoin(WEB_SERVICE_URL, "providers/register"),
            params={"provider_name": PROVIDER_NAME, "access_token": ACCESS_TOKEN},
        )
        assert response.status_code == 200
        data = response.json()
        assert set(data["registered_object"]) == {"provider_id", "name", "access_token", "registered_at"}

        response = requests.post(
            urljoin(WEB_SERVICE_URL, "partitions/register"),
            params={
                "start": str(PARTITION_START),
                "end": str(PARTITION_END),
                "source_name": SOURCE_NAME,
                "provider_name": PROVIDER_NAME,
            },
        )
        assert response.status_code == 200
        data = response.json()
        assert set(data["registered_object"]) == {
            *("partition_id", "start", "end", "source", "provider", "registered_at")
        }

        # Its example calls unlock twice, its text says lock and unlock. Both work.
        for call, event_type in (
            ("partitions/unlock", "UNLOCK"),
            ("partitions/unlock", "UNLOCK"),
            ("partitions/lock", "LOCK"),
            ("partitions/unlock", "UNLOCK"),
        ):
            response = requests.post(
                urljoin(WEB_SERVICE_URL, call),
                params={
                    "start": str(PARTITION_START),
                    "end": str(PARTITION_END),
                    "source_name": SOURCE_NAME,
                    "provider_name": PROVIDER_NAME,
                },
            )
            assert response.status_code == 200
            happened = response.json()["registered_object"]
            assert happened["event_type"] == event_type
            assert set(happened) >= {"partition", "event_type", "registered_at"}

        response = requests.get(
            urljoin(WEB_SERVICE_URL, f"sources/{SOURCE_NAME}/check_readiness"),
            params={
                "source_name": str(SOURCE_NAME),
                "start": str(PARTITION_START),
                "end": str(PARTITION_END),
            },
        )
        assert response.status_code == 200
        data = response.json()
        assert data["status_code"] == 200
        assert data["is_ready"] is True
        assert data["message"] is None


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A service that is not open, with a source ``s``, its provider ``p``, and another source ``t``."""
    with served(sqlite_at(tmp_path_factory.mktemp("original")), wrong_tokens_per_minute=1000) as both:
        yield both


@pytest.fixture(scope="module")
def tokens(registry: Registry) -> dict[str, str]:
    _, store = registry
    found = {name: store.register_source(name, "ann").access_token for name in ("s", "t")}
    found["p"] = str(store.register_provider("p", found["s"]).access_token)
    return found


@pytest.fixture(scope="module")
def http(registry: Registry, tokens: dict[str, str]) -> httpx.Client:
    client, _ = registry
    client.headers.update(bearer(tokens["p"]))
    return client


def hour(number: int, **more: Any) -> dict[str, Any]:
    return {
        "start": f"2001-01-01T{number:02}:00:00",
        "end": f"2001-01-01T{number + 1:02}:00:00",
        "source_name": "s",
        "provider_name": "p",
        **more,
    }


LONG = "x" * 10_000
SOURCE = {"source_name": "u", "owner": "ann"}
PLACE = {"source_name": "s", "provider_name": "p", **DAY}
REFUSALS: list[tuple[str, dict[str, str], int]] = [
    ("POST /sources/register", {**SOURCE, "source_name": "s"}, 409),
    ("POST /sources/register", {**SOURCE, "source_name": ""}, 422),
    ("POST /sources/register", {**SOURCE, "source_name": "white space"}, 422),
    ("POST /sources/register", {**SOURCE, "source_name": LONG}, 422),
    ("POST /sources/register", {**SOURCE, "source_name": "nul\0"}, 422),
    ("POST /sources/register", {**SOURCE, "owner": "nul\0"}, 422),
    ("POST /sources/register", {"owner": "ann"}, 422),
    ("POST /providers/register", {"provider_name": "q", "access_token": "wrong"}, 403),
    ("POST /providers/register", {"provider_name": LONG, "access_token": "SOURCE'S"}, 422),
    ("POST /providers/register", {"provider_name": "nul\0", "access_token": "SOURCE'S"}, 422),
    ("POST /providers/register", {"provider_name": "p", "access_token": "SOURCE'S"}, 409),
    ("POST /partitions/register", {**PLACE, "source_name": "t"}, 403),
    ("POST /partitions/register", {**PLACE, "start": DAY["end"]}, 422),
    ("POST /partitions/register", {**PLACE, "start": "0001-01-01T00:00:00+14:00"}, 422),
    ("POST /partitions/register", {**PLACE, "end": "9999-12-31T23:59:59-14:00"}, 422),
    ("POST /partitions/register", {**PLACE, "start": "yesterday\0"}, 422),
    ("POST /partitions/lock", PLACE, 404),
    ("POST /partitions/unlock", PLACE, 404),
    ("GET /sources/nobody/check_readiness", DAY, 404),
    ("GET /sources/s/check_readiness", {"start": DAY["end"], "end": DAY["start"]}, 422),
    ("GET /sources/s/check_readiness", {"start": DAY["start"], "end": DAY["start"]}, 422),
    ("GET /sources/s/check_readiness", {"start": "0001-01-01T00:00:00+14:00", "end": DAY["end"]}, 422),
    (f"GET /sources/{LONG}/check_readiness", DAY, 422),
    ("GET /sources/nul%00/check_readiness", DAY, 422),
]


@pytest.mark.parametrize(("route", "params", "status"), REFUSALS, ids=lambda each: ascii(each)[:70])
def test_a_refusal_has_its_real_status(
    http: httpx.Client, tokens: dict[str, str], route: str, params: dict[str, str], status: int
) -> None:
    params = {name: tokens["s"] if value == "SOURCE'S" else value for name, value in params.items()}
    answer = http.request(*route.split(), params=params)
    assert (answer.status_code, answer.json()["status_code"]) == (status, status), answer.text
    assert answer.json()["detail"].endswith((".", ").", ")", "…"))
    assert set(answer.json()) == {"status_code", "detail"}
    assert http.get("/sources/s/check_readiness", params=DAY).status_code == 200  # and the next call works


def test_a_day_of_24_hours_is_ready_until_one_is_locked(http: httpx.Client) -> None:
    for number in range(23):
        http.post("/partitions/register", params=hour(number)).raise_for_status()
        http.post("/partitions/unlock", params=hour(number)).raise_for_status()
    day = {"start": "2001-01-01", "end": "2001-01-01 23:00:00+00:00"}

    def ask() -> Any:
        return http.get("/sources/s/check_readiness", params=day).json()

    assert ask()["is_ready"]
    locked = http.post("/partitions/lock", params=hour(5, holder="me", lease_seconds=60)).json()
    assert (locked["registered_object"]["event_type"], locked["registered_object"]["holder"]) == (
        "LOCK",
        "me",
    )
    assert locked["registered_object"]["generation"] == 1
    assert locked["registered_object"]["expires_at"]
    asked = ask()
    assert not asked["is_ready"]
    assert "is being written by me" in asked["message"]
    assert (len(asked["gaps"]), len(asked["blockers"])) == (1, 1)
    assert asked["as_of"] > 0
    failed = http.post("/partitions/unlock", params=hour(5, holder="me", generation=1, reason="disk full"))
    assert failed.json()["registered_object"]["event_type"] == "FAIL"
    assert not ask()["is_ready"]


def test_an_answer_about_a_partition_repeats_no_token(http: httpx.Client, tokens: dict[str, str]) -> None:
    place = {**PLACE, "start": "2002-01-01", "end": "2002-02-01"}
    answers = [http.post(f"/partitions/{verb}", params=place) for verb in ("register", "lock", "unlock")]
    for answer in answers:
        assert answer.status_code == 200
        assert not any(token in answer.text for token in tokens.values())
        shown = answer.json()["registered_object"]
        shown = shown.get("partition", shown)
        assert (shown["source"]["access_token"], shown["provider"]["access_token"]) == (None, None)


def test_a_second_source_s_token_adds_a_grant_if_the_provider_agrees(
    http: httpx.Client, tokens: dict[str, str]
) -> None:
    grant = {"provider_name": "second", "access_token": tokens["s"]}
    own = http.post("/providers/register", params=grant).json()["registered_object"]["access_token"]["token"]
    further = {**grant, "access_token": tokens["t"]}
    refused = http.post("/providers/register", params=further)  # the bearer token is another provider's
    assert (refused.status_code, refused.json()["status_code"]) == (403, 403)
    assert "only if it agrees" in refused.json()["detail"]
    again = http.post("/providers/register", params=further, headers=bearer(own))
    assert (again.status_code, again.json()["registered_object"]["access_token"]) == (200, None)


def test_twenty_identical_registrations_at_once(http: httpx.Client) -> None:
    def register(_: int) -> int:
        return http.post("/sources/register", params={"source_name": "raced", "owner": "ann"}).status_code

    with ThreadPoolExecutor(20) as pool:
        assert Counter(pool.map(register, range(20))) == {200: 1, 409: 19}


def test_forty_readers_at_once(http: httpx.Client) -> None:
    # The pool of httpx at times closes connections under other threads' calls.
    readers = PoolManager(maxsize=40, headers=dict(http.headers))
    url = str(http.base_url.join("/sources/s/check_readiness"))

    def ask(_: int) -> int:
        return readers.request("GET", url, fields=DAY).status

    with ThreadPoolExecutor(40) as pool:
        assert Counter(pool.map(ask, range(400))) == {200: 400}
    readers.clear()


@pytest.mark.postgres
def test_a_lost_database_is_used_again_by_itself() -> None:
    with PostgresServer(durable=False) as postgres:
        url = upgrade(postgres.create_database("lost"))
        with open_store(url) as store:
            store.register_source("s", "ann")
        with ServiceProcess(url) as service, caller(service.url) as http:
            assert http.get("/sources/s/check_readiness", params=DAY).status_code == 200
            postgres.kill()
            lost = http.get("/sources/s/check_readiness", params=DAY)
            assert (lost.status_code, lost.json()["status_code"]) == (503, 503)
            assert int(lost.headers["Retry-After"]) > 0
            assert http.get("/healthz").status_code == 200
            postgres.start()
            assert http.get("/sources/s/check_readiness", params=DAY).status_code == 200

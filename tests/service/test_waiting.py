"""Waiting clients: a thousand at once, some that hang up, and subscribers that reconnect."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.server.waiting import event_stream
from airflow_provider_partition_registry.store.factory import open_store
from testbed.freezing import freezing
from testbed.processes import wait_until
from testbed.service import ServiceThread
from testbed.service_process import ServiceProcess
from tests.contract.homes import all_events, hours
from tests.races.conftest import register as register_in
from tests.races.traffic import Writer, started
from tests.service.calling import caller
from tests.service.conftest import (
    HOUR,
    PLACE,
    QUESTION,
    client,
    events_of,
    metric,
    register,
    wait_for_waiting,
)

CROWD = 1_000
TURN_TIMEOUT = 120  # seconds, for what normally takes a moment


@pytest.fixture(params=["migrated_sqlite_url", pytest.param("postgres_url", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)


@pytest.fixture
def service(database_url: str) -> Iterator[ServiceThread]:
    with ServiceThread(ServiceSettings(database_url, is_open=True)) as service:
        yield service


@pytest.fixture
def http(service: ServiceThread) -> Iterator[httpx.Client]:
    with client(service) as http:
        register(http)
        yield http


async def ask(service: ServiceProcess | ServiceThread, path: str, **params: Any) -> tuple[int, Any]:
    """Send a request on a connection of its own, at almost no cost to this process; returns status and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(service.url).port)
    try:
        target = f"{path}?{urlencode(params)}"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)
    finally:
        writer.close()


@pytest.mark.postgres
def test_a_thousand_wait_and_none_fails(postgres_url: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * CROWD)), hard))
    with ServiceProcess(postgres_url, "--open") as service, client(service) as http:
        register(http)
        after = http.get("/api/v1/events/last").json()["position"]

        async def wait_all() -> list[tuple[int, Any]]:
            ready = [
                ask(service, "/api/v1/readiness", **QUESTION, wait_seconds=300) for _ in range(CROWD // 2)
            ]
            events = [
                ask(service, "/api/v1/events", after=after, wait_seconds=300) for _ in range(CROWD // 2)
            ]
            waiting = asyncio.gather(*ready, *events)
            await asyncio.to_thread(wait_for_waiting, http, "readiness", CROWD // 2)
            await asyncio.to_thread(wait_for_waiting, http, "events", CROWD // 2)
            assert (
                await asyncio.to_thread(http.post, "/partitions/register", params=PLACE)
            ).status_code == 200
            assert (await asyncio.to_thread(http.post, "/partitions/unlock", params=PLACE)).status_code == 200
            return await asyncio.wait_for(waiting, TURN_TIMEOUT)

        answers = asyncio.run(wait_all())
        assert {status for status, _ in answers} == {200}
        assert all(body["is_ready"] for _, body in answers[: CROWD // 2])
        assert all(body["items"][0]["position"] == after + 1 for _, body in answers[CROWD // 2 :])
        wait_for_waiting(http, "readiness", 0)
        wait_for_waiting(http, "events", 0)


def test_a_client_that_hangs_up_is_noticed(service: ServiceThread, http: httpx.Client) -> None:
    route = {"route": "/api/v1/readiness", "status": "499"}
    before = metric(http, "partition_registry_requests_total", **route)

    async def leave() -> None:
        long = {"wait_seconds": 300}
        kinds: dict[str, Any] = {
            "readiness": {**QUESTION, **long},
            "events": {"after": 2, **long},
            "events/stream": {"after": 2},
        }
        waiting = [
            asyncio.create_task(ask(service, f"/api/v1/{path}", **params))
            for path, params in kinds.items()
            for _ in range(5)
        ]
        for kind in ("readiness", "events", "stream"):
            await asyncio.to_thread(wait_for_waiting, http, kind, 5)
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)
        for kind in ("readiness", "events", "stream"):
            await asyncio.to_thread(wait_for_waiting, http, kind, 0)

    asyncio.run(leave())
    wait_until(
        lambda: metric(http, "partition_registry_requests_total", **route) == before + 5,
        what="the service to count them",
        timeout=TURN_TIMEOUT,
    )


def test_a_wait_that_times_out_is_answered(http: httpx.Client) -> None:
    answer = http.get("/api/v1/readiness", params={**QUESTION, "wait_seconds": 0.3})
    assert (answer.status_code, answer.json()["is_ready"], len(answer.json()["gaps"])) == (200, False, 1)
    assert http.get("/api/v1/events", params={"after": 2, "wait_seconds": 0.3}).json()["items"] == []
    body = {"questions": [QUESTION], "explain": False}
    (found,) = http.post("/api/v1/readiness", json=body, params={"wait_seconds": 0.3}).json()["answers"]
    assert found["readiness"]["is_ready"] is False


@pytest.mark.postgres
def test_a_follower_that_is_cut_off_again_and_again_misses_nothing_and_sees_nothing_twice(
    postgres_url: str,
) -> None:
    """Writers use both workers, the subscriber reconnects to either; now and then the service is killed."""
    mind = random.Random(0)
    stop = threading.Event()
    with (
        open_store(postgres_url, timeout=30) as behind,
        ServiceProcess(postgres_url, "--open", "--workers", "2") as service,
    ):
        register_in(behind, "s", 4)
        writers = [Writer(open_store(service.url), f"w{n}", steps=100_000, stop=stop) for n in range(3)]
        threads, leaked = started(list(writers))
        seen: list[int] = [0]
        for turn in range(12):
            with (
                client(service) as http,
                http.stream(
                    "GET", "/api/v1/events/stream", headers={"Last-Event-ID": str(seen[-1])}
                ) as stream,
            ):
                some = mind.randrange(1, 60)
                for position, _ in events_of(stream):
                    seen.append(position)
                    some -= 1
                    if some == 0:
                        break
            if turn == 6:
                service.kill()
                service.start()
        stop.set()
        for thread in threads:
            thread.join(TURN_TIMEOUT)
        for writer in writers:
            writer.store.close()
        assert leaked == []
        assert seen[1:] == [event.position for event in all_events(behind)][: len(seen) - 1]
        assert len(seen) > 100


def test_events_that_are_there_travel_together(database_url: str) -> None:
    with open_store(database_url) as store:
        register_in(store, "s", 4)
    with (
        ServiceThread(ServiceSettings(database_url, is_open=True)) as service,
        client(service) as http,
        http.stream("GET", "/api/v1/events/stream", params={"after": 0}) as stream,
    ):
        assert next(stream.iter_raw()).count(b"\n\n") == 5


def test_a_stream_in_which_nothing_happens_says_that_it_is_alive(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "PING_INTERVAL", 0.05)
    with http.stream("GET", "/api/v1/events/stream") as stream:
        assert next(stream.iter_lines()) == ": ping"


def test_a_stream_begins_at_the_present_end_and_refuses_positions_beyond_it(
    http: httpx.Client,
) -> None:
    refused = http.get("/api/v1/events/stream", params={"after": 1_000})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_input")
    before_all = http.get("/api/v1/events/stream", headers={"Last-Event-ID": "-1"})
    assert (before_all.status_code, before_all.json()["error"]["code"]) == (422, "invalid_input")
    for start in ({}, {"after": 0}):
        refused = http.get("/api/v1/events/stream", params={"source_name": "nowhere", **start})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_source")
    with http.stream("GET", "/api/v1/events/stream") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        with caller(str(http.base_url)) as other:
            other.post("/partitions/register", params=PLACE)
            other.post("/partitions/lock", params=PLACE)
        events = events_of(stream)
        assert [next(events), next(events)] == [(3, "PARTITION_REGISTERED"), (4, "LOCK")]


def test_waiting_clients_learn_of_changes_made_without_the_service(
    service: ServiceThread, http: httpx.Client, database_url: str
) -> None:
    async def wait() -> tuple[int, Any]:
        waiting = asyncio.create_task(ask(service, "/api/v1/readiness", **QUESTION, wait_seconds=300))
        await asyncio.to_thread(wait_for_waiting, http, "readiness")
        with open_store(database_url) as store:
            store.register_partition(PartitionKey("s", "p", hours(0, 1)))
            store.unlock(PartitionKey("s", "p", hours(0, 1)))
        return await asyncio.wait_for(waiting, TURN_TIMEOUT)

    status, body = asyncio.run(wait())
    assert (status, body["is_ready"]) == (200, True)


def test_a_plain_question_is_answered_as_the_documented_route_answers_it(http: httpx.Client) -> None:
    plain: dict[str, Any] = {"source_name": "s", **HOUR}
    at_length = {**plain, "wait_seconds": 0}
    wrongs: tuple[dict[str, Any], ...] = (
        {},
        {"source_name": "nowhere"},
        {"end": "2025-01-01"},
        {"start": "yesterday-ish"},
    )
    for wrong in wrongs:
        answers = [http.get("/api/v1/readiness", params={**each, **wrong}) for each in (plain, at_length)]
        assert answers[0].status_code == answers[1].status_code
        assert answers[0].json() == answers[1].json()
        name = wrong.get("source_name", "s")
        path = f"/sources/{name}/check_readiness"
        ends = {**HOUR, **{key: value for key, value in wrong.items() if key != "source_name"}}
        answers = [http.get(path, params=each) for each in (ends, {**ends, "source_name": name})]
        assert answers[0].status_code == answers[1].status_code
        assert answers[0].json() == answers[1].json()


@pytest.mark.postgres
def test_who_waits_is_woken_although_a_writer_of_another_source_holds_the_history_back(
    postgres_url: str,
) -> None:
    with (
        ServiceThread(ServiceSettings(postgres_url, is_open=True)) as service,
        open_store(postgres_url) as behind,
        open_store(service.url) as store,
        client(service) as http,
        ThreadPoolExecutor(1) as pool,
    ):
        for source in ("s", "other"):
            register_in(behind, source, 1)
        key = PartitionKey("s", "p0", hours(0, 1))
        with closing(store.open_listener()) as listener:
            with freezing(postgres_url, "other"):
                heard = pool.submit(listener.wait, TURN_TIMEOUT)
                wait_for_waiting(http, "events")
                behind.register_partition(key)
                behind.unlock(key)
                assert heard.result() == {"s"}
                assert listener.wait(0.5) is None, "it is said once"
            assert listener.wait(TURN_TIMEOUT) == {"s"}


def test_a_listener_hears_of_nothing_that_cannot_end_a_wait(
    service: ServiceThread, http: httpx.Client
) -> None:
    key = PartitionKey("s", "p", hours(0, 1))
    with open_store(service.url) as store, closing(store.open_listener()) as listener:
        store.lock(key, register=True)
        assert listener.wait(TURN_TIMEOUT) is None
        store.unlock(key)
        assert listener.wait(TURN_TIMEOUT) == {"s"}

"""If one source's writers, or a database that hangs, hold up some calls, other calls go on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import httpx
import pytest

from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.server.waiting import bulkheads
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_database
from testbed.processes import wait_until
from testbed.service import ServiceThread
from tests.conftest import upgrade
from tests.service.calling import bearer, caller
from tests.service.conftest import MIDNIGHT, ONE

CONNECTIONS = 4
CROWD = 50  # more than there are connections, and more than there are threads for readers
LONG = 120.0  # seconds: a wait of this length does not time out during a test
HELD, OTHER = "held", "other"
HOUR = {"start": MIDNIGHT, "end": ONE}

Call = Callable[[httpx.Client, str, int], httpx.Response]


@pytest.fixture
def tokens() -> dict[str, str]:
    """The access tokens of the sources."""
    return {}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tokens: dict[str, str]) -> Callable[..., Any]:
    """Serves the sources ``held`` and ``other``, both with provider ``p``, with long time-outs."""
    monkeypatch.setattr(bulkheads, "TURN_TIMEOUT", LONG)

    @contextmanager
    def serving(url: str, connections: int = CONNECTIONS) -> Iterator[httpx.Client]:
        with (
            open_database(url, pool_size=connections, writing_pool_size=connections, timeout=LONG) as store,
            ServiceThread(ServiceSettings(url, is_open=True, connections=connections), store) as service,
            caller(service.url) as http,
        ):
            register(store, tokens)
            yield http

    return serving


def register(store: RegistryStore, tokens: dict[str, str]) -> None:
    for source in (HELD, OTHER):
        tokens[source] = store.register_source(source, "ann").access_token
        store.register_provider("p", tokens[source])


def place(source: str, number: int) -> dict[str, str]:
    return {"source_name": source, "provider_name": "p", "start": MIDNIGHT, "end": f"{2027 + number}-01-01"}


def lock(http: httpx.Client, source: str, number: int) -> httpx.Response:
    return http.post("/api/v1/partitions/lock", json={**place(source, number), "register": True})


def register_as_the_original_did(http: httpx.Client, source: str, number: int) -> httpx.Response:
    return http.post("/partitions/register", params=place(source, number))


@contextmanager
def row_held(url: str) -> Iterator[None]:
    """Let another session lock the row of a source, so that the source's writers wait."""
    import psycopg2

    with closing(psycopg2.connect(url)) as session:
        select = "SELECT 1 FROM partition_registry_source WHERE name = %s FOR UPDATE"
        session.cursor().execute(select, [HELD])
        yield


@contextmanager
def file_held(url: str) -> Iterator[None]:
    """Let another process write to the file, so that other writers wait."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as session:
        session.execute("BEGIN IMMEDIATE")
        yield


def waiting_in_postgres(url: str) -> int:
    import psycopg2

    with closing(psycopg2.connect(url)) as session, session.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


@contextmanager
def crowd(
    http: httpx.Client, call: Callable[[httpx.Client, int], httpx.Response], held: AbstractContextManager[Any]
) -> Iterator[list[Future[httpx.Response]]]:
    """Many calls that are held up until the block ends, and are all answered then."""
    limits = httpx.Limits(max_connections=None)
    with (
        httpx.Client(base_url=http.base_url, timeout=LONG, trust_env=False, limits=limits) as client,
        ThreadPoolExecutor(CROWD) as pool,
    ):
        with held:
            calls = [pool.submit(call, client, number) for number in range(CROWD)]
            yield calls
            assert not any(each.done() for each in calls)
        answers = {each.result(LONG).status_code for each in calls}
        assert max(answers) < 500, answers


def assert_readers_go_on(http: httpx.Client) -> None:
    for _ in range(2 * CONNECTIONS):
        for source in (OTHER, HELD):
            assert http.get("/api/v1/readiness", params={"source_name": source, **HOUR}).status_code == 200
            assert http.get("/api/v1/partitions", params={"source_name": source}).status_code == 200
            assert http.get(f"/sources/{source}/check_readiness", params=HOUR).status_code == 200
        assert http.get("/readyz").status_code == 200
        assert http.get("/metrics").status_code == 200


class TestASourceWhoseRowIsHeld:
    @pytest.mark.postgres
    @pytest.mark.parametrize("call", [lock, register_as_the_original_did])
    def test_holds_up_only_its_own_writers(self, serve: Any, postgres_url: str, call: Call) -> None:
        with (
            serve(postgres_url) as http,
            crowd(http, lambda client, number: call(client, HELD, number), row_held(postgres_url)),
        ):
            wait_until(lambda: waiting_in_postgres(postgres_url), what="a writer to wait", timeout=60)
            assert_readers_go_on(http)
            for number in range(2 * CONNECTIONS):
                assert lock(http, OTHER, number).status_code in (200, 409)
            registered = http.post("/api/v1/sources", json={"source_name": "new", "owner": "ann"})
            assert registered.status_code == 201

    @pytest.mark.postgres
    def test_holds_up_registrations_with_its_token(
        self, serve: Any, postgres_url: str, tokens: dict[str, str]
    ) -> None:
        def register_provider(client: httpx.Client, number: int) -> httpx.Response:
            body = {"provider_name": f"p{number}"}
            return client.post("/api/v1/providers", json=body, headers=bearer(tokens[HELD]))

        with serve(postgres_url) as http, crowd(http, register_provider, row_held(postgres_url)):
            wait_until(lambda: waiting_in_postgres(postgres_url), what="a writer to wait", timeout=60)
            assert_readers_go_on(http)
            assert lock(http, OTHER, 0).status_code == 200

    @pytest.mark.postgres
    def test_a_writer_whose_turn_does_not_come_gets_an_error_and_changes_nothing(
        self, serve: Any, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serve(postgres_url) as http, ThreadPoolExecutor(1) as pool:
            with row_held(postgres_url):
                first = pool.submit(lock, http, HELD, 0)
                wait_until(lambda: waiting_in_postgres(postgres_url), what="a writer to wait", timeout=60)
                monkeypatch.setattr(bulkheads, "TURN_TIMEOUT", 0.05)
                with caller(str(http.base_url)) as other:
                    refused = lock(other, HELD, 1)
                    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
                    error = refused.json()["error"]
                    assert error["code"] == "store_unavailable"
                    assert "has changed nothing. Try again" in error["message"]
                    assert not first.done()
            assert first.result(LONG).status_code == 200
            events = http.get("/api/v1/events", params={"source_name": HELD}).json()["items"]
            assert [each["type"] for each in events].count("LOCK") == 1
            monkeypatch.setattr(bulkheads, "TURN_TIMEOUT", LONG)
            assert http.post("/api/v1/partitions/unlock", json=place(HELD, 0)).status_code == 200
            assert lock(http, HELD, 1).status_code == 200


def test_a_file_that_somebody_writes_to_holds_up_no_readers(serve: Any, migrated_sqlite_url: str) -> None:
    with (
        serve(migrated_sqlite_url) as http,
        crowd(http, lambda client, number: lock(client, HELD, number), file_held(migrated_sqlite_url)),
    ):
        assert_readers_go_on(http)


@pytest.mark.postgres
def test_a_database_that_hangs_holds_up_no_health_checks(serve: Any) -> None:
    from testbed.postgres import PostgresServer

    with PostgresServer(durable=False) as server:
        url = upgrade(server.create_database("hangs"))
        # One connection, which is open already: none has to be opened while the database hangs.
        with serve(url, connections=1) as http:
            ask = {"source_name": OTHER, **HOUR}
            with crowd(http, lambda client, _: client.get("/api/v1/readiness", params=ask), server.paused()):
                assert http.get("/healthz").status_code == 200
                unready = http.get("/readyz")
                assert (unready.status_code, unready.json()["code"]) == (503, "store_unavailable")
                assert http.get("/metrics").status_code == 200
            assert http.get("/readyz").status_code == 200

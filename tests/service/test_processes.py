"""``partition-registry serve`` as real processes: starting, stopping, being killed, and losing its database."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import httpx
import pytest

from testbed.processes import wait_until
from testbed.service_process import ServiceProcess
from tests.conftest import upgrade
from tests.service.conftest import PLACE, QUESTION, client, metric, refuses, register, wait_for_waiting


@contextmanager
def serving(url: str, *options: str) -> Iterator[tuple[ServiceProcess, httpx.Client]]:
    with ServiceProcess(url, "--open", *options) as service, client(service) as http:
        yield service, http


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGTERM, "1"), (signal.SIGTERM, "2"), (signal.SIGINT, "1")]
)
def test_told_to_stop_it_finishes_what_runs_and_ends_what_waits(
    migrated_sqlite_url: str, number: signal.Signals, workers: str
) -> None:
    with (
        serving(migrated_sqlite_url, "--workers", workers) as (service, http),
        closing(sqlite3.connect(migrated_sqlite_url.removeprefix("sqlite:///"))) as file,
        ThreadPoolExecutor(3) as pool,
    ):
        register(http)
        file.execute("BEGIN IMMEDIATE")  # so that the next writer has to wait
        writing = pool.submit(http.post, "/api/v1/partitions", json=PLACE)
        asking = pool.submit(http.get, "/api/v1/readiness", params={**QUESTION, "wait_seconds": 300})
        following = pool.submit(http.get, "/api/v1/events/stream")
        wait_for_waiting(http, "readiness")
        wait_for_waiting(http, "stream")
        os.kill(service.process.pid, number)
        assert asking.result(60).json()["is_ready"] is False
        assert following.result(60).status_code == 200
        assert service.process.is_running
        assert not writing.done()
        file.rollback()
        assert writing.result(60).status_code == 201
        assert service.process.wait_for_exit(60) == 0
        assert "Traceback" not in service.log_text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use(migrated_sqlite_url: str, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service = ServiceProcess(migrated_sqlite_url, "--workers", workers)
        service.process.command += ["--port", str(taken.getsockname()[1])]
        service.process.start()
        assert service.process.wait_for_exit(60) == 2
        told = service.log_text
        assert "Cannot listen on 127.0.0.1, port" in told
        assert "Is it running already?" in told
        assert "Traceback" not in told


@pytest.mark.postgres
def test_it_waits_for_its_database_and_for_its_schema() -> None:
    from testbed.postgres import PostgresServer

    with PostgresServer(durable=False) as server:
        url = server.create_database("later")
        server.stop()
        with ServiceProcess(url, "--open", is_up_when="/healthz") as service, client(service) as http:
            not_there = http.get("/readyz")
            assert (not_there.status_code, not_there.json()["code"]) == (503, "store_unavailable")
            server.start()
            no_schema = http.get("/readyz")
            assert (no_schema.status_code, no_schema.json()["code"]) == (503, "schema_missing")
            assert "partition-registry db upgrade" in no_schema.json()["reason"]
            refused = http.get("/api/v1/sources")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "schema_missing")
            upgrade(url)
            assert http.get("/readyz").json() == {"status": "ready"}
            register(http)
            assert len(http.get("/api/v1/events", params={"wait_seconds": 60}).json()["items"]) == 2
            assert metric(http, "partition_registry_store_errors_total", code="store_unavailable") >= 1


@pytest.mark.postgres
def test_a_database_that_restarts() -> None:
    from testbed.postgres import PostgresServer

    with PostgresServer(durable=False) as server, ThreadPoolExecutor(1) as pool:
        url = upgrade(server.create_database("restarts"))
        with serving(url) as (service, http), client(service) as other:
            register(http)
            waiting = pool.submit(other.get, "/api/v1/readiness", params={**QUESTION, "wait_seconds": 120})
            wait_for_waiting(http, "readiness")
            server.kill()
            for _ in range(3):
                refused = http.get("/sources/s/check_readiness", params=QUESTION)
                assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert http.get("/readyz").status_code == 503
            assert http.get("/metrics").status_code == 200
            server.start()
            assert http.get("/sources/s/check_readiness", params=QUESTION).status_code == 200
            for verb in ("register", "lock", "unlock"):
                assert http.post(f"/partitions/{verb}", params=PLACE).status_code == 200
            assert waiting.result(120).json()["is_ready"] is True
            assert "Traceback" not in service.log_text


def test_workers_count_together_and_end_with_their_parent(
    migrated_sqlite_url: str,
) -> None:
    with serving(migrated_sqlite_url, "--workers", "2") as (service, http), ThreadPoolExecutor(1) as pool:
        register(http)
        # A connection each, as the workers accept connections in any order.
        for _ in range(20):
            with client(service) as once:
                once.get("/sources/s/check_readiness", params=QUESTION)
        route = "/sources/{source_name:path}/check_readiness"
        asked = {"method": "GET", "route": route, "status": "200"}
        for _ in range(10):
            with client(service) as once:
                assert metric(once, "partition_registry_requests_total", **asked) == 20
                assert metric(once, "partition_registry_readiness_answers_total", answer="not_ready") == 20
        waiting = pool.submit(http.get, "/api/v1/events", params={"after": 2, "wait_seconds": 300})
        with client(service) as once:
            wait_for_waiting(once, "events")
            for worker in service.workers():
                os.kill(worker, signal.SIGKILL)
            assert isinstance(waiting.exception(60), httpx.TransportError)
        wait_until(lambda: _answers(lambda: _waiting_for_events(service) == 0), what="workers", timeout=60)
        os.kill(service.process.pid, signal.SIGKILL)
        wait_until(lambda: refuses(service.port), what="the workers to leave the port", timeout=60)


def _waiting_for_events(service: ServiceProcess) -> float:
    with client(service) as once:
        return metric(once, "partition_registry_waiting_clients", kind="events")


def _answers(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except httpx.TransportError:
        return None

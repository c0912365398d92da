"""``kill -9`` under load: of a worker, of the service's parent, of PostgreSQL. ``make kills`` does a hundred."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable

import pytest

from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.store import open_sql_store
from testbed.postgres import PostgresServer
from testbed.processes import wait_until
from testbed.service_process import ServiceProcess
from tests.conftest import upgrade
from tests.races.conftest import register
from tests.races.replay import assert_consistent, assert_nothing_is_lost
from tests.races.test_outages import wait_for_progress
from tests.races.traffic import Writer, started
from tests.service.conftest import refuses

WRITERS = 4
TURN_TIMEOUT = 240.0  # seconds until everything works again, on a machine however busy


def kill_a_worker(service: ServiceProcess, _: PostgresServer) -> None:
    os.kill(service.workers()[0], signal.SIGKILL)


def kill_the_parent(service: ServiceProcess, _: PostgresServer) -> None:
    """Its workers end by themselves, and release the port for the next service."""
    os.kill(service.process.pid, signal.SIGKILL)
    wait_until(
        lambda: not service.process.is_running and refuses(service.port),
        what="the workers to leave the port",
        timeout=TURN_TIMEOUT,
    )
    service.start()


def kill_the_database(_: ServiceProcess, server: PostgresServer) -> None:
    server.kill()
    server.start()


def kill_the_service(service: ServiceProcess, _: PostgresServer) -> None:
    """Kill the whole service, as a power cut would."""
    service.kill()
    service.start()


KINDS: tuple[Callable[[ServiceProcess, PostgresServer], None], ...] = (
    kill_a_worker,
    kill_the_parent,
    kill_the_service,
    kill_the_database,
)


@pytest.mark.postgres
def test_nothing_acknowledged_is_lost(request: pytest.FixtureRequest) -> None:
    kills = request.config.getoption("--kills")
    stop = threading.Event()
    # Writes of a killed process are in the kernel, so the disk may lag.
    with PostgresServer(options={"fsync": "off"}) as server:
        url = upgrade(server.create_database("kills"))
        with (
            open_sql_store(url, pool_size=1, timeout=30) as behind,
            ServiceProcess(url, "--open", "--workers", "2") as service,
        ):
            register(behind, "s", 4)
            writers = [
                Writer(open_store(service.url, timeout=5), f"w{n}", steps=10_000_000, stop=stop)
                for n in range(WRITERS)
            ]
            threads, leaked = started(list(writers))
            wait_for_progress(writers, TURN_TIMEOUT)
            for kill in itertools.islice(itertools.cycle(KINDS), kills):
                kill(service, server)
                wait_for_progress(writers, TURN_TIMEOUT)
            stop.set()
            for thread in threads:
                thread.join(TURN_TIMEOUT)
            for writer in writers:
                writer.store.close()
            assert leaked == []
            events = assert_consistent(behind)
            for writer in writers:
                assert_nothing_is_lost(events, writer.acknowledged)
            assert verify(behind.database) == []
    acknowledged = sum(len(writer.acknowledged) for writer in writers)
    unavailable = sum(writer.unavailable for writer in writers)
    print(
        f"\n{kills} kills: {acknowledged:,} calls acknowledged, none lost; {unavailable:,} calls without an answer; "
        f"{len(events):,} events, the registry is sound"
    )

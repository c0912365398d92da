"""Several processes of the service behind the load balancer of docs/how-to/several-instances.md."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.store import open_sql_store
from airflow_provider_partition_registry.store.wire.requests import interval_to_data
from testbed.balancing import balanced
from testbed.service_process import ServiceProcess
from tests.contract.homes import hours
from tests.races.conftest import register
from tests.races.replay import assert_consistent, assert_nothing_is_lost
from tests.races.test_outages import wait_for_progress
from tests.races.traffic import Writer, started
from tests.service.calling import caller

pytestmark = pytest.mark.postgres

WRITERS = 4
TURN_TIMEOUT = 240.0  # seconds until everything works again, on a machine however busy


@pytest.fixture(params=[2, 4], ids=["two", "four"])
def instances(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[list[ServiceProcess]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(ServiceProcess(postgres_url, "--open", "--workers", "1"))
            for _ in range(request.param)
        ]


def test_nothing_acknowledged_is_lost_when_each_is_killed_in_turn(
    instances: list[ServiceProcess], postgres_url: str
) -> None:
    stop = threading.Event()
    with (
        open_sql_store(postgres_url, pool_size=1, timeout=30) as behind,
        balanced([each.url for each in instances]) as url,
    ):
        register(behind, "s", WRITERS)
        writers = [
            Writer(open_store(url, timeout=5), f"w{n}", steps=10_000_000, stop=stop) for n in range(WRITERS)
        ]
        threads, leaked = started(list(writers))
        wait_for_progress(writers, TURN_TIMEOUT)
        for each in instances:
            each.kill()
            wait_for_progress(writers, TURN_TIMEOUT)  # the others go on
            each.start()
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


def test_a_question_that_waits_at_one_is_answered_when_another_publishes(
    instances: list[ServiceProcess],
) -> None:
    first, *others = instances
    key = PartitionKey("s", "p", hours(0, 1))
    with open_store(others[-1].url) as writer:
        writer.register_provider("p", writer.register_source("s", "ann").access_token)
        answers: list[bool] = []

        def wait() -> None:
            with caller(first.url) as http:
                asked = {"source_name": "s", **interval_to_data(key.interval), "wait_seconds": "60"}
                told = http.get("/api/v1/readiness", params=asked).json()
                answers.append(told["is_ready"])

        waiting = threading.Thread(target=wait)
        waiting.start()
        writer.register_partition(key)
        writer.unlock(key)
        waiting.join(TURN_TIMEOUT)
    assert answers == [True]
